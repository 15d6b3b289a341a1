"""Scores → cells: each detector against each set, at thresholds chosen on the valid split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from staged.cells import Cell
from staged.errors import ArtifactError
from staged.pipeline.stage import Inputs
from staged.pipeline.tables import read_table
from staged.records import HUMAN, MACHINE
from staged.stats import metrics
from staged.stats.comparing import rate
from staged.stats.thresholds import best_threshold, threshold_at_fpr
from staged.studies.detection.graph import StudyStages
from staged.studies.detection.plan import StudySettings
from staged.studies.detection.results import Thresholds
from staged.studies.detection.stages import Scores

ById = dict[str, float]  # document id → score


@dataclass(frozen=True)
class Measured:
    """A cell with the decisions behind it: whether each human and each machine test text was called
    rightly, in test order, and the thresholds of the detector, as `thresholds` gives them.
    """

    cell: Cell
    human_right: np.ndarray
    machine_right: np.ndarray
    cuts: tuple[float, float, float]


def measure(inputs: Inputs, stages: StudyStages) -> list[Measured]:
    """Every cell of the study, the matrix's and the length curve's, in a fixed order.

    Raises:
        ArtifactError: a scores file is damaged, or lacks a document.
    """
    texts = _Texts(inputs, stages)
    return [
        cell
        for stage in stages.scores.values()
        for cell in _detector_cells(texts, stage, inputs[stage.name] / "scores.parquet")
    ]


class _Texts:
    """Document ids of each set, read once."""

    def __init__(self, inputs: Inputs, stages: StudyStages) -> None:
        self.stages = stages
        self.words = partial(stages.corpus.words, inputs)
        self.human = {
            split: [text.id for text in stages.human(inputs, split)] for split in ("valid", "test")
        }
        self.machine = {
            (model, name, split): [text.id for text in stages.machine(inputs, model, name, split)]
            for model in stages.models
            for name in stages.settings.trained_methods
            for split in ("valid", "test")
        }


def _read_scores(path: Path) -> dict[int, ById]:
    by_length: dict[int, ById] = {}
    for row in read_table(path):
        by_length.setdefault(row["length_tokens"], {})[row["document"]] = row["score"]
    return by_length


def _detector_cells(texts: _Texts, stage: Scores, path: Path) -> Iterator[Measured]:
    by_length = _read_scores(path)
    for tokens in stage.scored_lengths:
        yield from _cells_of(texts, stage, by_length.get(tokens, {}), path, tokens)


def _cells_of(
    texts: _Texts, stage: Scores, scores: ById, path: Path, tokens: int
) -> Iterator[Measured]:
    """The cells of one detector at one length."""

    def of(ids: Sequence[str]) -> np.ndarray:
        missing = [name for name in ids if name not in scores]
        if missing:
            raise ArtifactError(
                f"{path}: no score for document {missing[0]!r}; delete its folder and run the study"
                " again"
            )
        return np.array([scores[name] for name in ids])

    trained = stage.detector
    machine = texts.machine[trained.model, trained.method, "valid"]
    cuts = thresholds(of(texts.human["valid"]), of(machine))
    human_test = of(texts.human["test"])
    tested = texts.stages.models if tokens == stage.length_tokens else (trained.model,)
    for model in tested:
        for method in texts.stages.settings.methods:
            key = (trained.kind, trained.model, trained.method, model, method, tokens)
            measured = cell_of(key, human_test, of(texts.machine[model, method, "test"]), cuts)
            words = texts.words(tokens)
            yield replace(measured, cell=replace(measured.cell, length_words=words))


def thresholds(human_valid: np.ndarray, machine_valid: np.ndarray) -> tuple[float, float, float]:
    """What a detector's decisions rest on: the threshold of best accuracy, and those that certify a
    FPR of 1% and 5%.
    """
    valid = np.concatenate([human_valid, machine_valid])
    labels = [HUMAN] * len(human_valid) + [MACHINE] * len(machine_valid)
    return (
        best_threshold(valid, labels),
        threshold_at_fpr(human_valid, 0.01),
        threshold_at_fpr(human_valid, 0.05),
    )


def recorded_thresholds(
    measured: Sequence[Measured], settings: StudySettings
) -> tuple[Thresholds, ...]:
    """Every detector's at the matrix's length, in the order of the cells."""
    cuts = {
        (cell.detector, cell.trained_on, cell.trained_method): result.cuts
        for result in measured
        for cell in [result.cell]
        if cell.length_tokens == settings.length_tokens
    }
    return tuple(
        Thresholds(*key, settings.n_valid, best, *(None if cut == math.inf else cut for cut in at))
        for key, (best, *at) in cuts.items()
    )


def cell_of(
    key: tuple[str, str, str, str, str, int],
    human: np.ndarray,
    machine: np.ndarray,
    cuts: tuple[float, float, float],
) -> Measured:
    """One cell from its scores.

    Args:
        key: detector, model and method trained on, model and method tested on, tokens.
        human, machine: scores of the test texts.
        cuts: as `thresholds` gives them.
    """
    kind, trained_on, trained_method, tested_on, tested_method, tokens = key
    best, at_1, at_5 = cuts
    human_right, machine_right = human <= best, machine > best
    right = int(human_right.sum() + machine_right.sum())
    accuracy = rate(right, len(human) + len(machine))
    area = metrics.auroc(human.tolist(), machine.tolist())
    (tpr_1, fpr_1), (tpr_5, fpr_5) = (_rates(human, machine, cut) for cut in (at_1, at_5))
    cell = Cell(
        id=f"{kind}/{trained_on}/{trained_method}/{tested_on}/{tested_method}/{tokens}",
        detector=kind,
        trained_on=trained_on,
        trained_method=trained_method,
        tested_on=tested_on,
        tested_method=tested_method,
        length_tokens=tokens,
        n_human=len(human),
        n_machine=len(machine),
        **metrics.named("accuracy", accuracy),
        **metrics.named("auroc", area),
        **metrics.named("tpr_at_fpr_1", tpr_1),
        **metrics.named("tpr_at_fpr_5", tpr_5),
        fpr_1=fpr_1,
        fpr_5=fpr_5,
    )
    return Measured(cell, human_right, machine_right, cuts)


def _rates(
    human: np.ndarray, machine: np.ndarray, cut: float
) -> tuple[tuple[Any, ...], float | None]:
    """(TPR with its interval, achieved FPR) at a threshold; all None when no threshold certifies
    the rate.
    """
    if cut == math.inf:
        return (None, None, None), None
    return rate(int((machine > cut).sum()), len(machine)), float((human > cut).mean())
