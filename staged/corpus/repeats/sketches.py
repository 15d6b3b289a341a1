"""What is kept of a text so that texts like it can be found: MinHash bands that find candidates,
and the smallest of its shingles' hashes, which tell how similar two are.

A text's shingles are those of `duplicates.py`: every run of 5 words, of a shorter text the whole.

Sources: Broder, On the resemblance and containment of documents, 1997 (MinHash and the smallest k);
Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, ch. 3 (bands).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from staged.corpus.duplicates import SHINGLE_WORDS, WORD

HASHES = 128
MISSED_AT_MOST = 0.01  # of pairs that are just as similar as the threshold
SKETCH = 256  # hashes: a text with no more shingles is compared exactly
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Bands:
    """How signatures are compared: two texts are candidates where all rows of one band agree."""

    bands: int
    rows: int

    def missed(self, similarity: float) -> float:
        """The probability that a pair of this Jaccard similarity is no candidate."""
        return float((1 - similarity**self.rows) ** self.bands)


def bands_for(threshold: float) -> Bands:
    """The longest bands, which give the fewest candidates, that miss at most 1 in 100 pairs at the
    threshold itself, and fewer of what is more similar.

    Args:
        threshold: Jaccard similarity, above 0, at most 1.
    """
    fitting = [
        bands
        for rows in range(1, HASHES + 1)
        if (bands := Bands(HASHES // rows, rows)).missed(threshold) <= MISSED_AT_MOST
    ]
    return max(fitting, key=lambda bands: bands.rows, default=Bands(HASHES, 1))


@dataclass(frozen=True)
class Sketches:
    """Of a run of texts.

    Attributes:
        keys: [texts, bands], a number for each band of each text.
        smallest: the hashes kept of all texts, one text after another, each ascending.
        bounds: [texts + 1], where each text's begin in `smallest`, and the last one's end.
        words: [texts], a number for each text's words in their order.
    """

    keys: Hashes
    smallest: Hashes
    bounds: npt.NDArray[np.int64]
    words: Hashes


def sketches_of(texts: Sequence[str], bands: Bands) -> Sketches:
    """Sketches of texts, none of which is empty; one without a word is taken by what white space
    separates.
    """
    spelled = [WORD.findall(text.lower()) or text.split() for text in texts]
    shingles = [_shingles(words) for words in spelled]
    smallest = [one[:SKETCH] for one in shingles]
    bounds = np.cumsum([0, *map(len, smallest)], dtype=np.int64)
    words = np.array([_digest(" ".join(words)) for words in spelled], dtype=np.uint64)
    return Sketches(_keys(shingles, bands), np.concatenate(smallest), bounds, words)


def similarity(one: Hashes, other: Hashes) -> float:
    """Jaccard similarity of two texts by what is kept of them: exact up to 256 shingles, above with
    a standard error of at most 0.032, √(s(1 − s)/256).
    """
    last = min(
        (int(hashes[-1]) for hashes in (one, other) if len(hashes) == SKETCH),
        default=2**64 - 1,
    )
    one, other = (hashes[hashes <= np.uint64(last)] for hashes in (one, other))
    shared = len(np.intersect1d(one, other, assume_unique=True))
    both = len(one) + len(other) - shared
    return shared / both if both else 0.0


def _shingles(words: Sequence[str]) -> Hashes:
    """A 64-bit hash of each shingle, once, ascending."""
    codes = np.array([_number(word) for word in words], dtype=np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(codes, min(SHINGLE_WORDS, len(codes)))
    hashes = np.zeros(len(windows), dtype=np.uint64)
    for column in windows.T:
        hashes = _mixed(hashes * GOLDEN + column)
    return np.unique(hashes)


def _keys(shingles: Sequence[Hashes], bands: Bands) -> Hashes:
    """Band keys of each text: [texts, bands]."""
    keys = np.zeros((len(shingles), bands.bands), dtype=np.uint64)
    together = np.concatenate(shingles)
    starts = np.cumsum([0, *map(len, shingles[:-1])])
    for number, (factor, addend) in enumerate(_permutations(bands.bands * bands.rows)):
        least = np.minimum.reduceat(together * factor + addend, starts)
        band = number // bands.rows
        keys[:, band] = _mixed(keys[:, band] * GOLDEN + least + np.uint64(band + 1))
    return keys


def _permutations(count: int) -> Iterator[tuple[np.uint64, np.uint64]]:
    """(odd factor, addend) of each: x → factor · x + addend mod 2⁶⁴ permutes what is hashed
    already.
    """
    draws = np.random.Generator(np.random.Philox(key=np.array([1, 74], dtype=np.uint64)))
    numbers = draws.integers(0, 2**64, size=(count, 2), dtype=np.uint64)
    return ((factor | np.uint64(1), addend) for factor, addend in numbers)


def _mixed(numbers: Hashes) -> Hashes:
    """SplitMix64's last steps: every bit of a number changes all others."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


@lru_cache(maxsize=1 << 16)
def _number(word: str) -> int:
    return _digest(word)


def _digest(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
