"""Fits the reader of `kinds/lexical.py`: a logistic regression on hashed n-grams of crops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression

from staged.detectors.kinds.lexical import LexicalReader, matrix
from staged.progress import Progress, silent
from staged.records import MACHINE
from staged.training.crops import Crop, Crops

BATCHES_AT_ONCE = 100


def train_lexical(crops: Crops, batches: int, *, strength: float = 10.0, progress: Progress = silent) -> LexicalReader:
    """Fit on so many batches of crops.

    Args:
        strength: inverse of the ridge penalty, as scikit-learn's C.
        progress: called with (batches read, all).
    """
    rows: list[csr_matrix] = []
    labels: list[int] = []
    for start in range(0, batches, BATCHES_AT_ONCE):
        some: list[Crop] = [crop for i in range(start, min(start + BATCHES_AT_ONCE, batches)) for crop in crops.batch(i)]
        rows.append(matrix([crop.text for crop in some]))
        labels += [crop.example.label for crop in some]
        progress(min(start + BATCHES_AT_ONCE, batches), batches)
    return fit_lexical(vstack(rows).tocsr(), labels, strength=strength)


def fit_lexical(
    rows: csr_matrix, labels: Sequence[int], *, strength: float, shares: npt.NDArray[np.float64] | None = None
) -> LexicalReader:
    """A ridge-penalised logistic regression on rows of `matrix`.

    Args:
        shares: of each row in the loss; even without any.
    """
    machine = np.asarray(labels) == MACHINE
    fit = LogisticRegression(C=strength, solver="liblinear", dual=False, max_iter=60).fit(rows, machine, sample_weight=shares)
    return LexicalReader(fit.coef_[0].astype(np.float32), float(fit.intercept_[0]))
