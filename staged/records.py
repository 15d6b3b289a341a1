"""The few kinds of thing that flow through staged, and the one label convention.

HUMAN is 0, MACHINE is 1, and a higher score is more machine-like, everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HUMAN", "LABELS", "MACHINE", "SPLITS", "Document", "count_words"]

HUMAN = 0
MACHINE = 1
LABELS = {HUMAN: "human", MACHINE: "machine"}

# `pretrain` is what a language model of ours learns from; detectors learn from `train`, choose on
# `valid`, report on `test`.
SPLITS = ("pretrain", "train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Document:
    """One text with its origin.

    `source` names what the text was cut from (a speech, an article, a book, a model); documents of
    one human source never straddle a split.
    """

    id: str
    text: str
    label: int
    source: str
    split: str = ""


def count_words(text: str) -> int:
    """Words, as budgets and calibrations count them: what white space separates."""
    return len(text.split())
