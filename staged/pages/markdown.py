"""Tables in Markdown, which reports for people are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["table"]


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of one table and an empty one."""
    return [*_lines([header, ["---"] * len(header), *rows]), ""]


def _lines(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    for row in rows:
        yield (
            "| "
            + " | ".join(
                f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|")
                for cell in row
            )
            + " |"
        )
