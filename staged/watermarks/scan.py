"""A marked passage inside unmarked text: windows of many lengths, and how often unmarked text has
one as dense.

    values in the text's order ─► of each window the exact p ─► the least ─► its p among texts of
    as many values drawn without a key

What is drawn are values, not texts: each distinct context counts once, so without the key the
values of any text are independent draws from one known distribution, and nothing else of the text
matters. So a draw serves all texts of a length and all keys, and is kept.

Axes: M drawn texts · N values of a text · L lengths of windows.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from staged.streams import derive
from staged.watermarks.contract import Watermark
from staged.watermarks.kinds.gumbel import DualGumbel
from staged.watermarks.kinds.synthid import SynthID

SHORTEST = 25  # tokens of a window
GROWTH, OVERLAP = 1.4, 8  # of lengths of windows; a window begins every eighth of its length
MOST_OF_TEXT = 0.75  # what a window may cover: the whole text has a test of its own
DRAWN, FEWEST_DRAWN, VALUES_DRAWN = 9_999, 999, 20_000_000
AT_ONCE = 2_000_000  # values held in memory

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NullValues:
    """What values are in text that knows nothing of the key: sums of independent parts.

    Attributes:
        weights: of each part; of bits whole numbers, whose sum makes a value of 1.
        chance: of a bit to be 1; None where the parts are exponential, of mean 1.
    """

    weights: tuple[float, ...]
    chance: float | None = None

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
        """Independent values."""
        if self.chance is None:
            return np.sum([w * rng.standard_exponential(shape) for w in self.weights], axis=0)
        sums = np.searchsorted(self._cumulated, rng.random(shape), side="right")
        return sums / sum(self.weights)

    @cached_property
    def _cumulated(self) -> Floats:
        """The chances of a sum of up to 0, 1, … without the last, which is 1."""
        one, chances = self.chance or 0.0, np.ones(1)
        for zeros in (np.zeros(int(weight)) for weight in self.weights):
            chances = (1 - one) * np.append(chances, zeros) + one * np.append(zeros, chances)
        return np.cumsum(chances)[:-1]


def null_values(watermark: Watermark) -> NullValues:
    """How a watermark's values are distributed in text that knows nothing of its key."""
    if isinstance(watermark, DualGumbel):
        return NullValues((1 - watermark.alpha, watermark.alpha))
    if isinstance(watermark, SynthID):
        return NullValues(watermark.weights, watermark.share)
    if watermark.scheme == "gumbel":
        return NullValues((1.0,))
    return NullValues((1,), watermark.p_value(1.0, 1))


@dataclass(frozen=True)
class Densest:
    """The window whose exact p is the least.

    Attributes:
        first, last: its values, the last one excluded.
        p_value: in (0, 1]: the chance that a text of as many values without the key has a window
            with so small a p; by Monte Carlo, the text itself counted.
    """

    first: int
    last: int
    p_value: float


def scan(values: Floats, watermark: Watermark) -> Densest | None:
    """The densest window of a text; None where it is too short to have parts.

    Args:
        values: (N,) of its pairs, in its order.

    Source: Kulldorff 1997, A spatial scan statistic; (1 + hits) / (1 + draws) of Phipson and Smyth
        2010.
    """
    drawn_as = _drawn_as(len(values))
    lengths = [length for length in _lengths(drawn_as) if length <= len(values)]
    if not lengths:
        return None
    totals, starts = zip(*(_densest(values[None], length) for length in lengths), strict=True)
    tops = [float(total[0]) for total in totals]
    p_values = [watermark.p_value(top, n) for top, n in zip(tops, lengths, strict=True)]
    best = int(np.argmin(p_values))
    first = int(starts[best][0])
    null_ML = _null_tops(null_values(watermark), drawn_as)[:, : len(lengths)]
    edges = [
        _edge(watermark, p_values[best], length, null_M)
        for length, null_M in zip(lengths, np.sort(null_ML, axis=0).T, strict=True)
    ]
    hits = int((null_ML >= np.asarray(edges)).any(axis=1).sum())
    return Densest(first, first + lengths[best], (1 + hits) / (1 + len(null_ML)))


def _drawn_as(count: int) -> int:
    """The number of values of the texts that a text is compared with: as many or up to 5% more,
    which only makes its p larger.
    """
    steps = math.ceil(math.log(max(count, 1)) / math.log(1.05) - 1e-9)
    return max(math.ceil(1.05**steps - 1e-9), count)


def _lengths(count: int) -> list[int]:
    """Of windows in a text of so many values."""
    lengths, length = [], float(SHORTEST)
    while length <= MOST_OF_TEXT * count:
        lengths.append(int(length))
        length *= GROWTH
    return lengths


def _densest(values_MN: Floats, length: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """(M,) the highest sum of `length` values in a row, and (M,) where it begins."""
    sums = np.concatenate([np.zeros((len(values_MN), 1)), np.cumsum(values_MN, axis=1)], axis=1)
    step = max(1, length // OVERLAP)
    windows = sums[:, length::step]
    windows = windows - sums[:, : sums.shape[1] - length : step]
    best = windows.argmax(axis=1)
    return windows[np.arange(len(windows)), best], best * step


def _edge(watermark: Watermark, p_value: float, length: int, sums_M: Floats) -> float:
    """The least of ascending sums of a window of this length that has at most this p; infinity
    where none has.
    """
    place = bisect_left(sums_M, -p_value, key=lambda total: -watermark.p_value(total, length))
    return float(sums_M[place]) if place < len(sums_M) else math.inf


@lru_cache(maxsize=64)
def _null_tops(null: NullValues, count: int) -> Floats:
    """(M, L) the highest sum of a window of each length in texts of so many values."""
    rng = np.random.default_rng(derive(1, "scan", str(count)))
    left = max(FEWEST_DRAWN, min(DRAWN, VALUES_DRAWN // count))
    tops = []
    while left > 0:
        rows = min(left, max(1, AT_ONCE // count))
        values = null.draw(rng, (rows, count))
        tops.append(np.stack([_densest(values, n)[0] for n in _lengths(count)], axis=1))
        left -= rows
    return np.concatenate(tops)
