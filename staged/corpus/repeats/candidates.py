"""Rows that may repeat one another, found in files: band keys are dealt to partitions, each small
enough for memory, in which equal keys lie side by side once it is sorted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from staged.corpus.repeats.clusters import Clusters
from staged.corpus.repeats.sketches import Hashes, Sketches, similarity

KEY = np.dtype([("key", "<u8"), ("row", "<u4")])
PARTITION = 1 << 18  # keys: 3 MB, and some more while they are sorted
MOST_PARTITIONS = 1024
ENDING = ".part"  # of every file that work leaves beside the result


def deal(folder: Path, sketches: Iterable[Sketches], keys: int) -> list[Path]:
    """Write every text's band keys into partitions, by the key's value.

    Args:
        keys: how many there are, all together.
    """
    count = min(max(1, -(-keys // PARTITION)), MOST_PARTITIONS)
    files = [folder / f"keys-{number:04d}{ENDING}" for number in range(count)]
    for file in files:
        file.write_bytes(b"")
    row = 0
    for part in sketches:
        texts, bands = part.keys.shape
        dealt = np.empty(texts * bands, dtype=KEY)
        dealt["key"] = part.keys.ravel()
        dealt["row"] = np.repeat(np.arange(row, row + texts, dtype=np.uint32), bands)
        _append(files, dealt)
        row += texts
    return files


def _append(files: list[Path], dealt: npt.NDArray[np.void]) -> None:
    place = (dealt["key"] >> np.uint64(32)) * np.uint64(len(files)) >> np.uint64(32)
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(len(files) + 1))
    for file, begin, end in zip(files, ends[:-1], ends[1:], strict=True):
        with open(file, "ab") as stream:
            stream.write(dealt[order[begin:end]].tobytes())


def pairs_in(file: Path) -> Iterator[tuple[int, int]]:
    """Pairs of rows, the earlier first, that share a key: each with the first that has it, and with
    the one before.
    """
    dealt = np.fromfile(file, dtype=KEY)
    dealt = dealt[np.argsort(dealt["key"], kind="stable")]  # rows of one key stay in their order
    again = np.flatnonzero(dealt["key"][1:] == dealt["key"][:-1]) + 1
    rows, first, last = dealt["row"], 0, -1
    for place in again:
        if place - 1 != last:
            first = int(rows[place - 1])
        last = int(place)
        row, before = int(rows[place]), int(rows[place - 1])
        yield first, row
        if before != first:
            yield before, row


class Kept:
    """What is kept of every text, in files: read where it is asked for."""

    def __init__(self, folder: Path, sketches: Iterable[Sketches]) -> None:
        names = ("smallest", "bounds", "words")
        files = [folder / f"{name}{ENDING}" for name in names]
        smallest, bounds, words = (open(file, "w+b") for file in files)  # noqa: SIM115
        self.smallest, self.bounds, self.words = smallest, bounds, words
        end = 0
        self.bounds.write(np.int64(0).tobytes())
        for part in sketches:
            self.smallest.write(part.smallest.tobytes())
            self.bounds.write((part.bounds[1:] + end).tobytes())
            self.words.write(part.words.tobytes())
            end += int(part.bounds[-1])
        for file in (smallest, bounds, words):
            file.flush()

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in (self.smallest, self.bounds, self.words):
            file.close()

    def similarity(self, one: int, other: int) -> float:
        """Jaccard similarity of two rows, as `sketches.similarity`."""
        return similarity(self._hashes(one), self._hashes(other))

    def same_words(self, one: int, other: int) -> bool:
        """Whether two rows are the same words in the same order."""
        file = self.words.fileno()
        return os.pread(file, 8, 8 * one) == os.pread(file, 8, 8 * other)

    def _hashes(self, row: int) -> Hashes:
        begin, end = np.frombuffer(os.pread(self.bounds.fileno(), 16, 8 * row), dtype=np.int64)
        data = os.pread(self.smallest.fileno(), 8 * int(end - begin), 8 * int(begin))
        return np.frombuffer(data, dtype=np.uint64)


def join_similar(
    clusters: Clusters, pairs: Iterable[tuple[int, int]], kept: Kept, threshold: float
) -> None:
    """Join rows that are as similar as the threshold or more."""
    for one, other in pairs:
        if (
            clusters.first(one) != clusters.first(other)
            and kept.similarity(one, other) >= threshold
        ):
            clusters.join(one, other)
