"""How sums of evidence are distributed in text that knows nothing of the key: survival functions,
exact far into the tail, down to the smallest number that a float holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, gammaincc, gammaln

Numbers = NDArray[np.float64]
SMALLEST = 5e-324  # p-values lie in (0, 1]
PLAIN = 1e-250  # above it the library's own function is accurate
NEGLIGIBLE = 50.0  # nats below an integrand's peak that add nothing to a double
WIDEST = 60.0  # of a ratio's logit: beyond it lies nothing that a double could add
NODES = 400


def gamma_survival(total: float, count: int) -> float:
    """P(G ≥ total) of a Gamma(count, 1) variable, the sum of `count` standard exponential ones."""
    return _as_p(float(log_gamma_survival(count, np.array([float(total)]))[0]))


def two_gammas_survival(total: float, count: int, alpha: float) -> float:
    """P((1 − α)·A + α·B ≥ total) of two independent Gamma(count, 1) variables.

    A + B is Gamma(2·count) and independent of A / (A + B), which is Beta(count, count): given this
    ratio the event is one of a Gamma variable. The mean over the ratio is an integral over its
    logit t, smooth and decaying at both ends, for which the trapezoidal rule is exact to rounding.
    """
    if total <= 0 or count == 0:
        return 1.0

    def log_integrand(t: Numbers) -> Numbers:
        ratio = 1 / (1 + np.exp(-t))
        log_density = -count * (np.logaddexp(0, t) + np.logaddexp(0, -t)) - betaln(count, count)
        scale = (1 - alpha) * ratio + alpha / (1 + np.exp(t))
        return np.asarray(log_density + log_gamma_survival(2 * count, total / scale))

    low, high, peak = _support(log_integrand)
    t = np.linspace(low, high, NODES)
    return _as_p(peak + math.log(np.trapezoid(np.exp(log_integrand(t) - peak), t)))


def binomial_survival(hits: int, count: int, share: float) -> float:
    """P(H ≥ hits) of a Binomial(count, share) variable."""
    if hits <= 0:
        return 1.0
    return max(float(betainc(hits, count - hits + 1, share)), SMALLEST)


def log_gamma_survival(shape: float, x: Numbers) -> Numbers:
    """ln P(G ≥ x) of a Gamma(shape, 1) variable; where that underflows by Legendre's continued
    fraction (Abramowitz and Stegun 6.5.31), which converges fast there.
    """
    if shape == 0:
        return np.where(x <= 0, 0.0, -np.inf)
    survival = gammaincc(shape, np.maximum(x, 0))
    out = np.log(np.maximum(survival, PLAIN))
    far = survival < PLAIN
    if far.any():
        fraction = np.log(_legendre(shape, x[far]))
        out[far] = shape * np.log(x[far]) - x[far] - gammaln(shape) + fraction
    return out


def _legendre(shape: float, x: Numbers) -> Numbers:
    """Γ(shape, x) eˣ x^−shape for x far above the shape, by Lentz's method."""
    b = x + 1 - shape
    c, d = np.full_like(x, np.inf), 1 / b
    out = d
    for i in range(1, 10_000):
        a = -i * (i - shape)
        b = b + 2
        d = 1 / (a * d + b)
        c = b + a / c
        out = out * (c * d)
        if np.all(np.abs(c * d - 1) < 1e-15):
            break
    return out


def _support(log_of: Callable[[Numbers], Numbers]) -> tuple[float, float, float]:
    """Where on the line a function with one peak is not negligible, and the logarithm of the peak.

    Args:
        log_of: its logarithm, at an array of places.
    """
    low, high = -WIDEST, WIDEST
    while high - low > 1e-9:
        grid = np.linspace(low, high, 65)
        at = int(np.argmax(log_of(grid)))
        low, high = grid[max(at - 1, 0)], grid[min(at + 1, 64)]
    top = (low + high) / 2
    peak = float(log_of(np.array([top]))[0])
    inside, outside = np.array([top, top]), np.array([-WIDEST, WIDEST])
    for _ in range(40):  # the edges, by bisection
        middle = (inside + outside) / 2
        counts = log_of(middle) > peak - NEGLIGIBLE
        inside, outside = np.where(counts, middle, inside), np.where(counts, outside, middle)
    return float(outside[0]), float(outside[1]), peak


def _as_p(log_p: float) -> float:
    return min(max(math.exp(min(log_p, 0.0)), SMALLEST), 1.0)
