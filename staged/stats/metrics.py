"""The study's statistics, each with its interval; the only home of AUROC, shares of clustered
things, and paired tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from staged.stats.comparing import CONFIDENCE, exact, rate, wilson


def ratio(hits: Sequence[int], counts: Sequence[int]) -> tuple[float, float, float]:
    """A share of things that come in clusters, such as 12-word runs in texts: (estimate, low,
    high), fractions.

    The things of one cluster may depend on each other. The 95% interval is Wilson's for the number
    of independent things that would be as uncertain: n divided by the design effect, corrected by
    Student's t. Its degrees of freedom are the clusters with a hit, or with a miss if those are
    fewer: one cluster with a hit says little of how large such hits are. Where all things agree
    that number is the clusters', as if a cluster went one way whole; one cluster that is divided
    says nothing. With one thing a cluster it is `rate`.

    Args:
        hits, counts: per cluster, 0 ≤ hits ≤ counts; at least one count above 0.

    Source: Cochran 1977, section 2.11; Korn and Graubard 1998, whose degrees of freedom are the
    clusters' alone; with Wilson's interval, Franco et al. 2019.
    """
    c = np.asarray(counts, dtype=float)
    h, c = np.asarray(hits, dtype=float)[c > 0], c[c > 0]
    n, share = float(c.sum()), float(h.sum() / c.sum())
    if n == len(c):
        return rate(int(h.sum()), len(c))
    effective = float(len(c))
    if 0 < share < 1:
        if len(c) == 1:
            return share, 0.0, 1.0
        variance = _variance((h - share * c) / n)
        effective = min(share * (1 - share) / variance, n) if variance else n
        freedom = min(len(c) - 1, int((h > 0).sum()), int((h < c).sum()))
        effective *= (
            float(stats.norm.ppf((1 + CONFIDENCE) / 2) / stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
            ** 2
        )
    return share, *wilson(share * effective, effective)


def auroc(human: Sequence[float], machine: Sequence[float]) -> tuple[float, float, float]:
    """Probability that a machine text scores above a human one, ties half: (estimate, low, high).

    The 95% interval is DeLong's on the logit scale, which keeps it within [0, 1]. Where every pair
    is in order DeLong's variance is 0; then the bounds are those of the exact binomial with the
    smaller class's n.

    Source: DeLong et al. 1988; mid-rank form of Sun and Xu 2014.
    """
    above_h, below_m = _placements(human, machine)
    area = float(above_h.mean())
    if area in (0.0, 1.0):
        return area, *_one_sided(area, min(len(human), len(machine)))
    return area, *_on_logits(
        area,
        math.sqrt(np.var(above_h, ddof=1) / len(above_h) + np.var(below_m, ddof=1) / len(below_m)),
    )


def clustered_auroc(
    human: Sequence[float],
    machine: Sequence[float],
    human_clusters: Sequence[int],
    machine_clusters: Sequence[int],
) -> tuple[float, float, float]:
    """`auroc` of texts that come in clusters, such as all that was made from one source: (estimate,
    low, high).

    Texts of one cluster may depend on each other, within a class and across; clusters are
    independent. The variance sums each text's placement over its cluster. Without two texts in any
    cluster it is `auroc`.

    Args:
        human_clusters, machine_clusters: the cluster of each text; the same number means the same
            cluster in both.

    Source: Obuchowski 1997, with DeLong's placements.
    """
    clusters = np.concatenate([np.asarray(machine_clusters), np.asarray(human_clusters)])
    named, place = np.unique(clusters, return_inverse=True)
    if len(named) == len(clusters):
        return auroc(human, machine)
    above_h, below_m = _placements(human, machine)
    area = float(above_h.mean())
    fewest = min(len(np.unique(human_clusters)), len(np.unique(machine_clusters)))
    if area in (0.0, 1.0):
        return area, *_one_sided(area, fewest)
    if len(named) == 1:
        return area, 0.0, 1.0  # nothing to see a spread in
    parts = np.concatenate([(above_h - area) / len(above_h), (below_m - area) / len(below_m)])
    return area, *_on_logits(area, math.sqrt(_variance(np.bincount(place, weights=parts))))


def clustered_rate(hits: Sequence[bool], clusters: Sequence[int]) -> tuple[float, float, float]:
    """`ratio` of things of which each says its cluster: (estimate, low, high), fractions.

    Args:
        hits, clusters: of each thing, at least one, whether it is counted, and the cluster it
            belongs to.
    """
    place = np.unique(clusters, return_inverse=True)[1]
    return ratio(np.bincount(place, weights=hits).tolist(), np.bincount(place).tolist())


def _variance(sums: np.ndarray) -> float:
    """Variance of a sum of clusters' sums, each of mean 0, which are independent of each other."""
    return float(len(sums) / (len(sums) - 1) * (sums**2).sum())


def _placements(human: Sequence[float], machine: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The share of human texts that each machine text is above, and of machine texts that each
    human text is below; ties half.
    """
    h, m = np.asarray(human, dtype=float), np.asarray(machine, dtype=float)
    ranks = stats.rankdata(np.concatenate([m, h]))
    above = (ranks[: len(m)] - stats.rankdata(m)) / len(h)
    return above, 1 - (ranks[len(m) :] - stats.rankdata(h)) / len(m)


def _one_sided(area: float, n: int) -> tuple[float, float]:
    return exact(round(area * n), n)


def _on_logits(area: float, se: float) -> tuple[float, float]:
    centre = math.log(area / (1 - area))
    spread = stats.norm.ppf((1 + CONFIDENCE) / 2) * se / (area * (1 - area))
    return 1 / (1 + math.exp(-(centre - spread))), 1 / (1 + math.exp(-(centre + spread)))


def mcnemar(right_a: Sequence[bool], right_b: Sequence[bool]) -> tuple[int, int, float]:
    """Paired comparison of two accuracies: (pairs only a has right, pairs only b has right,
    two-sided exact p).

    Args:
        right_a, right_b: whether each of the same n pairs was decided rightly.

    Source: McNemar 1947, in its exact binomial form.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    discordant = only_a + only_b
    p = float(stats.binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0
    return only_a, only_b, p


def paired_difference(only_a: int, only_b: int, n: int) -> tuple[float, float, float]:
    """Difference of two accuracies on the same n pairs: (estimate, low, high), fractions; 95% by
    the normal approximation.

    Source: Agresti 2013, section 11.1.
    """
    difference = (only_a - only_b) / n
    se = math.sqrt(max(only_a + only_b - (only_a - only_b) ** 2 / n, 0)) / n
    spread = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * se
    return difference, max(difference - spread, -1.0), min(difference + spread, 1.0)


def named(what: str, interval: tuple[float | None, float | None, float | None]) -> dict[str, Any]:
    """(value, low, high) under the names that a row's fields have: `what`, `what_low`,
    `what_high`.
    """
    return dict(zip((what, f"{what}_low", f"{what}_high"), interval, strict=True))


def clustered_means(
    values_NK: np.ndarray, clusters: Sequence[Any], *, draws: int, seed: int
) -> np.ndarray:
    """Means of K columns over `draws` bootstrap samples of whole clusters, (draws, K); columns keep
    to each other.

    Args:
        values_NK: one row a text.
        clusters: of each text the cluster it belongs to; clusters are independent of each other.

    Source: Davison and Hinkley 1997, section 3.8.
    """
    named, place = np.unique(np.asarray(clusters), return_inverse=True)
    sums_CK = np.zeros((len(named), values_NK.shape[1]))
    np.add.at(sums_CK, place, values_NK)
    taken_DC = np.random.default_rng(seed).multinomial(
        len(named), np.full(len(named), 1 / len(named)), size=draws
    )
    return np.asarray(taken_DC @ sums_CK / (taken_DC @ np.bincount(place))[:, None])
