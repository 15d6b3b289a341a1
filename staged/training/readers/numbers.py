"""Fits the trees of `kinds/readers/numbers.py` on zero-shot numbers of crops, by scikit-learn's
histogram boosting.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from staged.detectors.kinds.features import FEATURES, SMOOTHER
from staged.detectors.kinds.readers.numbers import BoostedTrees

Floats = npt.NDArray[np.float64]
BOOSTING = {
    "max_iter": 200,
    "learning_rate": 0.05,
    "max_leaf_nodes": 15,
    "l2_regularization": 5.0,
    "min_samples_leaf": 30,
}


def fit_numbers(
    features: Floats, machine: npt.NDArray[np.bool_], shares: Floats, *, seed: int = 1
) -> BoostedTrees:
    """Boosted trees: features (texts, features) → log-odds; what tells that a text is smoother than
    people write (`SMOOTHER`) never counts the other way.

    Args:
        shares: of each text in the loss.
    """
    fit = HistGradientBoostingClassifier(
        **BOOSTING,
        monotonic_cst=[SMOOTHER.get(name, 0) for name in FEATURES],
        early_stopping=False,
        random_state=seed,
    )
    fit.fit(features, machine, sample_weight=shares * len(shares) / shares.sum())
    return as_trees(fit)


def as_trees(fit: HistGradientBoostingClassifier) -> BoostedTrees:
    """What scikit-learn has fitted, as arrays that are read without it."""
    # no public name; a test compares with its own predictions
    nodes = [step[0].nodes for step in fit._predictors]
    width = max(map(len, nodes))
    shape = (len(nodes), width)
    numbers = np.broadcast_to(np.arange(width), shape)
    feature, left, right = (np.zeros(shape, dtype=np.int64), numbers.copy(), numbers.copy())
    threshold, value = np.full(shape, np.inf), np.zeros(shape)
    for tree, tree_nodes in enumerate(nodes):
        inner = np.flatnonzero(tree_nodes["is_leaf"] == 0)
        feature[tree, inner] = tree_nodes["feature_idx"][inner]
        threshold[tree, inner] = tree_nodes["num_threshold"][inner]
        left[tree, inner] = tree_nodes["left"][inner]
        right[tree, inner] = tree_nodes["right"][inner]
        value[tree, : len(tree_nodes)] = tree_nodes["value"]
    depth = max(int(tree_nodes["depth"].max()) for tree_nodes in nodes)
    return BoostedTrees(
        feature, threshold, left, right, value, float(fit._baseline_prediction.item()), depth
    )
