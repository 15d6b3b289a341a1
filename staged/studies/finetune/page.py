"""report.html of a fine-tuning study, rendered from its finetune.json; it measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from staged.errors import ArtifactError
from staged.pages.figures import estimate, percent
from staged.pages.rendering import environment
from staged.storage.forms import is_sealed, sealed
from staged.storage.json_files import read_json
from staged.storage.placeless import named
from staged.storage.records import from_json, to_json
from staged.storage.writing import write_atomic
from staged.studies.detection.results import AGAIN
from staged.studies.finetune.results import FINETUNE, Drop, FinetuneResult

WIDTH, LEFT, RIGHT, TOP, LINE = 640, 120, 16, 34, 46
KINDS = (("before", "before"), ("matched", "untuned, at these lengths"), ("after", "after"))


def write_finetune_report(folder: Path) -> None:
    """Render `report.html` into a fine-tuning study's folder.

    Raises:
        ArtifactError: finetune.json is missing, damaged, or of another version.
    """
    path = folder / FINETUNE
    result = from_json(FinetuneResult, named(read_json(path)), where=str(path), again=AGAIN)
    plots = {
        kind: dots([row for row in result.drops if row.detector == kind])
        for kind in result.settings.detectors
    }
    shown = {"recorded": to_json(result.settings), "metrics": {}, "plots": plots, "kinds": KINDS}
    template = environment("staged.studies.finetune").get_template("finetune.html")
    try:
        page = template.render(**vars(result), **shown)
    except UndefinedError as missing:  # what one table names, another has not
        raise ArtifactError(f"{path}: is damaged ({missing}); {AGAIN}") from None
    write_atomic(folder / "report.html", sealed(page).encode(), form=is_sealed)


def dots(rows: Sequence[Drop]) -> str:
    """Accuracy before, at equal lengths and after, one line a style, with 95% intervals, as one
    <svg> element.
    """
    low = min(0.5, *(getattr(row, f"{kind}_low") for row in rows for kind, _ in KINDS))
    floor = int(low * 10) / 10

    def x(value: float) -> float:
        return LEFT + (value - floor) / (1 - floor) * (WIDTH - LEFT - RIGHT)

    height = TOP + LINE * len(rows) + 36
    parts = [_grid(x(tenth / 10), 10 * tenth, height) for tenth in range(round(floor * 10), 11)]
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{height - 4}" text-anchor="middle">accuracy (%)</text>'
    )
    for number, row in enumerate(rows):
        y = TOP + LINE * number + LINE / 2
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(row.style)}</text>'
        )
        parts += [
            _point(x, y + 11 * (place - 1), row, kind, name, place)
            for place, (kind, name) in enumerate(KINDS)
        ]
    label = escape(f"Accuracy of {rows[0].detector} before and after fine-tuning")
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}" class="curve'
        f' dots">{"".join(parts)}</svg>'
    )


def _grid(x: float, percent: int, height: int) -> str:
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 32}" class="grid"/>'
    return f'{line}<text x="{x:.1f}" y="{height - 18}" text-anchor="middle">{percent}</text>'


def _point(x: Any, y: float, row: Drop, kind: str, name: str, place: int) -> str:
    value, low, high = estimate(row, kind)
    at = f"{x(value):.1f}"
    shape = (
        f'<circle cx="{at}" cy="{y}" r="4"/>',
        f'<rect x="{x(value) - 3.5:.1f}" y="{y - 3.5}" width="7" height="7"/>',
        f'<path d="M{at} {y - 5} l5 9 h-10 z"/>',
    )[place]
    caption = (
        f"{row.style}, {name}: {percent(value, low, high, unit='%')}, n = {row.n_human} +"
        f" {row.n_machine}"
    )
    bar = f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>'
    return (
        f'<g class="line line{place} dot{place}"><title>{escape(caption)}</title>{bar}{shape}</g>'
    )
