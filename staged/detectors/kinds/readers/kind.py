"""What kind of text a text is: a news report, a review, a pupil's essay. A verdict compares it with
human texts of that kind.

Measures  which words a text uses, against those of the kinds that it learned; not who wrote it.
Fails     on kinds that it never saw, which it takes for the nearest; so every kind that a text may
          be of counts (`plausible`).
Cost      0.3 ms for 400 words; no model.
Source    multinomial logistic regression on hashed words and pairs of words; ours:
          the plan `evidence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.special import softmax

from staged.detectors.kinds.readers.arrays import read_arrays, write_arrays
from staged.detectors.kinds.readers.lexical import unit_rows, word_grams
from staged.errors import CheckpointError

FILE = "kinds.npz"
BUCKETS = 2**15
PLAUSIBLE = 0.3  # posterior probability from which a text may be of a kind


@dataclass(frozen=True)
class KindReader:
    """Kinds of text by their words.

    Attributes:
        kinds: their names.
        weights: (`BUCKETS`, kinds) float32.
        biases: (kinds,).
    """

    kinds: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]

    def shares(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """(texts, kinds) the posterior probability of each kind, of plain texts."""
        shares: npt.NDArray[np.float64] = softmax(
            word_matrix(texts) @ self.weights + self.biases, axis=1
        )
        return shares

    def plausible(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Of each plain text the kinds that it may be of, the likeliest first; at least one."""
        return [plausible_kinds(self.kinds, row) for row in self.shares(texts)]


def plausible_kinds(kinds: Sequence[str], shares: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """The kinds whose share is at least `PLAUSIBLE`, the likeliest first; at least one."""
    order = np.argsort(-shares, kind="stable")
    return tuple(kinds[i] for n, i in enumerate(order) if n == 0 or shares[i] >= PLAUSIBLE)


def word_matrix(texts: Sequence[str]) -> csr_matrix:
    """(texts, `BUCKETS`), each row of length 1: which words and pairs of words a text has."""
    return unit_rows([word_grams(text) % BUCKETS for text in texts], BUCKETS)


def save_kinds(folder: Path, reader: KindReader) -> None:
    """Write `kinds.npz`, weights in 16 bits, which `load_kinds` reads."""
    write_arrays(
        folder / FILE,
        kinds=np.asarray(reader.kinds),
        weights=reader.weights.astype(np.float16),
        biases=reader.biases,
    )


def load_kinds(folder: Path) -> KindReader:
    """Read what `save_kinds` wrote; nothing in it is executed.

    Raises:
        CheckpointError: missing or damaged.
    """
    arrays = read_arrays(folder / FILE, kinds=(None,), weights=(BUCKETS, None), biases=(None,))
    if not len(arrays["kinds"]) == arrays["weights"].shape[1] == len(arrays["biases"]):
        raise CheckpointError(
            f"{folder / FILE}: has other numbers of kinds, weights and biases; it is damaged"
        )
    return KindReader(
        tuple(arrays["kinds"].tolist()), arrays["weights"].astype(np.float32), arrays["biases"]
    )
