"""What a mark can show: the mean evidence of a marked token, by the distribution that it was drawn
from, and how many tokens a test needs.

A token of probability p that Gumbel-max chose has the largest of 1/p uniform numbers, as it were:
−ln(1 − u) is then the largest of 1/p exponential ones, with mean ψ(1/p + 1) + γ, the harmonic
number of 1/p, and variance π²/6 − ψ′(1/p + 1). A certain token has 1, as without a key. Two keys
share that by α. Of Bernoulli lists the chance of a green choice is a mean over all lists: with
c = e^δ − 1 and G the green mass, of (1 + c) G / (1 + c G), for which 1 / (1 + c G) is the integral
of e^(−t (1 + c G)) and the mean of e^(−t c G) a product over tokens. KGW and SynthID say theirs
(`expected_value`).

Sources: Aaronson 2022; Kirchenbauer et al. 2023; Dathathri et al. 2024, supplement.
Axes: B distributions · K tokens of each.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize, special, stats
from torch import Tensor

from staged.errors import PlanError
from staged.watermarks.contract import Watermark
from staged.watermarks.kinds.gumbel import DualGumbel
from staged.watermarks.kinds.sbw import SBW
from staged.watermarks.kinds.synthid import SynthID

Floats = npt.NDArray[np.float64]
NODES = 120  # of the integral, whose integrand decays as e^−t
VOCABULARY = 1_000  # tokens of `distribution`
MOST_TOKENS = 100_000


@runtime_checkable
class KnowsMean(Protocol):
    """A scheme that says the mean of its values itself."""

    def expected_value(self, mass_BK: Tensor) -> Tensor:
        """(B,) float64: the mean value of a marked token over all keys."""


def moments(watermark: Watermark, masses_BK: Floats) -> tuple[Floats, Floats]:
    """(B,) mean and (B,) variance of a marked token's value, over keys.

    Args:
        masses_BK: ≥ 0, of the tokens that the method keeps; rows need not sum to 1. SynthID's
            variance is taken to be that of unmarked text, above which it is never.
    """
    p_BK = masses_BK / masses_BK.sum(axis=1, keepdims=True)
    if watermark.scheme == "gumbel":
        first, second = _chosen(p_BK)
        return first, second - first**2
    if isinstance(watermark, DualGumbel):
        return _dual(p_BK, watermark.alpha)
    if isinstance(watermark, SBW):
        greens = green_chance(p_BK, watermark.threshold / 2**31, watermark.delta)
        return greens, greens * (1 - greens)
    if not isinstance(watermark, KnowsMean):
        raise PlanError(f"watermark {watermark.scheme!r}: no formula for its evidence")
    mean = watermark.expected_value(torch.from_numpy(p_BK)).numpy()
    if isinstance(watermark, SynthID):
        squares = sum(weight**2 for weight in watermark.weights) / sum(watermark.weights) ** 2
        return mean, np.full_like(mean, squares * watermark.share * (1 - watermark.share))
    return mean, mean * (1 - mean)


def _chosen(p_BK: Floats) -> tuple[Floats, Floats]:
    """Mean and mean square of −ln(1 − u) of the token that Gumbel-max chose."""
    inverse = 1 / np.maximum(p_BK, 1e-12)
    mean = special.psi(inverse + 1) + np.euler_gamma
    square = mean**2 + math.pi**2 / 6 - special.polygamma(1, inverse + 1)
    return (p_BK * mean).sum(axis=1), (p_BK * square).sum(axis=1)


def _dual(p_BK: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Moments of (1 − α) A + α B, where A chose with probability 1 − α and else B."""
    first, second = _chosen(p_BK)
    mean, square = np.zeros_like(first), np.zeros_like(first)
    for chose, other in ((1 - alpha, alpha), (alpha, 1 - alpha)):  # the other one's is 1, squared 2
        mean += chose * (chose * first + other)
        square += chose * (chose**2 * second + 2 * chose * other * first + 2 * other**2)
    return mean, square - mean**2


def green_chance(p_BK: Floats, share: float, delta: float) -> Floats:
    """(B,) the chance of a green choice, over lists on which each token stands with the chance
    `share`, and whose logits are raised by `delta` > 0.

    Args:
        p_BK: rows that sum to 1.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    x, weights = (nodes + 1) / 2, weights / 2  # e^−t, in (0, 1)
    rise = math.expm1(delta)
    without_B = np.zeros(len(p_BK))
    for base, weight in zip(x, weights, strict=True):
        without_B += weight * np.exp(np.log1p(-share + share * base ** (rise * p_BK)).sum(axis=1))
    return (1 + rise) / rise * (1 - without_B)


def distribution(nats: float, *, tokens: int = VOCABULARY) -> Floats:
    """(K,) probabilities of this entropy that fall as a power of the rank, as those of words do.

    Args:
        nats: above 0, below ln(tokens).

    Raises:
        PlanError: no such entropy.
    """
    if not 0 < nats < math.log(tokens):
        raise PlanError(f"the entropy must lie between 0 and {math.log(tokens):.2f} nats")
    ranks = np.log(np.arange(1, tokens + 1))

    def falling(power: float) -> Floats:
        return np.asarray(special.softmax(-power * ranks))

    power = optimize.brentq(lambda s: float(stats.entropy(falling(s))) - nats, 0, 100)
    return falling(power)


def expected_value(watermark: Watermark, nats: float) -> float:
    """The mean evidence of a marked token where the model has so much entropy left, as
    `distribution` spreads it.
    """
    return float(moments(watermark, distribution(nats)[None])[0][0])


def tokens_needed(
    watermark: Watermark, masses_BK: Floats, *, p_value: float = 0.01, power: float = 0.5
) -> int:
    """How many marked tokens a text needs to be found, the exact null set against a normal
    approximation of the marked sum.

    Args:
        masses_BK: distributions that its tokens are drawn from, each as often.
        p_value: that a text is found at, in (0, 1).
        power: share of texts that are to be found, in (0, 1).

    Raises:
        PlanError: more than `MOST_TOKENS`, as where nothing is left to choose.
    """
    mean_B, variance_B = moments(watermark, masses_BK)
    mean, variance = mean_B.mean(), variance_B.mean() + mean_B.var()
    below = float(stats.norm.ppf(power))

    def is_found(count: int) -> bool:
        total = count * mean - below * math.sqrt(count * variance)
        return watermark.p_value(float(total), count) <= p_value

    high = 1
    while not is_found(high):
        high *= 2
        if high > MOST_TOKENS:
            raise PlanError(f"above {MOST_TOKENS:,} tokens: too little entropy for a mark to show")
    low = high // 2  # not found, or 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high
