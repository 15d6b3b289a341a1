"""Tails of weighted sums of bits, against enumeration and simulation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.stats.weighted_bits import LEAST, weighted_bits_survival

SYNTHID = [290 - 9 * layer for layer in range(30)]


def enumerated(count: int, weights: list[int], share: Fraction) -> list[Fraction]:
    """P(S ≥ t) for every t from 0, by exact convolution."""
    mass = [Fraction(1)]
    for weight in weights * count:
        longer = [Fraction(0)] * (len(mass) + weight)
        for at, p in enumerate(mass):
            longer[at] += p * (1 - share)
            longer[at + weight] += p * share
        mass = longer
    tail, out = Fraction(0), []
    for p in reversed(mass):
        tail += p
        out.append(tail)
    return out[::-1]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 6),
    weights=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    share=st.fractions(Fraction(1, 20), Fraction(19, 20), max_denominator=64),
)
def test_every_tail_is_the_enumerated(count: int, weights: list[int], share: Fraction) -> None:
    for total, exact in enumerate(enumerated(count, weights, share)):
        ours = weighted_bits_survival(total, count, weights, float(share))
        assert ours == pytest.approx(float(exact), rel=1e-9)


def convolved(count: int, weights: list[int]) -> np.ndarray:
    """P(S ≥ t) of fair bits, by adding positive numbers only, in long doubles."""
    mass = np.ones(1, dtype=np.longdouble)
    for weight in weights * count:
        longer = np.zeros(len(mass) + weight, dtype=np.longdouble)
        longer[: len(mass)] += mass / 2
        longer[weight:] += mass / 2
        mass = longer
    return mass[::-1].cumsum()[::-1]


@pytest.mark.parametrize("count", [2, 8])
def test_synthids_tails_keep_twelve_digits_however_small(count: int) -> None:
    tails = convolved(count, SYNTHID)
    totals = np.linspace(0, len(tails) - 1, 25).astype(int)
    assert tails[totals].min() < 1e-17
    for total in totals.tolist():
        ours = weighted_bits_survival(total, count, SYNTHID, 0.5)
        assert ours == pytest.approx(max(float(tails[total]), LEAST), rel=1e-11)


def test_a_simulation_agrees_where_it_can_see() -> None:
    count, share, runs = 300, 0.47, 4000
    bits = np.random.default_rng(3).binomial(count, share, size=(runs, 30))
    sums = bits @ np.asarray(SYNTHID)
    for quantile in (0.1, 0.9, 0.99):
        total = int(np.quantile(sums, quantile))
        p = weighted_bits_survival(total, count, SYNTHID, share)
        assert abs((sums >= total).mean() - p) < 4 * (p * (1 - p) / runs) ** 0.5


def test_edges() -> None:
    assert weighted_bits_survival(0, 5, [3, 1], 0.3) == 1.0
    assert weighted_bits_survival(-4, 5, [3, 1], 0.3) == 1.0
    assert weighted_bits_survival(20, 5, [3, 1], 0.3) == pytest.approx(0.3**10)
    assert weighted_bits_survival(21, 5, [3, 1], 0.3) == LEAST
    assert weighted_bits_survival(4785 * 5000, 5000, SYNTHID, 0.5) == LEAST
    assert weighted_bits_survival(4785 * 100, 5000, SYNTHID, 0.5) == 1.0
