"""Small jobs, which say what became of them: workers of any engine can make their blocks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.engines.blocks import Job, block_values
from staged.engines.choice import HERE, Engine
from staged.errors import SamplingError
from staged.progress import Progress
from staged.storage.pieces import JSON

PIECES = "??????.json"


class StrangeError(Exception):
    """One that can be pickled, and not made again of that."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


@dataclass(frozen=True)
class Squares(Job[Any]):
    """The squares of the first numbers.

    Attributes:
        log: a folder; `made` in it has a line a block that was begun, `opened` one an opening.
        refused: a number that is refused by a sentence.
        strange: a number that fails with an error of another library.
        deadly: a number that kills its process.
        times: how often it does.
    """

    log: Path
    count: int = 12
    seconds: float = 0.0
    refused: int = -1
    strange: int = -1
    deadly: int = -1
    times: int = 1

    encoding = JSON

    @property
    def names(self) -> Sequence[str]:
        return tuple(f"{number:06d}.json" for number in range(self.count))

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], int]]:
        told(self.log / "opened", os.getpid())
        yield self._square

    def _square(self, number: int) -> int:
        told(self.log / "made", number)
        if number == self.refused:
            raise SamplingError(f"number {number}: cannot be had; take another")
        if number == self.strange:
            raise StrangeError("strange ", "words")
        if number == self.deadly and len(lines(self.log / "deaths")) < self.times:
            told(self.log / "deaths", number)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return number * number


def told(file: Path, what: object) -> None:
    """Add a line, whoever else does."""
    with open(file, "a", encoding="utf-8") as opened:
        opened.write(f"{what}\n")


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split() if file.is_file() else []


def nothing_told(done: int, total: int) -> None:
    pass


def write(
    out: Path, job: Squares, engine: Engine = HERE, progress: Progress = nothing_told
) -> list[int]:
    """Make a job's values into a file, a line each; what is in it then."""
    with block_values(
        out, {"count": job.count}, job, pieces=PIECES, engine=engine, progress=progress
    ) as values:
        out.write_text("".join(f"{value}\n" for value in values), encoding="utf-8")
    return [int(line) for line in lines(out)]


def squares(count: int = 12) -> list[int]:
    return [number * number for number in range(count)]
