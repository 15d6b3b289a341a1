"""The one thread: busy, late, abandoned; and the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from staged.web.examination import Wanted, examine_batch
from staged.web.limits import ClientGoneError, Limits, RefusedError
from staged.web.worker import Check, Worker
from tests.web.fake import HUMAN_TEXT, FakeExaminer


async def never_gone() -> None:
    await asyncio.Event().wait()


async def gone_soon() -> None:
    await asyncio.sleep(0.05)


def hold(event: threading.Event) -> Callable[[Check], str]:
    def work(_: Check) -> str:
        event.wait(10)
        return "done"

    return work


def test_jobs_run_in_order_one_at_a_time() -> None:
    running: list[int] = []
    done: list[int] = []

    def work(i: int) -> int:
        running.append(i)
        assert len(running) == 1
        time.sleep(0.01)
        running.remove(i)
        done.append(i)
        return i

    async def main() -> list[int]:
        worker = Worker(Limits())
        jobs = [worker.run(lambda _, i=i: work(i), never_gone) for i in range(6)]  # type: ignore[misc]
        return await asyncio.gather(*jobs)

    assert asyncio.run(main()) == done == list(range(6))


def test_full_queue_refuses_at_once_and_recovers() -> None:
    async def main() -> None:
        worker, event = Worker(Limits(waiting=2)), threading.Event()
        jobs = [asyncio.ensure_future(worker.run(hold(event), never_gone)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(RefusedError) as refusal:
            await worker.run(hold(event), never_gone)
        assert refusal.value.status == 503
        assert int(refusal.value.headers["Retry-After"]) > 0
        event.set()
        assert await asyncio.gather(*jobs) == ["done", "done"]
        await asyncio.sleep(0.05)
        assert worker.waiting == 0
        assert await worker.run(hold(event), never_gone) == "done"

    asyncio.run(main())


def test_late_answer_is_refused_and_its_place_stays_taken_until_the_thread_is_free() -> None:
    async def main() -> None:
        worker, event = Worker(Limits(answer_s=0.05, waiting=1)), threading.Event()
        with pytest.raises(RefusedError) as refusal:
            await worker.run(hold(event), never_gone)
        assert refusal.value.status == 504
        assert worker.waiting == 1
        event.set()
        await asyncio.sleep(0.1)
        assert worker.waiting == 0

    asyncio.run(main())


def test_who_leaves_while_waiting_is_never_examined() -> None:
    async def main() -> None:
        worker, event = Worker(Limits()), threading.Event()
        first = asyncio.ensure_future(worker.run(hold(event), never_gone))
        await asyncio.sleep(0)  # so that it stands first in the queue
        examined: list[str] = []
        with pytest.raises(ClientGoneError):
            await worker.run(lambda _: examined.append("second"), gone_soon)
        event.set()
        assert await first == "done"
        assert await worker.run(lambda _: "third", never_gone) == "third"
        assert examined == []

    asyncio.run(main())


def test_a_batch_stops_between_steps_when_nobody_waits() -> None:
    examiner = FakeExaminer(seconds=0.1)
    texts = [(str(i), HUMAN_TEXT) for i in range(80)]

    async def main() -> None:
        worker = Worker(Limits())
        with pytest.raises(ClientGoneError):
            await worker.run(
                lambda check: examine_batch(examiner, texts, Wanted(), check), gone_soon
            )
        assert await worker.run(lambda _: "next", never_gone) == "next"

    asyncio.run(main())
    assert 1 <= examiner.batches <= 2


def test_errors_come_back_to_whoever_asked() -> None:
    def fail(_: Check) -> None:
        raise ZeroDivisionError("of the work")

    async def main() -> None:
        worker = Worker(Limits())
        with pytest.raises(ZeroDivisionError):
            await worker.run(fail, never_gone)
        assert await worker.run(lambda _: 1, never_gone) == 1

    asyncio.run(main())


def test_the_event_loop_does_not_wait_for_the_model() -> None:
    async def main() -> float:
        job = asyncio.ensure_future(Worker(Limits()).run(lambda _: time.sleep(0.5), never_gone))
        longest, before = 0.0, time.perf_counter()
        while not job.done():
            await asyncio.sleep(0.01)
            longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
        return longest

    assert asyncio.run(main()) < 0.4
