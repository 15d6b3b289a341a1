"""Gate × stage → met, not met, or not measured, with the numbers and the ids they were read from.

What was not measured is never met: absent evidence stops a release just as bad evidence does.
"""

from __future__ import annotations

from collections.abc import Sequence

from staged.pages.figures import figure
from staged.release import plan
from staged.release.card.card import card_of
from staged.release.card.measured import Evidence, rate_of
from staged.release.card.paragraphs import Words
from staged.release.outcomes import (
    AT_ADVANCE,
    MET,
    NOT_MEASURED,
    NOT_MET,
    Outcome,
    state_of,
)
from staged.release.plan import Gate, ReleaseStage
from staged.release.rises import bias, credibility

__all__ = ["judge"]


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
        return bias(gate, title, stage, last, evidence)
    if gate.kind == plan.CREDIBILITY:
        return credibility(gate, title, stage, last, evidence)
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
    value, low, high = measured
    n = f"n = {cell.n_human:,} human + {cell.n_machine:,} machine"
    if low is None or high is None:
        return Outcome(title, NOT_MEASURED, f"{value:.3f}, without an interval, {n}", (id,))
    state = state_of(low, high, at_least=gate.at_least, at_most=gate.at_most)
    numbers = f"{figure(value, low, high, form='.3f')}, {n}"
    if state == NOT_MEASURED:
        numbers += "; the interval reaches across the limit: run `staged study` with more texts"
    return Outcome(title, state, numbers, (id,))


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
