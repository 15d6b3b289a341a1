"""Near-duplicates out, over all tasks: datatrove's MinHash signatures and pairs, clusters by
ourselves, which keep the first; or the exact index of `duplicates.py`, where all texts fit into
memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasketch import MinHashLSH
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupSignature,
)
from datatrove.utils.hashing import HashConfig

from staged.corpus.building.steps.texts import TextsReader
from staged.corpus.building.steps.words import Words
from staged.corpus.duplicates import SHINGLE_WORDS, WORD, repeats, shingles_of
from staged.corpus.repeats.clusters import Clusters
from staged.records import HUMAN, SPLITS, Document

HASHES = 112  # as FineWeb: 14 buckets of 8


@lru_cache(maxsize=8)
def minhash(threshold: float) -> MinhashConfig:
    """Buckets and hashes that err least about a threshold, to either side alike."""
    best = MinHashLSH(threshold=threshold, num_perm=HASHES)
    return MinhashConfig(
        n_grams=SHINGLE_WORDS,
        num_buckets=best.b,
        hashes_per_bucket=best.r,
        hash_config=HashConfig(precision=64, hash_fc="sha1"),
    )


def pair_found(similarity: float, threshold: float) -> float:
    """The probability that a pair of this Jaccard similarity counts as near-duplicates."""
    config = minhash(threshold)
    return float(1 - (1 - similarity**config.hashes_per_bucket) ** config.num_buckets)


class Signatures(MinhashDedupSignature):  # type: ignore[misc]
    """datatrove's signatures, of the shingles that `duplicates.py` takes."""

    def __init__(self, folder: Path, threshold: float) -> None:
        super().__init__(str(folder), config=minhash(threshold), language=Words())

    def get_shingles(self, text: str) -> npt.NDArray[np.uint64]:
        """A hash of each shingle: [shingles, 1]."""
        words = WORD.findall(text.lower()) or text.split()
        hashes = [self._hash_func(shingle) for shingle in sorted(shingles_of(words))]
        return np.array(hashes, dtype=np.uint64).reshape(-1, 1)


def pairs(signatures: Path, found: Path, threshold: float) -> MinhashDedupBuckets:
    """datatrove's step that compares signatures, a task a bucket."""
    config = minhash(threshold)
    return MinhashDedupBuckets(str(signatures), str(found), config=config, lines_to_buffer=1000)


class FirstKept(PipelineStep):  # type: ignore[misc]
    """Makes clusters of pairs and writes what is removed: for each task a file as datatrove's
    filter reads it, and `removed.npy`, (text, first text of its cluster) by their numbers.
    """

    type, name = "🫂 - DEDUP", "near-duplicates"

    def __init__(self, found: Path, sizes: Path, removed: Path) -> None:
        super().__init__()
        self.found, self.sizes, self.removed = found, sizes, removed

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """All in one task."""
        starts = np.load(self.sizes)
        clusters = Clusters(int(starts[-1]))
        for file in sorted(self.found.glob("*.dups")):
            rows = np.fromfile(file, dtype="<u4").reshape(-1, 4).astype(np.int64)
            for one, other in zip(
                starts[rows[:, 0]] + rows[:, 1], starts[rows[:, 2]] + rows[:, 3], strict=True
            ):
                clusters.join(int(one), int(other))
        write_removed(self.removed, clusters.removed(), starts)


class ExactlyFirstKept(PipelineStep):  # type: ignore[misc]
    """The same by the exact index: reads all texts, in one task."""

    type, name = "🫂 - DEDUP", "near-duplicates"

    def __init__(self, texts: Path, sizes: Path, removed: Path, threshold: float) -> None:
        super().__init__()
        self.texts, self.sizes, self.removed = texts, sizes, removed
        self.threshold = threshold

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """All in one task."""
        starts = np.load(self.sizes)
        reader = TextsReader(self.texts)
        texts = chain.from_iterable(reader.run(rank=task) for task in range(len(starts) - 1))
        documents = [
            Document(str(number), text.text, HUMAN, "", SPLITS[0])
            for number, text in enumerate(texts)
        ]
        found = [
            (int(one.id), int(twin)) for one, _, twin in repeats(documents, self.threshold) if twin
        ]
        write_removed(self.removed, np.array(found, dtype=np.uint32).reshape(-1, 2), starts)


def write_removed(
    folder: Path, removed: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64]
) -> None:
    """`removed.npy`, and the numbers of each task's texts that go, as `MinhashDedupFilter` takes
    them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "removed.npy", removed)
    for task, (start, end) in enumerate(pairwise(starts)):
        inside = removed[(removed[:, 0] >= start) & (removed[:, 0] < end), 0]
        numbers = [struct.pack("<I", int(number - start)) for number in inside]
        (folder / f"{task:06d}.remove").write_bytes(b"".join(numbers))


def removed_texts(folder: Path) -> Iterator[tuple[int, int]]:
    """(text, first text of its cluster), by their numbers, in the order of the texts."""
    for text, first in np.load(folder / "removed.npy", mmap_mode="r"):
        yield int(text), int(first)
