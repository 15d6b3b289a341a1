"""Markdown that reports for people are made of: tables, figures with their intervals, p-values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["figure", "p_text", "table"]


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of one table and an empty one."""
    return [*_lines([header, ["---"] * len(header), *rows]), ""]


def figure(value: float | None, low: float | None, high: float | None, *, form: str = "+.3f") -> str:
    """A number with its 95% interval; – where there is none."""
    if value is None:
        return "–"
    return f"{value:{form}}" if low is None or high is None else f"{value:{form}} [{low:{form}}, {high:{form}}]"


def p_text(value: float) -> str:
    """A p-value with two digits that say something."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def _lines(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    for row in rows:
        yield "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in row) + " |"
