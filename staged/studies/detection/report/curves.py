"""Accuracy by length as SVG that takes its colours from the page, so it follows dark mode and
print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from staged.cells import Cell, length_of, values
from staged.pages.figures import percent

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 44
DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 5")  # lines are told apart without colour, too


def length_curve(cells: Sequence[Cell], detector: str, method: str) -> str:
    """Accuracy against text length for every model, with 95% intervals, as one <svg> element.

    Args:
        cells: of the detectors trained on the mix, each tested on the model it was trained on.
    """
    chosen = [cell for cell in cells if cell.detector == detector and cell.tested_method == method]
    lengths = sorted({length_of(cell)[0] for cell in chosen})
    unit = length_of(chosen[0])[1] if chosen else "tokens"
    floor = min([0.5, *(cell.accuracy_low for cell in chosen)])
    scale = _Scale(lengths, math.floor(floor * 10) / 10)
    parts = [_axes(scale, lengths, unit)]
    for index, model in enumerate(values(chosen, "trained_on")):
        points = sorted(
            (cell for cell in chosen if cell.trained_on == model),
            key=length_of,
        )
        parts.append(_line(scale, points, index, model, len(values(chosen, "trained_on"))))
    label = escape(f"Accuracy by length, {detector}, {method}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"'
        f' class="curve">{"".join(parts)}</svg>'
    )


class _Scale:
    """Length (logarithmic) and accuracy → picture."""

    def __init__(self, lengths: Sequence[int], floor: float) -> None:
        self.low, self.high, self.floor = math.log2(lengths[0]), math.log2(lengths[-1]), floor

    def x(self, length: float) -> float:
        share = (
            (math.log2(length) - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        )
        return LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 20)

    def y(self, accuracy: float) -> float:
        return TOP + (1 - accuracy) / (1 - self.floor) * (HEIGHT - TOP - BOTTOM)


def _axes(scale: _Scale, lengths: Sequence[int], unit: str) -> str:
    parts = []
    for tenth in range(round(scale.floor * 10), 11):
        y = scale.y(tenth / 10)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10 * tenth}</text>')
    parts += [
        f'<text x="{scale.x(n):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{n}</text>'
        for n in lengths
    ]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">length'
        f" ({unit}, at most)</text>"
    )
    parts.append(
        f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">accuracy'
        " (%)</text>"
    )
    return "".join(parts)


def _line(scale: _Scale, points: Sequence[Cell], index: int, model: str, models: int) -> str:
    shift = 5 * (index - (models - 1) / 2)  # intervals of the models stand side by side
    path = " ".join(
        f"{scale.x(length_of(c)[0]) + shift:.1f},{scale.y(c.accuracy):.1f}" for c in points
    )
    bars = "".join(
        f'<line x1="{scale.x(length_of(c)[0]) + shift:.1f}"'
        f' x2="{scale.x(length_of(c)[0]) + shift:.1f}" '
        f'y1="{scale.y(c.accuracy_low):.1f}" y2="{scale.y(c.accuracy_high):.1f}"/>'
        f'<circle cx="{scale.x(length_of(c)[0]) + shift:.1f}" cy="{scale.y(c.accuracy):.1f}"'
        f' r="3"><title>{escape(model)}, '
        f"{' '.join(map(str, length_of(c)))}:"
        f" {percent(c.accuracy, c.accuracy_low, c.accuracy_high, unit='%')}, "
        f"n = {c.n_human} + {c.n_machine}</title></circle>"
        for c in points
    )
    dash = DASHES[index % len(DASHES)]
    return (
        f'<g class="line line{index % 5}"><polyline points="{path}"'
        f' stroke-dasharray="{dash}"/>{bars}</g>'
    )
