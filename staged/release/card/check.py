"""Reads a card back: every figure that it shows with an id, against the cell or row it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from staged.cells import Cell
from staged.release.card.markdown import RATES
from staged.release.card.measured import Quality
from staged.release.card.metadata import QUALITIES
from staged.release.card.render import rate_text

__all__ = [
    "Figure",
    "html_figures",
    "index_figures",
    "licence_in",
    "untrue",
    "untrue_index",
    "untrue_shown",
]

Figure = tuple[str, str, Any]  # id of a cell or row, field, what the card shows
CELL_TAG = re.compile(r'data-cell="([^"]+)" data-field="([^"]+)">([^<]*)<')


def untrue(figures: Iterable[Figure], cells: Mapping[str, Cell]) -> list[str]:
    """What is wrong with a card's figures, a sentence each; one without a figure is wrong too."""
    shown = list(figures)
    return untrue_shown(shown, cells) if shown else ["shows no figure of any cell"]


def untrue_shown(figures: Iterable[Figure], cells: Mapping[str, Cell]) -> list[str]:
    """What is wrong with figures, if there are any."""
    wrong = []
    for id, field, shown in figures:
        cell = cells.get(id)
        if cell is None:
            wrong.append(f"names cell {id}, which no study in the package holds")
        elif field not in RATES:
            wrong.append(f"shows {field!r} of cell {id}, which is no rate")
        elif shown != (expected := rate_text(cell, field)):
            wrong.append(f"shows {field} {shown} where cell {id} has {expected}")
    return wrong


def untrue_index(text: str, cells: Mapping[str, Cell], qualities: Iterable[Quality]) -> list[str]:
    """What is wrong with the model-index in a card's YAML, a sentence each; nothing where it holds
    no figure, as a language model's that no text was given to.
    """
    rows = {**cells, **{quality.id: quality for quality in qualities}}
    wrong = []
    for id, field, shown in index_figures(text):
        if id not in rows:
            wrong.append(f"names {id} in its model-index, which nothing in the package holds")
        elif field not in {*RATES, *QUALITIES} or not hasattr(rows[id], field):
            wrong.append(f"shows {field!r} of {id} in its model-index, which is no measure of it")
        elif shown != (expected := getattr(rows[id], field)):
            wrong.append(f"shows {field} {shown} in its model-index where {id} has {expected}")
    return wrong


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
    data = _data(text)
    for result in (data.eval_results or []) if data else []:
        trace = result.metric_args or {}
        id = trace.get("cell") or trace.get("row")
        yield str(id), str(trace.get("field")), result.metric_value


def licence_in(text: str) -> str:
    """The licence in a card's YAML; empty where there is none."""
    data = _data(text)
    return str(data.license or "") if data else ""


def _data(text: str) -> ModelCardData | None:
    try:
        data = ModelCard(text).data
    except Exception:  # a YAML parser's error, of a package that staged does not name
        return None
    return data if isinstance(data, ModelCardData) else None
