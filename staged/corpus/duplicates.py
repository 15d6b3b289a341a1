"""Near-duplicates and verbatim repeats out; and how much of one body of text is copied from
another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH

from staged.records import SPLITS, Document

SHINGLE_WORDS = 5
JACCARD = 0.5
RUN_WORDS = 12
WORD = re.compile(r"\w+")


def drop_duplicates(passages: Sequence[Document]) -> tuple[list[Document], dict[str, int]]:
    """Keep a passage only if nothing kept before it (pretrain, train, valid, then test) repeats it.

    A repeat is a passage with the same words in the same order, or one whose 5-word shingles have a
    Jaccard similarity of at least 0.5 with an earlier one's: candidates from MinHash (library
    `datasketch`), then the exact similarity.

    Returns:
        The passages kept, in their order; and counts: `verbatim`, `near`, `verbatim_across_splits`,
        `near_across_splits`.
    """
    split_of: dict[str, str] = {}
    dropped: Counter[str] = Counter(
        verbatim=0, near=0, verbatim_across_splits=0, near_across_splits=0
    )
    for passage, kind, twin in repeats(sorted(passages, key=lambda p: SPLITS.index(p.split))):
        if twin:
            dropped[kind] += 1
            dropped[f"{kind}_across_splits"] += split_of[twin] != passage.split
        else:
            split_of[passage.id] = passage.split
    return [passage for passage in passages if passage.id in split_of], dict(dropped)


def repeats(
    passages: Iterable[Document], jaccard: float = JACCARD
) -> Iterator[tuple[Document, str, str]]:
    """(passage, `verbatim` or `near`, the id of a passage before it that it repeats) of each; of
    one that repeats none of those that did not themselves, the id is empty.

    Args:
        jaccard: similarity of shingles from which two passages are near-duplicates.
    """
    index = MinHashLSH(threshold=jaccard, num_perm=64)
    shingles: dict[str, frozenset[str]] = {}
    by_words: dict[str, str] = {}
    for passage in passages:
        words = WORD.findall(passage.text.lower())
        passage_shingles = shingles_of(words)
        minhash = MinHash(num_perm=64)
        minhash.update_batch([shingle.encode() for shingle in sorted(passage_shingles)])
        twin = by_words.get(" ".join(words))
        kind = "verbatim" if twin else "near"
        twin = twin or _first_similar(passage_shingles, index.query(minhash), shingles, jaccard)
        if not twin:
            index.insert(passage.id, minhash)
            shingles[passage.id] = passage_shingles
            by_words[" ".join(words)] = passage.id
        yield passage, kind, twin or ""


def shingles_of(words: Sequence[str]) -> frozenset[str]:
    """Every run of so many words; of a shorter text the whole."""
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
    return frozenset(" ".join(words[i : i + SHINGLE_WORDS]) for i in starts)


def _first_similar(
    passage_shingles: frozenset[str],
    candidates: Iterable[str],
    shingles: dict[str, frozenset[str]],
    jaccard: float,
) -> str | None:
    for other in sorted(candidates):
        shared = len(passage_shingles & shingles[other])
        if shared / (len(passage_shingles) + len(shingles[other]) - shared) >= jaccard:
            return other
    return None


def word_runs(text: str) -> list[int]:
    """A 64-bit hash of every run of 12 words, case and punctuation ignored, in order."""
    words = WORD.findall(text.lower())
    if len(words) < RUN_WORDS:
        return []
    codes = np.array([_fnv(word) for word in words], dtype=np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(codes, RUN_WORDS)
    runs = np.zeros(len(windows), dtype=np.uint64)
    for column in range(RUN_WORDS):
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + windows[:, column]
    return [int(run) for run in runs]


def _fnv(word: str) -> int:
    """FNV-1a: Python's own `hash` differs between processes."""
    value = 0xCBF29CE484222325
    for byte in word.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def copied_runs(text: str, known_runs: set[int]) -> tuple[int, int]:
    """(how many 12-word runs of `text` are in `known_runs`, how many it has)."""
    runs = word_runs(text)
    return sum(run in known_runs for run in runs), len(runs)
