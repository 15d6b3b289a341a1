"""Fits the reader of `kinds/kind.py` on crops of people's and machines' texts whose kind the plan names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from staged.detectors.kinds.kind import KindReader, word_matrix

STRENGTH = 20.0  # inverse of the ridge penalty


def train_kinds(texts: Sequence[str], kinds: Sequence[str]) -> KindReader:
    """Fit on plain texts and the kind of each; every kind counts the same."""
    fit = LogisticRegression(C=STRENGTH, max_iter=200, class_weight="balanced").fit(word_matrix(texts), np.asarray(kinds))
    return KindReader(
        tuple(map(str, fit.classes_)), np.ascontiguousarray(fit.coef_.T, dtype=np.float32), fit.intercept_.astype(np.float32)
    )
