"""The picture of a score: human calibration scores above the axis, machine below, this text as a
line through both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

BAR_PIXELS = 11  # about, before the range is divided evenly
HALF = 62  # height of each side
TOP, GAP, BOTTOM = 24, 4, 34
EDGE = 8
TAIL = 0.002  # of the calibration scores at each end may lie outside the picture


@dataclass(frozen=True, slots=True)
class Scale:
    """Score → horizontal pixel."""

    low: float
    high: float
    width: int

    def x(self, score: float) -> float:
        """Clipped to the picture."""
        share = min(max((score - self.low) / (self.high - self.low), 0.0), 1.0)
        return EDGE + share * (self.width - 2 * EDGE)


def score_picture(
    score: float,
    human: Sequence[float],
    machine: Sequence[float],
    *,
    line: float | None,
    describe: str,
    width: int,
) -> Markup:
    """An inline SVG, `width` pixels wide.

    Args:
        human, machine: calibration scores; not both empty.
        line: the score above which a text is called machine, where one is known.
        describe: the picture in a sentence, for those who do not see it.
    """
    scale = _scale(score, [*human, *machine], line, width)
    axis = TOP + HALF + GAP // 2
    height = TOP + 2 * HALF + GAP + BOTTOM
    parts = [
        (
            f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
            f' aria-label="{escape(describe)}">'
        ),
        *_side("human", human, scale, foot=axis - GAP // 2, up=True),
        *_side("machine", machine, scale, foot=axis + GAP // 2, up=False),
        f'<line class="axis" x1="{EDGE}" x2="{width - EDGE}" y1="{axis}" y2="{axis}"/>',
        *_ticks(scale, height - BOTTOM + 16),
        # where the bars of its side are low
        f'<text class="soft end" x="{width - EDGE}" y="{TOP + 12}">human texts</text>',
        f'<text class="soft" x="{EDGE}" y="{TOP + 2 * HALF}">machine texts</text>',
        (
            f'<text class="soft end" x="{width - EDGE}" y="{height - 2}">score: more like a'
            " machine’s →</text>"
        ),
        *_marks(score, line, scale),
        "</svg>",
    ]
    return Markup("".join(parts))


def _scale(score: float, scores: Sequence[float], line: float | None, width: int) -> Scale:
    low, high = np.quantile(scores, [TAIL, 1 - TAIL])
    points = [float(low), float(high), score, *([line] if line is not None else [])]
    low, high = min(points), max(points)
    room = 0.04 * (high - low) or 0.5  # all scores equal
    return Scale(float(low - room), float(high + room), width)


def _side(name: str, scores: Sequence[float], scale: Scale, *, foot: int, up: bool) -> list[str]:
    """Bars of the share of scores in each stretch, the fullest as high as the side."""
    if not scores:
        return []
    bins = (scale.width - 2 * EDGE) // BAR_PIXELS
    inside = np.clip(scores, scale.low, scale.high)
    counts, edges = np.histogram(inside, bins=bins, range=(scale.low, scale.high))
    bars = []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if not count:
            continue
        tall = max(HALF * count / counts.max(), 1.5)
        x, y = scale.x(left) + 0.75, foot - tall if up else foot
        bars.append(
            f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}"'
            f' width="{scale.x(right) - scale.x(left) - 1.5:.1f}" height="{tall:.1f}"/>'
        )
    return bars


def _ticks(scale: Scale, y: int) -> list[str]:
    step = _round_step((scale.high - scale.low) / (scale.width / 90))
    first = np.ceil(scale.low / step) * step
    places = np.arange(first, scale.high, step)
    return [
        f'<text class="tick" x="{scale.x(at):.1f}" y="{y}">{round(float(at), 10) + 0.0:g}</text>'
        for at in places
    ]


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5 × a power of ten."""
    power = 10.0 ** np.floor(np.log10(rough))
    return float(
        next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    )


def _marks(score: float, line: float | None, scale: Scale) -> list[str]:
    low, high = TOP - 6, TOP + 2 * HALF + GAP
    marks = []
    if line is not None and np.isfinite(line):
        at = scale.x(line)
        marks.append(
            f'<line class="threshold" x1="{at:.1f}" x2="{at:.1f}" y1="{low + 6}" y2="{high}"/>'
        )
    at = scale.x(score)
    side = "start" if at < scale.width * 0.2 else "end" if at > scale.width * 0.8 else "middle"
    marks.append(f'<line class="here" x1="{at:.1f}" x2="{at:.1f}" y1="{low}" y2="{high}"/>')
    marks.append(
        f'<text class="mark {side}" x="{at:.1f}" y="{low - 5}">this text: {score:.2f}</text>'
    )
    return marks
