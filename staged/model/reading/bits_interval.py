"""How far a text's bits per byte may lie from what more text like it would give: a 95% interval
from the text's own parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from staged.model.reading.likelihood import Nats

CONFIDENCE = 0.95
UNITS_AT_LEAST = 10  # fewer give no interval
BLOCKS = 30  # few and long, so that neighbours hardly depend on each other
BLOCK_TOKENS_AT_LEAST = 256

Totals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """95% interval of bits per byte; `unit` is what it was drawn over: `documents` or `blocks` of
    consecutive tokens.
    """

    low: float
    high: float
    unit: str
    units: int


def bits_per_byte_interval(
    nats: Sequence[Nats], sizes: Sequence[npt.NDArray[np.int64]]
) -> Interval | None:
    """95% interval of bits per byte, by the ratio estimator over units that are nearly independent
    of each other.

    The units are the documents where these are worth at least 10 equal ones; it then speaks of
    other documents of this kind. Else the text is cut into 30 equal runs of tokens (fewer, so that
    a run has 256); it then speaks of more text like this one. Student's t has as many degrees of
    freedom as equal units would, (Σb)²/Σb² − 1.

    Args:
        nats, sizes: per document, the nats and the bytes of each token.

    Returns:
        None where there would be fewer than 10 units.

    Source: Cochran 1977, section 2.11 (variance of a ratio); Kish 1965, section 8.2 (equal units);
    Schmeiser 1982 (batch means).
    """
    unit = "documents"
    cost, width = _sums(nats), _sums(sizes)
    if _equal_units(width) < UNITS_AT_LEAST:
        unit, blocks = "blocks", min(BLOCKS, sum(map(len, nats)) // BLOCK_TOKENS_AT_LEAST)
        if blocks < UNITS_AT_LEAST:
            return None
        cost, width = (
            _sums(np.array_split(np.concatenate(list(part)), blocks)) for part in (nats, sizes)
        )
    n, ratio = len(cost), cost.sum() / width.sum()
    variance = n / (n - 1) * ((cost - ratio * width) ** 2).sum() / width.sum() ** 2
    spread = stats.t.ppf((1 + CONFIDENCE) / 2, _equal_units(width) - 1) * math.sqrt(variance)
    return Interval(
        float(ratio - spread) / math.log(2), float(ratio + spread) / math.log(2), unit, n
    )


def _sums(parts: Sequence[npt.NDArray[Any]]) -> Totals:
    return np.array([part.sum(dtype=np.float64) for part in parts])


def _equal_units(width: Totals) -> float:
    """How many units of equal size weigh as much as these."""
    return float(width.sum() ** 2 / (width**2).sum())


def described(interval: Interval | None) -> str:
    """The bounds and what they were drawn from, in words; for None what an interval takes."""
    if interval is None:
        enough = (
            f"{UNITS_AT_LEAST} documents of similar length, or"
            f" {UNITS_AT_LEAST * BLOCK_TOKENS_AT_LEAST:,} tokens"
        )
        return f"none; the text is too short for one (it takes {enough})"
    what = "documents" if interval.unit == "documents" else "blocks of consecutive tokens"
    return (
        f"{interval.low:.4f} … {interval.high:.4f}, from the spread over {interval.units:,} {what}"
    )
