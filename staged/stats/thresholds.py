"""Where a score becomes a verdict: by a false-positive rate that it keeps, or by the best
accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from staged.records import MACHINE

Scores = Sequence[float] | npt.NDArray[np.float64]


def threshold_at_fpr(human_scores: Scores, fpr: float) -> float:
    """The lowest threshold whose conformal false-positive rate is at most `fpr`.

    A new human text passes it with probability at most fpr, since p = (1 + #{human ≥ s}) / (n + 1)
    ≤ fpr exactly above it.

    Args:
        human_scores: n calibration scores.
        fpr: in (0, 1).

    Returns:
        The threshold; infinity when n + 1 < 1 / fpr, as then no score can certify the rate.

    Source: Vovk et al. 2005, chapter 2.
    """
    allowed = math.floor(fpr * (len(human_scores) + 1) + 1e-9) - 1
    if allowed < 0:
        return math.inf
    return float(np.sort(np.asarray(human_scores, dtype=float))[::-1][allowed])


def best_threshold(scores: Scores, labels: Sequence[int]) -> float:
    """The threshold with the best accuracy; of equals the one in the widest gap between
    neighbouring scores.

    Args:
        scores, labels: at least one text; labels are HUMAN or MACHINE.
    """
    order = np.argsort(np.asarray(scores), kind="stable")
    sorted_scores = np.asarray(scores, dtype=float)[order]
    machine = np.asarray(labels)[order] == MACHINE
    # Cutting before position i calls i … n−1 machine.
    right = np.concatenate([[0], np.cumsum(~machine)]) + np.concatenate(
        [np.cumsum(machine[::-1])[::-1], [0]]
    )
    edges = np.concatenate([[sorted_scores[0] - 2.0], sorted_scores, [sorted_scores[-1] + 2.0]])
    gaps = edges[1:] - edges[:-1]
    possible = np.where(gaps > 0, right, -1)
    best = np.flatnonzero(possible == possible.max())
    cut = best[np.argmax(gaps[best])]
    return float((edges[cut] + edges[cut + 1]) / 2)
