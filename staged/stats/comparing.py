"""Shares with their intervals, permutations, bootstraps and sign flips: what comparisons are made
of. What comes of a family of them: `judging`.

Axes: n completions of one prompt · M measures · P permutations · R resamples.
Sources: Phipson and Smyth 2010 (a permutation p-value is never 0); Efron and Tibshirani 1993
(percentile bootstrap); Hesterberg 2015, What Teachers Should Know About the Bootstrap (its
percentiles with few values).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from staged.streams import derive

CONFIDENCE = 0.95
TOLERANCE = 1e-12  # sums of the same numbers in another order are still equal

AT_ONCE = 1000  # permutations held in memory; part of what determines the bytes

Floats = npt.NDArray[np.float64]


def rate(hits: int, n: int) -> tuple[float, float, float]:
    """A share with its 95% Wilson interval: (estimate, low, high), fractions.

    Args:
        hits, n: 0 ≤ hits ≤ n, n ≥ 1.
    """
    return hits / n, *wilson(hits, n)


def wilson(hits: float, n: float) -> tuple[float, float]:
    """The 95% interval of a share of `n` things, which need be no whole number: (low, high),
    fractions.

    Source: Wilson 1927.
    """
    low, high = proportion_confint(hits, n, alpha=1 - CONFIDENCE, method="wilson")
    return 0.0 if hits == 0 else float(low), 1.0 if hits == n else float(high)


def exact(hits: int, n: int) -> tuple[float, float]:
    """The exact 95% interval of a share of `n` ≥ 1 things: (low, high), fractions.

    Source: Clopper and Pearson 1934.
    """
    low, high = proportion_confint(hits, n, alpha=1 - CONFIDENCE, method="beta")
    return float(low), float(high)


class Difference(NamedTuple):
    """A difference of means: observed (M,), and under permuted labels (P, M)."""

    observed: Floats
    null: Floats


class Moments(NamedTuple):
    """Mean and mean square of resampled completions, each (R, M)."""

    mean: Floats
    square: Floats


def stream(seed: int, *names: str) -> np.random.Generator:
    """The random numbers of one named part of a run."""
    return np.random.default_rng(derive(seed, *names))


def permuted_difference(
    x_nM: Floats, y_nM: Floats, permutations: int, rng: np.random.Generator
) -> Difference:
    """mean(x) − mean(y), and the same with the two labels dealt anew among completions of this one
    prompt.
    """
    both = np.concatenate([x_nM, y_nM])
    labels = np.arange(len(both)) < len(x_nM)
    sums_PM = np.concatenate([_dealt(labels, rows, rng) @ both for rows in _portions(permutations)])
    null = sums_PM / len(x_nM) - (both.sum(axis=0) - sums_PM) / len(y_nM)
    return Difference(x_nM.mean(axis=0) - y_nM.mean(axis=0), null)


def _dealt(labels_n: npt.NDArray[np.bool_], rows: int, rng: np.random.Generator) -> Floats:
    """(rows, n) of 0 and 1: the labels in random orders."""
    return rng.permuted(np.tile(labels_n, (rows, 1)), axis=1).astype(np.float64)


def _portions(permutations: int) -> list[int]:
    return [min(AT_ONCE, permutations - done) for done in range(0, permutations, AT_ONCE)]


def resampled_moments(x_nM: Floats, resamples: int, rng: np.random.Generator) -> Moments:
    """Moments of n completions drawn with replacement from those of one prompt."""
    n = len(x_nM)
    weights_Rn = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    return Moments(weights_Rn @ x_nM, weights_Rn @ x_nM**2)


def p_value(observed: float, null_P: Floats) -> float:
    """Two-sided: the share of permutations at least as far from 0, the observed labels counted as
    one.
    """
    return float(1 + np.sum(np.abs(null_P) >= abs(observed) - TOLERANCE)) / (len(null_P) + 1)


def sign_flips(differences_k: Floats, permutations: int, rng: np.random.Generator) -> float:
    """p of k paired differences whose signs would be arbitrary if nothing distinguished the two
    sides; at least 2 / 2^k.
    """
    signs_Pk = rng.choice((-1.0, 1.0), size=(permutations, len(differences_k)))
    return p_value(float(differences_k.mean()), signs_Pk @ differences_k / len(differences_k))


def resampled_means(values_k: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """(R,) means of k values drawn with replacement; values that depend on each other:
    `study.metrics.clustered_means`.
    """
    return values_k[rng.integers(len(values_k), size=(resamples, len(values_k)))].mean(axis=1)


def interval(resampled_R: Floats) -> tuple[float, float]:
    """The middle 95% of a bootstrap."""
    low, high = np.quantile(resampled_R, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def widened_interval(resampled_R: Floats, n: int) -> tuple[float, float]:
    """The middle 95% of a bootstrap of n values, its percentiles moved outwards to make up for few
    (Hesterberg 2015, §4.3).
    """
    t = float(stats.t.isf((1 - CONFIDENCE) / 2, n - 1)) * math.sqrt(n / (n - 1))
    outside = float(stats.norm.sf(t))
    low, high = np.quantile(resampled_R, [outside, 1 - outside])
    return float(low), float(high)
