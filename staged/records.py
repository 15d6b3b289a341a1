"""The few kinds of thing that flow through staged, and the one label convention.

HUMAN is 0, MACHINE is 1, and a higher score is more machine-like, everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HUMAN", "LABELS", "MACHINE", "SPLITS", "Cell", "Document", "count_words"]

HUMAN = 0
MACHINE = 1
LABELS = {HUMAN: "human", MACHINE: "machine"}

# `pretrain` is what a language model of ours learns from; detectors learn from `train`, choose on `valid`, report on `test`.
SPLITS = ("pretrain", "train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its origin.

    `source` names what the text was cut from (a speech, an article, a book, a model); documents of one human source never
    straddle a split.
    """

    id: str
    text: str
    label: int
    source: str
    split: str = ""


def count_words(text: str) -> int:
    """Words, as budgets and calibrations count them: what white space separates."""
    return len(text.split())


@dataclass(frozen=True, slots=True)
class Cell:
    """One detector measured on one set of machine texts against the human test texts; all rates are fractions in [0, 1].

    Every decision here uses a threshold chosen on the `valid` split: `accuracy` the one with the best accuracy there,
    `tpr_at_fpr_1` and `tpr_at_fpr_5` the ones that at most 1% and 5% of human
    `valid` texts reach (conformal; None where they are too few to certify the rate). `fpr_1` and `fpr_5` are the
    false-positive rates those thresholds achieve on the human test texts. `_low` and `_high` bound 95% intervals.
    """

    id: str
    detector: str
    trained_on: str
    trained_method: str
    tested_on: str
    tested_method: str
    length_tokens: int
    n_human: int
    n_machine: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    auroc: float
    auroc_low: float
    auroc_high: float
    tpr_at_fpr_1: float | None
    tpr_at_fpr_1_low: float | None
    tpr_at_fpr_1_high: float | None
    fpr_1: float | None
    tpr_at_fpr_5: float | None
    tpr_at_fpr_5_low: float | None
    tpr_at_fpr_5_high: float | None
    fpr_5: float | None
