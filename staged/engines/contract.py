"""What an engine hands out: numbers of a task, each a piece of work whose bytes depend on nothing
but its number, so that one that is done twice is done once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from staged.progress import Progress

__all__ = ["Ended", "Event", "Failed", "Lost", "Moved", "Perform", "Task", "Workers"]

Perform = Callable[[int, Progress], None]  # takes a number, and tells how far it is


class Task(Protocol):
    """Pieces of work that share what they need, such as a model. A value that can be pickled."""

    @property
    def name(self) -> str:
        """A worker that has a task of this name open goes on with it."""

    def opened(self) -> AbstractContextManager[Perform]:
        """In a worker: what all numbers need is loaded, and what does one of them; its result is
        on the disk before it returns.
        """


@dataclass(frozen=True)
class Moved:
    """A worker is so far with a number, in [0, 1)."""

    worker: int
    number: int
    share: float


@dataclass(frozen=True)
class Ended:
    """A worker has done a number, in so many seconds."""

    worker: int
    number: int
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A number raised; its worker goes on."""

    worker: int
    number: int
    error: BaseException


@dataclass(frozen=True)
class Lost:
    """A worker died; what it had is to be handed out again. Another has its place, or gets it."""

    worker: int


Event = Moved | Ended | Failed | Lost


class Workers(ABC):
    """Workers, each a process with at most one GPU. A context: they end with it.

    Attributes:
        count: how many, as far as the context is entered; they are numbered from 0.
    """

    count: int

    @abstractmethod
    def __enter__(self) -> Self:
        """Make ready what starts workers."""

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the workers, whatever they are at."""

    @abstractmethod
    def is_ready(self, worker: int) -> bool:
        """Whether an idle worker can be given something now."""

    @abstractmethod
    def start(self, worker: int, task: Task, numbers: Sequence[int]) -> None:
        """Let an idle worker that is ready do some numbers, one after another."""

    @abstractmethod
    def wait(self, seconds: float) -> list[Event]:
        """What happened, as soon as something has; nothing when the time is over."""
