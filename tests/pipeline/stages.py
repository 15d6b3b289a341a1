"""Small stages, which say what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from staged.errors import SamplingError
from staged.pipeline.stage import Inputs, SplitStage, unrecorded
from staged.progress import Progress
from tests.engines.jobs import told


@dataclass(frozen=True, kw_only=True)
class Squares(SplitStage):
    """The squares of the first numbers.

    Attributes:
        log: a folder; `made` in it has a line a block.
        refused: a number that is refused.
        refuses_to_join: whether joining is.
    """

    count: int
    named: str = "squares"
    log: Path = unrecorded()
    refused: int = unrecorded(-1)
    refuses_to_join: bool = unrecorded(False)

    @property
    def name(self) -> str:
        return self.named

    @property
    def blocks(self) -> Sequence[str]:
        return tuple(f"{number:03d}.json" for number in range(self.count))

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], int]]:
        yield self._square

    def _square(self, number: int) -> int:
        told(self.log / "made", number)
        if number == self.refused:
            raise SamplingError(f"number {number}: cannot be had")
        return number * number

    def join(self, folder: Path, values: Iterator[int], inputs: Inputs) -> None:
        squares = list(values)
        if self.refuses_to_join:
            raise SamplingError("cannot be joined")
        (folder / "squares.txt").write_text(" ".join(map(str, squares)))


@dataclass(frozen=True, kw_only=True)
class Asked(Squares):
    """The same without a block, and with a progress of its own: as texts of a server are."""

    @property
    def blocks(self) -> Sequence[str]:
        return ()

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        for number in range(self.count):
            progress(number, self.count)
        self.join(folder, map(self._square, range(self.count)), inputs)
