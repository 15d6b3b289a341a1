"""Who gets which numbers, by workers that do nothing but answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import pytest

from staged.engines.contract import Ended, Event, Failed, Lost, Moved, Perform, Task, Workers
from staged.engines.scheduling import MOST_AT_ONCE, Work, hand_out
from staged.errors import ArtifactError, SamplingError


@dataclass(frozen=True)
class Named:
    name: str

    def opened(self) -> AbstractContextManager[Perform]:
        return nullcontext(lambda number, progress: None)


@dataclass
class Answering(Workers):
    """Workers that end what they are given, unless `answer` says otherwise.

    Attributes:
        away: workers that are not ready, and for how many looks.
        given: (worker, task, numbers), in the order in which they were given.
    """

    count: int = 2
    seconds: float = 1.0
    answer: Callable[[int, str, int], Event | None] = lambda worker, task, number: None
    away: dict[int, int] = field(default_factory=dict)
    given: list[tuple[int, str, tuple[int, ...]]] = field(default_factory=list)
    asked: dict[int, tuple[str, list[int]]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def is_ready(self, worker: int) -> bool:
        self.away[worker] = self.away.get(worker, 0) - 1
        return self.away[worker] < 0

    def start(self, worker: int, task: Task, numbers: Sequence[int]) -> None:
        assert worker not in self.asked
        self.given.append((worker, task.name, tuple(numbers)))
        self.asked[worker] = (task.name, list(numbers))

    def wait(self, seconds: float) -> list[Event]:
        events: list[Event] = []
        for worker, (task, numbers) in list(self.asked.items()):
            number = numbers.pop(0)
            event = self.answer(worker, task, number) or Ended(worker, number, self.seconds)
            events.append(event)
            if not numbers or isinstance(event, Lost):
                del self.asked[worker]
        return events

    @property
    def done(self) -> list[tuple[str, int]]:
        return [(task, number) for _, task, numbers in self.given for number in numbers]


def works(**counts: int) -> list[Work]:
    return [Work(Named(name), range(count)) for name, count in counts.items()]


def test_each_number_once_and_a_worker_stays_with_a_work() -> None:
    workers = Answering()
    hand_out(workers, works(a=3, b=3))
    assert sorted(workers.done) == sorted((name, i) for name in "ab" for i in range(3))
    assert [worker for worker, task, _ in workers.given if task == "a"] == [0, 0, 0]


def test_a_worker_takes_up_a_work_that_nobody_is_at_and_else_helps_with_the_largest() -> None:
    workers = Answering(count=3)
    hand_out(workers, works(a=2, b=9))
    assert [task for _, task, _ in workers.given[:3]] == ["a", "b", "b"]
    assert sorted(workers.done) == sorted(
        [("a", i) for i in range(2)] + [("b", i) for i in range(9)]
    )


def test_workers_that_end_at_once_stay_with_what_they_are_at() -> None:
    """Another's number would be its model loaded again."""
    workers = Answering()
    hand_out(workers, works(z=1, a=4, b=4))
    tasks = [[task for worker, task, _ in workers.given if worker == which] for which in (0, 1)]
    assert tasks == [["z", "b", "b", "b", "b"], ["a"] * 4]


def test_who_helps_stays_with_what_it_helps_with() -> None:
    workers = Answering(count=3, seconds=2.0)
    hand_out(workers, works(a=12, b=12))
    tasks = [task for worker, task, _ in workers.given if worker == 2]
    assert tasks == sorted(tasks)
    assert len(tasks) >= 6


def test_who_helps_leaves_for_what_nobody_is_at() -> None:
    workers = Answering(count=2, seconds=2.0)
    later = {"b": works(c=2), "a": [], "c": []}
    hand_out(workers, works(a=12, b=1), then=lambda work: later[work.task.name])
    assert [task for worker, task, _ in workers.given if worker == 1][:3] == ["b", "c", "c"]


def test_the_share_does_not_fall_when_a_worker_dies() -> None:
    told: list[Event] = [Moved(0, 0, 0.8), Lost(0)]

    def answer(worker: int, task: str, number: int) -> Event | None:
        if not told:
            return None
        if len(told) == 2:
            workers.asked[worker][1].insert(0, number)
        return told.pop(0)

    workers, shares = Answering(count=1, answer=answer), list[float]()
    hand_out(workers, works(a=4), report=lambda work, share: shares.append(share))
    assert shares == [0.2, 0.2, 0.25, 0.5, 0.75]


def test_short_pieces_are_given_by_the_many_and_the_last_ones_are_shared() -> None:
    workers = Answering(seconds=1e-4)
    hand_out(workers, works(a=5000))
    sizes = [len(numbers) for _, _, numbers in workers.given]
    assert sizes[:2] == [1, 1]  # nothing is known of them yet
    assert max(sizes) == MOST_AT_ONCE
    assert max(sizes[-4:]) < 8
    assert sorted(workers.done) == [("a", i) for i in range(5000)]


def test_long_pieces_are_given_singly() -> None:
    workers = Answering(seconds=2.0)
    hand_out(workers, works(a=100))
    assert {len(numbers) for _, _, numbers in workers.given} == {1}


def test_what_a_dead_worker_had_is_done_by_others() -> None:
    deaths = []

    def answer(worker: int, task: str, number: int) -> Event | None:
        if number == 7 and len(deaths) < 2:
            deaths.append(worker)
            return Lost(worker)
        return None

    workers = Answering(answer=answer, seconds=0.05)
    ended: list[str] = []
    hand_out(workers, works(a=40), then=lambda work: ended.append(work.task.name) or ())
    assert ended == ["a"]
    assert {number for _, number in workers.done} == set(range(40))
    assert workers.done.count(("a", 7)) == 3


def test_three_deaths_at_the_same_number_are_an_error_and_at_others_none() -> None:
    workers = Answering(answer=lambda worker, task, number: Lost(worker) if number == 2 else None)
    with pytest.raises(ArtifactError, match="a: worker processes died 3 times at piece 2, most"):
        hand_out(workers, works(a=6))
    died: list[int] = []

    def once(worker: int, task: str, number: int) -> Event | None:
        if number in died:
            return None
        died.append(number)
        return Lost(worker)

    workers = Answering(answer=once)
    hand_out(workers, works(a=6))
    assert died == sorted(died) == list(range(6))


def test_what_a_number_raises_is_raised() -> None:
    error = SamplingError("cannot be had")
    workers = Answering(answer=lambda worker, task, number: Failed(worker, number, error))
    with pytest.raises(SamplingError) as raised:
        hand_out(workers, works(a=6))
    assert raised.value is error


def test_who_is_not_ready_is_given_nothing() -> None:
    workers = Answering(away={0: 5})
    hand_out(workers, works(a=20))
    assert {worker for worker, _, _ in workers.given[:5]} == {1}
    assert {worker for worker, _, _ in workers.given} == {0, 1}
    alone = Answering(away={0: 10**9})
    hand_out(alone, works(a=20))
    assert {worker for worker, _, _ in alone.given} == {1}


def test_what_has_waited_begins_with_the_end_of_what_it_waited_for() -> None:
    workers = Answering()
    ended: list[str] = []
    later = {"a": works(none=0), "none": works(c=2), "b": [], "c": []}

    def then(work: Work) -> list[Work]:
        ended.append(work.task.name)
        return later[work.task.name]

    hand_out(workers, works(a=2, b=1), then=then)
    assert sorted(ended) == ["a", "b", "c", "none"]
    assert ended.index("a") < ended.index("none") < ended.index("c")


def test_what_other_processes_make_possible_is_waited_for() -> None:
    answers: list[list[Work] | None] = [[], [], works(late=2), None]
    workers = Answering()
    hand_out(workers, [], others=lambda: answers.pop(0) if len(answers) > 1 else answers[0])
    assert workers.done == [("late", 0), ("late", 1)]
    assert answers == [None]


def test_the_share_grows_and_never_is_the_whole() -> None:
    half: set[int] = set()

    def answer(worker: int, task: str, number: int) -> Event | None:
        if number in half:
            return None
        half.add(number)
        workers.asked[worker][1].insert(0, number)
        return Moved(worker, number, 0.5)

    workers, shares = Answering(answer=answer), list[float]()
    hand_out(workers, works(a=5), report=lambda work, share: shares.append(share))
    assert shares == sorted(shares)
    assert 0.1 == shares[0] < shares[-1] <= 0.99
