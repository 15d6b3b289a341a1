"""Who does what next: numbers go to idle workers until all works have ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from staged.engines.contract import Ended, Failed, Lost, Moved, Task, Workers
from staged.errors import ArtifactError

MOST_LOSSES = 3  # workers that die at one number
SECONDS = 0.5  # of work that a worker is given at once, where its pieces are that short
MOST_AT_ONCE = 256


@dataclass(frozen=True)
class Work:
    """Numbers of a task that are to be done; `about` is the caller's."""

    task: Task
    numbers: Sequence[int]
    about: object = None


# what can begin now that a work has ended, in the order in which it is to begin
Next = Callable[[Work], Iterable[Work]]
WorkProgress = Callable[[Work, float], None]


def nothing(work: Work) -> tuple[Work, ...]:
    """No other work waits for this one."""
    return ()


def hand_out(
    workers: Workers,
    works: Iterable[Work],
    *,
    then: Next = nothing,
    report: WorkProgress = lambda work, share: None,
    others: Callable[[], Iterable[Work] | None] = lambda: None,
) -> None:
    """Let workers do all works.

    A worker stays with the work it was at, unless others are at that and there is one at which
    nobody is. A new one it takes up in the order given, or else it helps with the one of which most
    is left. So a model is loaded no more often than there are workers.

    Args:
        report: called with (work, share done in [0, 1)), not at its end; the share never falls.
        others: asked now and then for works that other processes have made possible; None where
            nothing is waited for.

    Raises:
        BaseException: what a number raised; other numbers that were done stay done.
        ArtifactError: several workers died at the same number.
    """
    desk = _Desk(workers, report)
    desk.take(works, then)
    while (made_possible := others()) is not None or desk.open:
        desk.take(made_possible or (), then)
        desk.hand()
        for event in workers.wait(0.2):
            for ended in desk.hear(event):
                desk.take(then(ended), then)


@dataclass(eq=False)
class _Open:
    """A work that has not ended."""

    work: Work
    left: deque[int]
    done: int = 0
    seconds: float = SECONDS  # of a number, as far as is known
    shares: dict[int, float] = field(default_factory=dict)
    told: float = 0.0

    @property
    def share(self) -> float:
        """What is to be reported as done: of what a dead worker had done half nothing is taken
        back.
        """
        done = (self.done + sum(self.shares.values())) / len(self.work.numbers)
        self.told = max(self.told, min(done, 0.99))
        return self.told

    def cut(self, workers: int) -> tuple[int, ...]:
        """The next numbers for a worker."""
        even = len(self.left) // (2 * workers)
        count = max(1, min(int(SECONDS / max(self.seconds, 1e-6)), even, MOST_AT_ONCE))
        return tuple(self.left.popleft() for _ in range(min(count, len(self.left))))


class _Desk:
    """Works that have not ended, and what each worker is at."""

    def __init__(self, workers: Workers, report: WorkProgress) -> None:
        self.open: list[_Open] = []
        self._workers, self._report = workers, report
        self._at: dict[int, tuple[_Open, list[int]]] = {}  # worker → work, numbers
        self._last: dict[int, _Open] = {}  # worker → the work that it took up last
        self._losses: Counter[tuple[str, int]] = Counter()

    def take(self, works: Iterable[Work], then: Next) -> None:
        """Works to do; one without a number has ended already."""
        waiting = deque(works)
        while waiting:
            work = waiting.popleft()
            if work.numbers:
                self.open.append(_Open(work, deque(work.numbers)))
            else:
                waiting.extend(then(work))

    def hand(self) -> None:
        """Give each idle worker something, as far as there is something; first those that can stay
        with what they are at.
        """
        workers = range(self._workers.count)
        idle = [one for one in workers if one not in self._at and self._workers.is_ready(one)]
        for worker in sorted(idle, key=lambda worker: not self._is_left(worker)):
            if taken := self._choice(worker):
                numbers = taken.cut(self._workers.count)
                self._workers.start(worker, taken.work.task, numbers)
                self._at[worker], self._last[worker] = (taken, list(numbers)), taken

    def _is_left(self, worker: int) -> bool:
        """Whether there is more of what a worker was at last."""
        last = self._last.get(worker)
        return last is not None and bool(last.left)

    def _choice(self, worker: int) -> _Open | None:
        busy = {id(taken) for taken, _ in self._at.values()}
        left = [work for work in self.open if work.left]
        alone = [work for work in left if id(work) not in busy]
        if self._is_left(worker) and (not alone or self._last[worker] in alone):
            return self._last[worker]
        return alone[0] if alone else max(left, key=lambda work: len(work.left), default=None)

    def hear(self, event: Ended | Failed | Lost | Moved) -> list[Work]:
        """Take note of what happened; the work that has ended with it, if one has."""
        if event.worker not in self._at:
            return []
        taken, numbers = self._at[event.worker]
        match event:
            case Moved(number=number, share=share):
                taken.shares[number] = share
            case Failed(error=error):
                raise error
            case Lost():
                self._lose(event.worker)
            case Ended(number=number, seconds=seconds):
                taken.shares.pop(number, None)
                taken.done += 1
                taken.seconds = seconds
                numbers.remove(number)
                if not numbers:
                    del self._at[event.worker]
        if taken.done == len(taken.work.numbers):
            self.open.remove(taken)
            return [taken.work]
        self._report(taken.work, taken.share)
        return []

    def _lose(self, worker: int) -> None:
        """What a dead worker had goes back; the first of it is what it was at.

        Raises:
            ArtifactError: others have died there before.
        """
        taken, numbers = self._at.pop(worker)
        taken.left.extendleft(reversed(numbers))
        taken.shares.pop(numbers[0], None)
        losses = self._losses
        losses[taken.work.task.name, numbers[0]] += 1
        if losses[taken.work.task.name, numbers[0]] == MOST_LOSSES:
            raise ArtifactError(
                f"{taken.work.task.name}: worker processes died {MOST_LOSSES} times at piece"
                f" {numbers[0]:,}, most likely for lack of memory; run the command again with fewer"
                " --workers: it continues"
            )
