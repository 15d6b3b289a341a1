"""Texts under attack, their scores, and what an attack does to the share of them that is called
machine-written.

    documents ─► read under each attack, normalised or not ─► scores, each
    distinct text once ─► verdicts ─► a row a group

What `robustness`, the detectors of a study, and `stress`, one calibrated detector, are both made
of; each chooses its texts, its thresholds and its groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from staged.attacks.kinds import attack
from staged.detectors.normal.normalize import normalize
from staged.records import Document
from staged.stats import metrics
from staged.stats.comparing import rate
from staged.stats.judging import Hypothesis, judged

CLEAN = "none"

AttackedAs = tuple[str, bool]  # attack, normalised


@dataclass(frozen=True, slots=True)
class AttackRate:
    """One group of texts under one attack at one nominal rate; all rates are fractions in [0, 1].

    Attributes:
        written_by: `human` or `machine`.
        attack: one of ATTACKS, or `none`.
        normalised: whether the detector read normalised texts.
        fpr: the nominal false-positive rate.
        n: texts in the group.
        changed: share of the n whose text the detector reads is not the clean one.
        rate: share of the n called machine-written: of human texts the false-positive rate, of
            machine texts the TPR.
        change: minus the same share without the attack, on the same texts, likewise normalised or
            not.
        p, p_holm: exact McNemar against the clean texts, two-sided; corrected over the whole table.

    `_low` and `_high` bound 95% intervals: Wilson's; for changes the paired normal one. None: not
    measured, or a clean row.
    """

    written_by: str
    attack: str
    normalised: bool
    fpr: float
    n: int = 0
    changed: float | None = None
    rate: float | None = None
    rate_low: float | None = None
    rate_high: float | None = None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    p: float | None = None
    p_holm: float | None = None


AnyRate = TypeVar("AnyRate", bound=AttackRate)


def under(documents: Iterable[Document], reading: AttackedAs, *, seed: int) -> list[str]:
    """The documents' texts under an attack, normalised or not."""
    name, normalised = reading
    texts = [
        document.text if name == CLEAN else attack(name, document.text, seed=seed, id=document.id)
        for document in documents
    ]
    return [normalize(text).text for text in texts] if normalised else texts


def measured(
    row: AnyRate,
    changed: Sequence[bool],
    before: Sequence[bool],
    after: Sequence[bool],
    *,
    tested: bool = True,
) -> AnyRate:
    """The row with its n and its rates.

    Args:
        changed: of each text of the group, whether the detector reads another than without the
            attack.
        before, after: whether it is called machine-written without and under the attack; empty
            where that cannot be said.
        tested: whether the change is one of the table's tests.
    """
    n = len(changed)
    numbers: dict[str, Any] = {"n": n, "changed": sum(changed) / n if n else None}
    if after:
        numbers |= metrics.named("rate", rate(sum(after), n))
    if after and row.attack != CLEAN:
        only_after, only_before, p = metrics.mcnemar(after, before)
        numbers |= metrics.named("change", metrics.paired_difference(only_after, only_before, n))
        numbers["p"] = p if tested else None
    return replace(row, **numbers)


def corrected(rows: Sequence[AnyRate]) -> list[AnyRate]:
    """The table with Holm's correction over all its tests."""
    judgements = judged([None if row.p is None else Hypothesis(row.p) for row in rows])
    return [
        row if judgement is None else replace(row, p_holm=judgement.p_holm)
        for row, judgement in zip(rows, judgements, strict=True)
    ]
