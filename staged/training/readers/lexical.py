"""Fits the readers of `kinds/readers/lexical.py` and `kinds/readers/kind.py`: logistic regressions
on hashed n-grams of crops.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression

from staged.detectors.kinds.readers.kind import KindReader, word_matrix
from staged.detectors.kinds.readers.lexical import LexicalReader, matrix
from staged.progress import Progress, silent
from staged.records import MACHINE
from staged.training.readers.crops import Crop, Crops

BATCHES_AT_ONCE = 100
KIND_STRENGTH = 20.0  # inverse of the ridge penalty of the reader of kinds


def train_lexical(
    crops: Crops, batches: int, *, strength: float = 10.0, progress: Progress = silent
) -> LexicalReader:
    """Fit on so many batches of crops.

    Args:
        strength: inverse of the ridge penalty, as scikit-learn's C.
        progress: called with (batches read, all).
    """
    rows: list[csr_matrix] = []
    labels: list[int] = []
    for start in range(0, batches, BATCHES_AT_ONCE):
        drawn: list[Crop] = [
            crop
            for i in range(start, min(start + BATCHES_AT_ONCE, batches))
            for crop in crops.batch(i)
        ]
        rows.append(matrix([crop.text for crop in drawn]))
        labels += [crop.example.label for crop in drawn]
        progress(min(start + BATCHES_AT_ONCE, batches), batches)
    return fit_lexical(vstack(rows).tocsr(), labels, strength=strength)


def fit_lexical(
    rows: csr_matrix,
    labels: Sequence[int],
    *,
    strength: float,
    shares: npt.NDArray[np.float64] | None = None,
) -> LexicalReader:
    """A ridge-penalised logistic regression on rows of `matrix`.

    Args:
        shares: of each row in the loss; even without any.
    """
    machine = np.asarray(labels) == MACHINE
    fit = LogisticRegression(C=strength, solver="liblinear", dual=False, max_iter=60).fit(
        rows, machine, sample_weight=shares
    )
    return LexicalReader(fit.coef_[0].astype(np.float32), float(fit.intercept_[0]))


def train_kinds(texts: Sequence[str], kinds: Sequence[str]) -> KindReader:
    """Fit on plain texts and the kind of each; every kind counts the same."""
    fit = LogisticRegression(C=KIND_STRENGTH, max_iter=200, class_weight="balanced").fit(
        word_matrix(texts), np.asarray(kinds)
    )
    weights, biases = fit.coef_, fit.intercept_
    if len(fit.classes_) == 2:  # of which scikit-learn gives the second against the first
        weights, biases = np.stack([0 * weights[0], weights[0]]), np.append(0.0, biases)
    names = tuple(map(str, fit.classes_))
    return KindReader(
        names, np.ascontiguousarray(weights.T, dtype=np.float32), biases.astype(np.float32)
    )
