"""Reads a card back: every figure that it shows with a cell's id, against the cells it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from staged.cells import Cell
from staged.release.card.card import RATES
from staged.release.card.render import rate_text

__all__ = ["Figure", "html_figures", "index_figures", "markdown_figures", "untrue"]

Figure = tuple[str, str, Any]  # cell id, field, what the card shows
CELL_TAG = re.compile(r'data-cell="([^"]+)" data-field="([^"]+)">([^<]*)<')


def untrue(
    figures: Iterator[Figure], cells: Mapping[str, Cell], *, exact: bool = False
) -> list[str]:
    """What is wrong with these figures, a sentence each; a card without a figure is wrong too.

    Args:
        exact: figures are the numbers themselves, not as tables show them.
    """
    wrong, seen = [], 0
    for id, field, shown in figures:
        seen += 1
        cell = cells.get(id)
        if cell is None:
            wrong.append(f"names cell {id}, which no study in the package holds")
        elif field not in RATES:
            wrong.append(f"shows {field!r} of cell {id}, which is no rate")
        elif shown != (expected := getattr(cell, field) if exact else rate_text(cell, field)):
            wrong.append(f"shows {field} {shown} where cell {id} has {expected}")
    return wrong or ([] if seen else ["shows no figure of any cell"])


def markdown_figures(text: str) -> Iterator[Figure]:
    """Figures in the tables whose last column is `cell`."""
    shown, inside = len(RATES), False
    for line in text.splitlines():
        parts = [part.strip() for part in line.strip().strip("|").split(" | ")]
        last = parts[-1].strip()
        inside = line.startswith("|") and (inside or last == "cell")
        if inside and len(parts) > shown and last.startswith("`"):
            yield from (
                (last.strip("`"), field, value)
                for field, value in zip(RATES, parts[-1 - shown : -1], strict=True)
            )


def html_figures(text: str) -> Iterator[Figure]:
    """Figures in table cells marked with `data-cell` and `data-field`; bounds may be held together
    by a no-break space.
    """
    return (
        (unescape(id), field, unescape(shown).replace("\u00a0", " "))
        for id, field, shown in CELL_TAG.findall(text)
    )


def index_figures(text: str) -> Iterator[Figure]:
    """Figures in the model-index of a card's YAML; none when the hub's own reader refuses it."""
    try:
        data = ModelCard(text).data
    except Exception:  # a YAML parser's error, of a package that staged does not name
        return
    for result in (data.eval_results or []) if isinstance(data, ModelCardData) else []:
        trace = result.metric_args or {}
        yield str(trace.get("cell")), str(trace.get("field")), result.metric_value
