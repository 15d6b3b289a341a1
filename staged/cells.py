"""What a study measures: one detector on one set of machine texts, and the files of such cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from staged.storage.records import LATER, read_record

CELLS, LENGTHS = "cells.json", "lengths.json"


@dataclass(frozen=True, slots=True)
class Cell:
    """One detector measured on one set of machine texts against the human test texts; all rates are
    fractions in [0, 1].

    Every decision here uses a threshold chosen on the `valid` split: `accuracy` the one with the
    best accuracy there, `tpr_at_fpr_1` and `tpr_at_fpr_5` the ones that at most 1% and 5% of human
    `valid` texts reach (conformal; None where they are too few to certify the rate). `fpr_1` and
    `fpr_5` are the false-positive rates those thresholds achieve on the human test texts. `_low`
    and `_high` bound 95% intervals. `length_words` is where texts were cut that no one tokenizer
    counts; None where `length_tokens` is.
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
    length_words: int | None = field(default=None, metadata=LATER)


def length_of(cell: Cell) -> tuple[int, str]:
    """What a cell's texts are cut to, and the unit, `tokens` or `words`."""
    if cell.length_words is None:
        return cell.length_tokens, "tokens"
    return cell.length_words, "words"


def load_cells(path: Path) -> list[Cell]:
    """Cells from `cells.json` or `lengths.json`.

    Raises:
        ArtifactError: missing, damaged, or not cells.
    """
    return list(read_record(path, tuple[Cell, ...], again="run the study again"))


def values(cells: Sequence[Cell], field: str) -> tuple[str, ...]:
    """The distinct values of one field, in order of appearance."""
    return tuple(dict.fromkeys(getattr(cell, field) for cell in cells))
