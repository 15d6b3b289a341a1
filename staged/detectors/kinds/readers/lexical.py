"""A reader of words and phrases: hashed n-grams, weighed by a linear model.

Measures  which words, phrases and endings a text uses, against those of people and of language
          models.
Fails     on machine text that keeps to plain words (base models, whose words are people's), and on
          topics that only one class of its training texts had.
Cost      0.5 ms for 400 words; no model.
Source    hashing: Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning";
          ours: the plan `evidence`.
Threshold none of its own: `evidence` adds its log-odds to the other readers'.

The weights are linear in the n-grams, so what each phrase adds to the text's log-odds is exact:
`contributions`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import regex
from scipy.sparse import csr_matrix

from staged.detectors.kinds.readers.arrays import read_arrays, write_arrays

FILE = "lexical.npz"
BUCKETS = 2**20
WORDS, LETTERS = (1, 2, 3), (4,)  # lengths of n-grams: of words and marks, of characters
_TOKEN = regex.compile(r"\p{L}[\p{L}\p{M}]*(?:'\p{L}+)*|\d+|[^\w\s]")
_DIGIT = regex.compile(r"\d")
_TURN, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of one text.

    Attributes:
        buckets: (N,) which of `BUCKETS` each falls into.
        starts, ends: (N,) its characters start … end − 1.
    """

    buckets: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


def grams(text: str) -> Grams:
    """The n-grams of a plain text (`kinds/readers/plain.py`), in order of kinds and places; a digit
    is as good as any other.
    """
    small = _small(text)
    codes, spans = _tokens(small)
    letters = np.frombuffer(small.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    places = np.arange(len(letters))
    every = [_runs(codes, spans[:, 0], spans[:, 1], n, salt=n) for n in WORDS]
    every += [_runs(letters, places, places + 1, n, salt=100 + n) for n in LETTERS]
    return Grams(*(np.concatenate(parts) for parts in zip(*every, strict=True)))


def word_grams(text: str) -> npt.NDArray[np.int64]:
    """Buckets of the words and pairs of neighbouring words of a plain text."""
    codes, spans = _tokens(_small(text))
    return np.concatenate([_runs(codes, spans[:, 0], spans[:, 1], n, salt=n)[0] for n in (1, 2)])


def _small(text: str) -> str:
    """In small letters, character for character, each digit 0."""
    small = text.lower()
    if len(small) != len(text):  # some capitals have two small letters
        small = "".join(character.lower()[:1] for character in text)
    return _DIGIT.sub("0", small)


def _tokens(small: str) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """A code for each word and mark, and its characters start … end − 1 (tokens, 2)."""
    spans = np.asarray([token.span() for token in _TOKEN.finditer(small)], dtype=np.int64).reshape(
        -1, 2
    )
    return (
        np.asarray(
            [zlib.crc32(small[a:b].encode("utf-8", "replace")) for a, b in spans], dtype=np.uint64
        ),
        spans,
    )


def _runs(
    codes: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    n: int,
    *,
    salt: int,
) -> tuple[npt.NDArray[np.int64], ...]:
    """Buckets, starts and ends of every n neighbours."""
    count = max(len(codes) - n + 1, 0)
    mixed = np.full(count, salt, dtype=np.uint64)
    for i in range(n):
        mixed = (mixed ^ codes[i : i + count]) * _TURN
        mixed ^= mixed >> np.uint64(29)
    mixed = (mixed * _MIX) >> np.uint64(64 - BUCKETS.bit_length() + 1)
    return mixed.astype(np.int64), starts[:count], ends[n - 1 : n - 1 + count]


def matrix(texts: Sequence[str]) -> csr_matrix:
    """(texts, `BUCKETS`), each row of length 1: which n-grams a text has, not how often."""
    return unit_rows([grams(text).buckets for text in texts], BUCKETS)


def unit_rows(buckets: Sequence[npt.NDArray[np.int64]], width: int) -> csr_matrix:
    """(texts, width) of the buckets of each text's n-grams: each row of length 1, which there are,
    not how often.
    """
    rows = [np.unique(row) for row in buckets]
    lengths = np.asarray([len(row) for row in rows], dtype=np.int64)
    values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    columns = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    return csr_matrix((values, columns, np.append(0, np.cumsum(lengths))), shape=(len(rows), width))


@dataclass(frozen=True)
class LexicalReader:
    """Log-odds of machine against human by words and phrases.

    Attributes:
        weights: (`BUCKETS`,) float32, log-odds of each n-gram in a text that has it alone.
        bias: log-odds of a text without any.
    """

    weights: npt.NDArray[np.float32]
    bias: float

    def log_odds(self, texts: Sequence[str]) -> Floats:
        """(texts,) of plain texts."""
        return np.asarray(matrix(texts) @ self.weights, dtype=np.float64) + self.bias

    def contributions(self, text: str) -> Floats:
        """(characters,) what each character of a plain text adds to its log-odds; they sum to the
        log-odds without the bias.

        An n-gram's weight is shared evenly among its characters; one that comes several times among
        its places.
        """
        text_grams = grams(text)
        _, place, counts = np.unique(text_grams.buckets, return_inverse=True, return_counts=True)
        shares = (
            self.weights[text_grams.buckets]
            / np.sqrt(max(len(counts), 1))
            / counts[place]
            / (text_grams.ends - text_grams.starts)
        )
        steps = np.zeros(len(text) + 1)
        np.add.at(steps, text_grams.starts, shares)
        np.add.at(steps, text_grams.ends, -shares)
        return np.cumsum(steps)[:-1]


def save_lexical(folder: Path, reader: LexicalReader) -> None:
    """Write `lexical.npz`, weights in 16 bits, which `load_lexical` reads."""
    write_arrays(
        folder / FILE, weights=reader.weights.astype(np.float16), bias=np.float64(reader.bias)
    )


def load_lexical(folder: Path) -> LexicalReader:
    """Read what `save_lexical` wrote; nothing in it is executed.

    Raises:
        CheckpointError: missing or damaged.
    """
    arrays = read_arrays(folder / FILE, weights=(BUCKETS,), bias=())
    return LexicalReader(arrays["weights"].astype(np.float32), float(arrays["bias"]))
