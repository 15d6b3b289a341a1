"""Numbers as people read them: an estimate with its 95% interval, a fraction in %, a p-value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

__all__ = ["counted", "estimate", "figure", "p_text", "percent", "signed"]


def counted(number: int, noun: str) -> str:
    """`1 word`, `2,000 words`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def estimate(row: object, what: str) -> tuple[Any, Any, Any]:
    """(value, low, high) of a row, a record or a dictionary, that holds them as `what`, `what_low`,
    `what_high`.
    """
    read = row.__getitem__ if isinstance(row, Mapping) else partial(getattr, row)
    return read(what), read(f"{what}_low"), read(f"{what}_high")


def figure(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    form: str = "+.3f",
    unit: str = "",
) -> str:
    """A number with its 95% interval: `12.3% [10.1, 14.9]`; – where there is none.

    Args:
        form: of all three numbers.
        unit: stands behind the first.
    """
    if value is None:
        return "–"
    between = "" if low is None or high is None else f" [{low:{form}}, {high:{form}}]"
    return f"{value:{form}}{unit}{between}"


def percent(
    value: float | None, low: float | None, high: float | None, *, digits: int = 1, unit: str = ""
) -> str:
    """A fraction with its 95% interval in %, with or without the sign; – where there is none."""
    value, low, high = (
        None if fraction is None else 100 * fraction for fraction in (value, low, high)
    )
    return figure(value, low, high, form=f".{digits}f", unit=unit)


def p_text(value: float) -> str:
    """A p-value with two digits that say something."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def signed(value: float, digits: int) -> str:
    """+0.12, −0.12, 0.00."""
    shown = f"{abs(value):.{digits}f}"
    return shown if float(shown) == 0 else f"{'+' if value > 0 else '−'}{shown}"
