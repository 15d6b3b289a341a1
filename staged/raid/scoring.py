"""The scoring of a RAID-format file as a list of blocks, so many texts each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from staged.detectors.contract import Detector
from staged.detectors.normal.normalize import normalize
from staged.engines.blocks import Job
from staged.errors import CheckpointError
from staged.progress import Progress
from staged.raid.rows import texts_in_blocks
from staged.storage.pieces import JSON

BLOCK_TEXTS = 256


@dataclass(frozen=True)
class RaidScoring(Job[list[float | None]]):
    """Scores of a file's texts, `BLOCK_TEXTS` a block; an empty text has none.

    Attributes:
        count: texts of the file.
        load: opens the detector, where a text is left to score.
    """

    path: Path
    count: int
    load: Callable[[], Detector]

    encoding = JSON

    @property
    def names(self) -> Sequence[str]:
        return tuple(f"{first:09d}.json" for first in self._firsts)

    @property
    def _firsts(self) -> range:
        return range(0, self.count, BLOCK_TEXTS)

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], list[float | None]]]:
        detector, texts = self.load(), _TextBlocks(self.path)
        yield lambda number: _block(detector, texts.block(self._firsts[number]))

    def in_texts(self, progress: Progress) -> Progress:
        """A progress in blocks as one in texts."""
        return lambda done, _: progress(min(done * BLOCK_TEXTS, self.count), self.count)


class _TextBlocks:
    """A file's texts, a block at a time; in ascending order it is read once."""

    def __init__(self, path: Path) -> None:
        self._path, self._next = path, 0
        self._blocks: Iterator[list[str]] = iter(())

    def block(self, first: int) -> list[str]:
        if not 0 < self._next <= first:
            self._blocks = texts_in_blocks(self._path, first=first, size=BLOCK_TEXTS)
            self._next = first
        passed_over = (first - self._next) // BLOCK_TEXTS
        self._next = first + BLOCK_TEXTS
        return next(islice(self._blocks, passed_over, None))


def _block(detector: Detector, texts: list[str]) -> list[float | None]:
    """A score a text; an empty one has none: it could choose a threshold."""
    cleaned = [normalize(text).text for text in texts]
    full = [text for text in cleaned if text]
    scores = detector.score(full)
    if len(scores) != len(full):
        raise CheckpointError(
            f"detector {detector.name}: gave {len(scores)} scores for {len(full)} texts; it must"
            " give one a text"
        )
    given = iter(scores)
    return [next(given) if text else None for text in cleaned]
