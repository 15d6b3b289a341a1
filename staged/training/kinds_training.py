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
    weights, biases = fit.coef_, fit.intercept_
    if len(fit.classes_) == 2:  # of which scikit-learn gives the second against the first
        weights, biases = np.stack([0 * weights[0], weights[0]]), np.append(0.0, biases)
    names = tuple(map(str, fit.classes_))
    return KindReader(names, np.ascontiguousarray(weights.T, dtype=np.float32), biases.astype(np.float32))
