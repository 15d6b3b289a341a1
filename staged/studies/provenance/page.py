"""report.html of a study of watermarks, rendered from its provenance.json; it measures nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from jinja2 import UndefinedError

from staged.errors import ArtifactError
from staged.pages.figures import percent
from staged.pages.rendering import environment
from staged.storage.forms import is_sealed, sealed
from staged.storage.json_files import read_json
from staged.storage.placeless import named
from staged.storage.records import from_json, to_json
from staged.storage.writing import write_atomic
from staged.studies.detection.results import AGAIN
from staged.studies.provenance.results import PROVENANCE, Power, ProvenanceResult
from staged.studies.provenance.tested import CROPPED, DRAWN, WHOLE
from staged.watermarks.evidence import MIN_TOKENS

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 52, 150, 14, 44
COLOURS = 5  # of the shared style
LABEL_PX = 14  # between two labels at a curve's end


def write_provenance_report(folder: Path) -> None:
    """Render `report.html` into the folder of a study of watermarks.

    Raises:
        ArtifactError: provenance.json is missing, damaged, or of another version.
    """
    path = folder / PROVENANCE
    result = from_json(ProvenanceResult, named(read_json(path)), where=str(path), again=AGAIN)
    cells = list(dict.fromkeys((row.model, row.method) for row in result.power))
    plots = {
        names: power_curve([row for row in result.power if (row.model, row.method) == names])
        for names in cells
    }
    shown = {
        "recorded": to_json(result.settings),
        "metrics": {},
        "least": MIN_TOKENS,
        "cells": cells,
        "plots": plots,
        "whole": WHOLE,
        "drawn": DRAWN,
        "cropped": CROPPED,
    }
    template = environment("staged.studies.provenance").get_template("provenance.html")
    try:
        page = template.render(**vars(result), **shown)
    except UndefinedError as missing:
        raise ArtifactError(f"{path}: is damaged ({missing}); {AGAIN}") from None
    write_atomic(folder / "report.html", sealed(page).encode(), form=is_sealed)


def power_curve(rows: Sequence[Power]) -> str:
    """The share found at p ≤ 0.01 by length, one line a scheme, with 95% intervals, as one <svg>
    element; empty where no text was long enough for any length.
    """
    read = [row for row in rows if row.form == WHOLE]
    if not read:
        return ""
    lengths = sorted({row.length for row in read})
    schemes = list(dict.fromkeys(row.scheme for row in read))
    low, high = math.log(lengths[0]), math.log(lengths[-1])
    span = (high - low) or 1.0

    def x(length: int) -> float:
        return LEFT + (math.log(length) - low) / span * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

    parts = [_across(y(tenth / 10), 10 * tenth) for tenth in range(0, 11, 2)]
    parts += [
        f'<text x="{x(length):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{length}</text>'
        for length in lengths
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">tokens of the text, read again'
        "</text>"
    )
    parts.append(
        f'<text transform="translate(13 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)"'
        ' text-anchor="middle">found at p ≤ 0.01 (%)</text>'
    )
    ends = {
        scheme: y([row for row in read if row.scheme == scheme][-1].found_1) for scheme in schemes
    }
    places = _apart(ends)
    for number, scheme in enumerate(schemes):
        points = [row for row in read if row.scheme == scheme]
        parts.append(_line(points, x, y, number, places[scheme]))
    names = f"{read[0].model}, {read[0].method}"
    label = escape(f"Marked texts found by length: {names}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" class="curve'
        f' marks">{"".join(parts)}</svg>'
    )


def _across(y: float, percent: int) -> str:
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent}</text>'


def _line(rows, x, y, number: int, label_y: float) -> str:  # type: ignore[no-untyped-def]
    path = " ".join(f"{x(row.length):.1f},{y(row.found_1):.1f}" for row in rows)
    dashed = "" if number < COLOURS else ' stroke-dasharray="5 4"'
    shape = [f'<polyline points="{path}" fill="none"{dashed}/>']
    for row in rows:
        at = f"{x(row.length):.1f}"
        share = percent(row.found_1, row.found_1_low, row.found_1_high, unit="%")
        caption = f"{row.scheme}, {row.length} tokens: {share}, n = {row.n}"
        bar = (
            f'<line x1="{at}" x2="{at}" y1="{y(row.found_1_low):.1f}"'
            f' y2="{y(row.found_1_high):.1f}"/>'
        )
        shape.append(
            f"<g><title>{escape(caption)}</title>{bar}"
            f'<circle cx="{at}" cy="{y(row.found_1):.1f}" r="3.5"/></g>'
        )
    name = f'<text x="{WIDTH - RIGHT + 10}" y="{label_y + 4:.1f}">{escape(rows[0].scheme)}</text>'
    return (
        f'<g class="line line{number % COLOURS} dot{number % COLOURS}">{"".join(shape)}{name}</g>'
    )


def _apart(ends: dict[str, float]) -> dict[str, float]:
    """Where labels stand that would lie on each other: below one another, from the top."""
    placed: dict[str, float] = {}
    for scheme, end in sorted(ends.items(), key=lambda item: item[1]):
        placed[scheme] = max(end, max(placed.values(), default=-LABEL_PX) + LABEL_PX)
    over = max(placed.values()) - (HEIGHT - BOTTOM)
    return {scheme: y - max(over, 0) for scheme, y in placed.items()}
