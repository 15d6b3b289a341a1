"""How weighted sums of independent bits are distributed, exactly, far into the tail.

The transform of such a sum is a short product. It is inverted for the tilted sum, whose mean lies
at the value asked for: that adds numbers of one size, so the rounding is relative to the tail, not
to 1, however small the tail is. Source: Cramér 1938 (tilting); Esscher 1932.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

LEAST = sys.float_info.min  # tails below it are given as this
# What lies further from a tilted sum's mean than this many of its largest possible standard
# deviations has a chance below 1e-17 (Hoeffding 1963).
REACH = 9.0
NEGLIGIBLE = 50.0  # nats below the largest term: adds nothing to a double
AT_ONCE = 1 << 18  # frequencies that are held in memory

Numbers = npt.NDArray[np.float64]


def weighted_bits_survival(total: int, count: int, weights: Sequence[int], share: float) -> float:
    """P(S ≥ total), at least the smallest normal float, where S is the sum of `count` independent
    copies of Σ w·bit, each bit 1 with the chance `share`.

    Args:
        weights: > 0.
        share: in (0, 1).
    """
    most = count * sum(weights)
    if total <= 0:
        return 1.0
    if total > most:
        return LEAST
    if total == most:
        return _bounded(count * len(weights) * math.log(share))
    if total <= share * most:  # the smaller tail is the accurate one
        return 1 - weighted_bits_survival(most - total + 1, count, weights, 1 - share)
    w = np.asarray(weights, dtype=np.float64)
    spread = math.sqrt(count * float(w @ w)) / 2  # the largest that any tilt gives the sum
    tilt = _tilt(total / count, w, share, least=1 / spread)
    mean = count * float(w @ _tilted(w, share, tilt))
    low = max(0, math.floor(mean - REACH * spread))
    high = min(most, math.ceil(mean + REACH * spread))
    start = max(total, low)
    if start > high:
        return LEAST
    inside = _above(start, low, high, count, w, share, tilt)
    log_scale = count * float(np.logaddexp(math.log1p(-share), math.log(share) + tilt * w).sum())
    return _bounded(log_scale - tilt * start + math.log(inside))


def _bounded(log_p: float) -> float:
    return min(max(math.exp(min(log_p, 0.0)), LEAST), 1.0)


def _tilted(w: Numbers, share: float, tilt: float) -> Numbers:
    """The chance of each bit where a sum s is e^(tilt·s) times as likely as it is."""
    return expit(tilt * w + math.log(share) - math.log1p(-share))


def _tilt(mean: float, w: Numbers, share: float, *, least: float) -> float:
    """The tilt that gives one copy this mean, at least `least`."""

    def excess(tilt: float) -> float:
        return float(w @ _tilted(w, share, tilt)) - mean

    if excess(least) >= 0:
        return least
    high = 2 * least
    while excess(high) < 0 and high < 1e3:
        high *= 2
    return float(brentq(excess, high / 2, high)) if excess(high) > 0 else high


def _above(
    start: int, low: int, high: int, count: int, w: Numbers, share: float, tilt: float
) -> float:
    """Σ e^(−tilt·(s − start))·P(tilted sum = s) for s from `start` to `high`; outside `low` …
    `high` it has no mass.

    A sum over frequencies, of which one half mirrors the other.
    """
    period = high - low + 1
    bits = _tilted(w, share, tilt)
    result = 0.0
    for first in range(0, period // 2 + 1, AT_ONCE):
        frequencies = np.arange(first, min(first + AT_ONCE, period // 2 + 1))
        frequencies, transform = _transform(frequencies, 2 * np.pi / period, w, bits, count)
        turn = 2 * np.pi / period * frequencies
        step = -tilt - 1j * turn
        series = np.expm1((high - start + 1) * step) / np.expm1(step)
        mirrored = np.where((frequencies == 0) | (2 * frequencies == period), 1.0, 2.0)
        terms = transform**count * np.exp(-1j * turn * start) * series
        result += float(mirrored @ terms.real)
    return max(result / period, LEAST)


def _transform(
    frequencies: npt.NDArray[np.int64], turn: float, w: Numbers, bits: Numbers, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.complex128]]:
    """The frequencies at which the transform of `count` copies is not negligible, and one copy's
    there.

    Each factor shrinks it, so a frequency that became negligible is dropped at once.
    """
    transform = np.ones(len(frequencies), dtype=np.complex128)
    for weight, bit in zip(w, bits, strict=True):
        transform = transform * (1 - bit + bit * np.exp(1j * turn * weight * frequencies))
        counts = np.abs(transform) > math.exp(-NEGLIGIBLE / count)
        frequencies, transform = frequencies[counts], transform[counts]
    return frequencies, transform
