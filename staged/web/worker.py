"""One thread that examines texts, and a bounded queue before it; the event loop never waits
for a model.

A thread cannot be stopped from outside. So work is given a function `still_wanted` to call between
its steps; it raises when whoever asked has left or has been told that time is up.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from staged.web.limits import ClientGoneError, Limits, RefusedError, busy

T = TypeVar("T")
Check = Callable[[], None]


async def waited(
    work: Awaitable[T], gone: Callable[[], Awaitable[None]], seconds: float, *, advice: str
) -> T:
    """What `work` gives; it is cancelled where nobody waits for it any more.

    Args:
        gone: returns when the client has left.
        advice: what somebody who waited too long may do.

    Raises:
        RefusedError: 504 when time is up.
        ClientGoneError: the client left first.
        Whatever `work` raises.
    """
    answer, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({answer, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if leaving.done():
            raise ClientGoneError("the client left")
        raise RefusedError(504, f"This took longer than {seconds:g} seconds; {advice}.")
    finally:
        answer.cancel()
        leaving.cancel()


class Job:
    """One piece of work and what becomes of it."""

    def __init__(self, work: Callable[[Check], Any]) -> None:
        self.work = work
        self.result: Future[Any] = Future()
        self.abandoned = threading.Event()

    def still_wanted(self) -> None:
        """Raises ClientGoneError when nobody waits for the result."""
        if self.abandoned.is_set():
            raise ClientGoneError("nobody waits for this")


class Worker:
    """Runs jobs one after the other, in the order they came."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting = 0
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    async def run(
        self,
        work: Callable[[Check], T],
        gone: Callable[[], Awaitable[None]],
        *,
        seconds: float | None = None,
        advice: str = "send a shorter text, or fewer at once",
    ) -> T:
        """What `work` returns.

        Args:
            work: called in the thread.
            gone: returns when the client has left.
            seconds: that it may take, its wait included; by default the limit of an examination.
            advice: what somebody who waited too long may do.

        Raises:
            RefusedError: 503 when the queue is full, 504 when time is up.
            ClientGoneError: the client left first.
            Whatever `work` raises.
        """
        job = self._enqueue(Job(work))
        try:
            return await waited(
                asyncio.wrap_future(job.result),
                gone,
                seconds or self.limits.answer_s,
                advice=advice,
            )
        finally:
            job.abandoned.set()

    async def stream(
        self, work: Callable[[Check, Callable[[T], None]], None], seconds: float
    ) -> AsyncIterator[T]:
        """What `work`, called in the thread, gives to its second argument, piece by piece; closed
        early, as where the client leaves, it lets the work end.

        Args:
            seconds: that it may take, its wait included.

        Raises:
            RefusedError: 503 when the queue is full, 504 when time is up.
            Whatever `work` raises.
        """
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[tuple[T] | None]()

        def put(piece: tuple[T] | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is there to take it
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        job = self._enqueue(Job(lambda still_wanted: work(still_wanted, lambda one: put((one,)))))
        job.result.add_done_callback(lambda _: put(None))
        until = loop.time() + seconds
        try:
            # no asyncio.timeout around all: each piece may be asked for by another task
            while piece := await asyncio.wait_for(pieces.get(), until - loop.time()):
                yield piece[0]
            job.result.result()
        except TimeoutError:
            raise RefusedError(504, f"This took longer than {seconds:g} seconds.") from None
        finally:
            job.abandoned.set()

    def stop(self) -> None:
        """Let the thread end after what it is doing."""
        self._jobs.put(None)

    def _enqueue(self, job: Job) -> Job:
        with self._lock:
            if self.waiting >= self.limits.waiting:
                raise busy()
            self.waiting += 1
            # a daemon: a process that is told to stop does not wait for a model
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="examiner", daemon=True)
                self._thread.start()
        self._jobs.put(job)
        return job

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if job.result.set_running_or_notify_cancel():
                    _do(job)
            finally:
                with self._lock:
                    self.waiting -= 1
                del job  # a text should not wait here for the next one


def _do(job: Job) -> None:
    try:
        job.still_wanted()
        result = job.work(job.still_wanted)
    except BaseException as error:  # whatever it is belongs to whoever waits for the result
        job.result.set_exception(error)
    else:
        job.result.set_result(result)
