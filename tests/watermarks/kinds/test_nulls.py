"""Survival functions against sums of many digits, and against counting."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import stats

from staged.watermarks.kinds.nulls import (
    binomial_survival,
    gamma_survival,
    two_gammas_survival,
)


@pytest.mark.parametrize(
    ("total", "count"),
    [(1e-9, 5), (0.3, 1), (700, 1), (63.25, 64), (296.27295787856, 64), (900, 64), (410, 400)],
)
def test_one_gamma(total: float, count: int) -> None:
    with mpmath.workdps(40):
        exact = float(mpmath.gammainc(count, mpmath.mpf(total), regularized=True))
    assert gamma_survival(total, count) == pytest.approx(exact, rel=1e-12)


def exact_sum(total: float, count: int, alpha: str) -> float:
    """A Gamma of the larger scale is a negative-binomial mixture of Gammas of the smaller one: a
    series of positive terms, in 400 digits.
    """
    with mpmath.workdps(400):
        one, weight = mpmath.mpf(1), mpmath.mpf(alpha)
        small, large = sorted((weight, one - weight))
        x, p = mpmath.mpf(total) / small, small / large
        survival = mpmath.gammainc(2 * count, x, regularized=True)
        term = mpmath.exp(-x) * x ** (2 * count) / mpmath.factorial(2 * count)
        mass, left, summed, k = p**count, one, mpmath.mpf(0), 0
        while left > mpmath.mpf(10) ** -16 * summed:
            summed, left = summed + mass * survival, left - mass
            survival, term = survival + term, term * x / (2 * count + k + 1)
            mass, k = mass * (one - p) * (count + k) / (k + 1), k + 1
        return float(summed)


@pytest.mark.parametrize(
    ("total", "count", "alpha"),
    [
        (1, 1, "0.1"),
        (30, 1, "0.1"),
        (2.5, 3, "0.9"),
        (70, 64, "0.1"),
        (300, 64, "0.1"),
        (850, 64, "0.1"),  # 1e-307
        (250, 200, "0.3"),
        (20, 20, "0.45"),
    ],
)
def test_two_gammas(total: float, count: int, alpha: str) -> None:
    exact = exact_sum(total, count, alpha)
    assert two_gammas_survival(total, count, float(alpha)) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize(("alpha", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.5, 0.5)])
def test_two_gammas_that_are_one(alpha: float, scale: float) -> None:
    for total in (0.5, 18.0, 33.0, 150.0):
        shape = 20 if scale == 1 else 40
        expected = gamma_survival(total / scale, shape)
        assert two_gammas_survival(total, 20, alpha) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("alpha", [0.1, 0.35])
def test_two_gammas_by_counting(alpha: float) -> None:
    rng = np.random.default_rng(5)
    drawn = (1 - alpha) * rng.gamma(30, size=200_000) + alpha * rng.gamma(30, size=200_000)
    for total in (24, 30, 37, 41):
        hits = int((drawn >= total).sum())
        p = two_gammas_survival(total, 30, alpha)
        assert stats.binomtest(hits, len(drawn), p).pvalue > 1e-4


def test_binomial() -> None:
    with mpmath.workdps(60):
        share = mpmath.mpf(536870911) / 2**31
        exact = sum(
            mpmath.binomial(90, k) * share**k * (1 - share) ** (90 - k) for k in range(80, 91)
        )
    assert binomial_survival(80, 90, 536870911 / 2**31) == pytest.approx(float(exact), rel=1e-11)
    assert binomial_survival(0, 90, 0.25) == 1


def test_what_a_float_cannot_hold() -> None:
    """p lies in (0, 1], whatever is asked."""
    for p in (
        gamma_survival(1e6, 10),
        two_gammas_survival(1e5, 10, 0.1),
        binomial_survival(5000, 5000, 0.25),
    ):
        assert 0 < p < 1e-300
    for p in (gamma_survival(0, 10), two_gammas_survival(0, 10, 0.1), gamma_survival(0, 0)):
        assert p == 1
    assert two_gammas_survival(0, 0, 0.1) == 1
