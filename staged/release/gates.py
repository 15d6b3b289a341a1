"""Gate × stage → met, not met, or not measured, with the numbers and the ids they were read from.

What was not measured is never met: absent evidence stops a release just as bad evidence does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from staged.pages.figures import figure
from staged.release import plan
from staged.release.card.card import card_of
from staged.release.card.measured import Effect, Evidence, rate_of
from staged.release.card.paragraphs import Words
from staged.release.outcomes import AT_ADVANCE, MET, NOT_MEASURED, NOT_MET, Outcome
from staged.release.plan import Gate, ReleaseStage

__all__ = ["judge"]


class Rise(NamedTuple):
    """How much larger an effect is than the last stage's, with its 95% interval."""

    value: float
    low: float
    high: float


def judge(
    gate: Gate,
    stage: ReleaseStage,
    last: ReleaseStage | None,
    evidence: Evidence,
    words: Words,
    broken: Sequence[str] = (),
) -> Outcome:
    """One gate on one stage.

    Args:
        last: the stage before, None for the first.
        broken: names of earlier stages whose packages are not whole.
    """
    title = gate.title(stage.name)
    if gate.kind == plan.DETECTION:
        return _detection(gate, title, stage, evidence)
    if gate.kind == plan.BIAS:
        return _bias(gate, title, stage, last, evidence)
    if gate.kind == plan.CREDIBILITY:
        return _credibility(gate, title, stage, last, evidence)
    if gate.kind == plan.CARD:
        return _card(gate, title, stage, evidence, words)
    if broken:
        return Outcome(
            title, NOT_MET, f"not whole: {', '.join(broken)}; see `staged release verify`"
        )
    return Outcome(title, AT_ADVANCE, "made and verified while the package is built")


def _detection(gate: Gate, title: str, stage: ReleaseStage, evidence: Evidence) -> Outcome:
    id = gate.cell_id(stage.name)
    cell = evidence.cells.get(id)
    measured = None if cell is None else rate_of(cell, gate.field)
    if cell is None or measured is None:
        why = (
            "the studies hold no such cell"
            if cell is None
            else "too few human texts to certify the rate"
        )
        return Outcome(title, NOT_MEASURED, f"{why}; run `staged study`", (id,))
    _, low, high = measured
    met = low >= gate.at_least if gate.at_least is not None else high <= (gate.at_most or 0)
    n = f"n = {cell.n_human:,} human + {cell.n_machine:,} machine"
    return Outcome(title, MET if met else NOT_MET, f"{figure(*measured, form='.3f')}, {n}", (id,))


def _bias(
    gate: Gate, title: str, stage: ReleaseStage, last: ReleaseStage | None, evidence: Evidence
) -> Outcome:
    now = _effects(evidence, stage)
    before = {} if last is None else _effects(evidence, last)
    missing = [
        size.name for size, rows in ((stage, now), (last, before)) if size is not None and not rows
    ]
    unmatched = sorted(key for key in (before if last else {}) if key not in now)
    if missing or unmatched:
        what = ", ".join(missing) or f"{stage.name}: {'; '.join(map(' '.join, unmatched))}"
        return Outcome(title, NOT_MEASURED, f"no bias probes of {what}; run `staged bias`")
    if last is None:
        largest = max(now.values(), key=lambda effect: abs(effect.effect))
        numbers = (
            f"first stage; {len(now)} effects measured, largest: {largest.probe} {largest.groups},"
            f" {largest.effect:+.3f}"
        )
        return Outcome(title, MET, numbers, (largest.id,))
    if not set(now) & set(before):
        return Outcome(
            title,
            NOT_MEASURED,
            f"{stage.name} and {last.name} share no probe; run `staged bias` on both",
        )
    return _rises(title, gate.at_most or 0.0, {key: (before[key], now[key]) for key in before})


def _rises(
    title: str, limit: float, pairs: Mapping[tuple[str, str], tuple[Effect, Effect]]
) -> Outcome:
    """Met where every rise's interval ends below the limit; where one reaches across it, the probes
    could not have shown it.
    """
    rises = {key: _effect_rise(before, now) for key, (before, now) in pairs.items()}
    worse = {key: rise for key, rise in rises.items() if rise.low > limit}
    # NaN too
    unknown = (
        {key: rise for key, rise in rises.items() if not rise.high <= limit} if not worse else {}
    )
    shown = worse or unknown or rises
    worst = max(shown, key=lambda key: shown[key].low if worse else shown[key].high)
    before, now = pairs[worst]
    numbers = (
        f"worst: {' '.join(worst)}, {before.effect:+.3f} → {now.effect:+.3f}, rise"
        f" {_shown(rises[worst])}"
    )
    if worse:
        return Outcome(
            title,
            NOT_MET,
            f"{numbers}; {len(worse)} of {len(rises)} effects lie beyond",
            (before.id, now.id),
        )
    if unknown:
        hint = (
            f"{len(unknown)} of {len(rises)} comparisons could miss such a rise; run `staged bias`"
            " with more completions"
        )
        return Outcome(title, NOT_MEASURED, f"{numbers}; {hint}", (before.id, now.id))
    return Outcome(title, MET, f"{numbers}, {len(rises)} effects compared", (before.id, now.id))


def _effect_rise(before: Effect, now: Effect) -> Rise:
    """How much larger an effect's size is, with its 95% interval from those of the two, which are
    of independent samples.

    Source: MOVER, Zou and Donner 2008, Construction of confidence limits about effect measures.
    """
    (a, a_low, a_high), (b, b_low, b_high) = _size(now), _size(before)
    return Rise(
        a - b, a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)
    )


def _size(effect: Effect) -> tuple[float, float, float]:
    """|effect| with the interval of it; unbounded where it was measured without one."""
    if effect.low is None or effect.high is None:
        return abs(effect.effect), 0.0, math.inf
    low, high = sorted((abs(effect.low), abs(effect.high)))
    return abs(effect.effect), 0.0 if effect.low <= 0 <= effect.high else low, high


def _shown(rise: Rise) -> str:
    return (
        figure(*rise, form="+.3f")
        if math.isfinite(rise.high)
        else f"{rise.value:+.3f}, without an interval"
    )


def _effects(evidence: Evidence, stage: ReleaseStage) -> dict[tuple[str, str], Effect]:
    return {(one.probe, one.groups): one for one in evidence.effects if one.model == stage.name}


def _credibility(
    gate: Gate, title: str, stage: ReleaseStage, last: ReleaseStage | None, evidence: Evidence
) -> Outcome:
    by_model = {row.model: row for row in evidence.credibility}
    missing = [
        size.name for size in (stage, last) if size is not None and size.name not in by_model
    ]
    if missing:
        return Outcome(
            title, NOT_MEASURED, f"no survey of {', '.join(missing)}; run `staged survey`"
        )
    now = by_model[stage.name]
    if last is None:
        return Outcome(
            title,
            MET,
            f"first stage; index {now.index:.2f}, n = {now.respondents} people",
            (now.id,),
        )
    before = by_model[last.name]
    rise = _rise(evidence, stage.name, last.name)
    if rise is None:
        return Outcome(
            title,
            NOT_MEASURED,
            f"too few people rated both {last.name} and {stage.name} for an interval",
            (before.id, now.id),
        )
    value, low, high, n = rise
    shown = figure(value, low, high, form="+.2f")
    numbers = f"{before.index:.2f} → {now.index:.2f}, rise {shown}, n = {n} people"
    return Outcome(
        title, MET if high <= (gate.at_most or 0) else NOT_MET, numbers, (before.id, now.id)
    )


def _rise(evidence: Evidence, now: str, before: str) -> tuple[float, float, float, int] | None:
    """How much more credible people who rated both find `now`: with 95% interval, and how many."""
    for row in evidence.differences:
        value, low, high = row.difference, row.low, row.high
        if {row.first, row.second} != {now, before}:
            continue
        if value is not None and low is not None and high is not None:
            sign = 1 if row.first == now else -1
            low, high = sorted((sign * low, sign * high))
            return sign * value, low, high, row.respondents
    return None


def _card(gate: Gate, title: str, stage: ReleaseStage, evidence: Evidence, words: Words) -> Outcome:
    if stage.name not in evidence.models:
        return Outcome(title, NOT_MEASURED, f"{stage.name} is in no study; run `staged study`")
    blanks = [
        blank
        for blank in card_of(evidence, words, models=[stage.name]).blanks
        if blank.key not in gate.may_be_blank
    ]
    if blanks:
        return Outcome(title, NOT_MET, f"blank: {'; '.join(blank.what for blank in blanks)}")
    return Outcome(
        title,
        MET,
        "no blanks" + (f" but {', '.join(gate.may_be_blank)}" if gate.may_be_blank else ""),
    )
