"""report.html: one self-contained page rendered from a study's JSON files; it measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from jinja2 import UndefinedError

from staged.cells import Cell, length_of, load_cells, values
from staged.errors import ArtifactError
from staged.pages.rendering import environment
from staged.storage.forms import is_sealed, sealed
from staged.storage.json_files import read_json
from staged.storage.placeless import named
from staged.storage.records import from_json, read_record, to_json
from staged.storage.writing import write_atomic
from staged.studies.detection.report.abstract import abstract_of
from staged.studies.detection.report.curves import length_curve
from staged.studies.detection.report.matrix import (
    PUBLISHED,
    PUBLISHED_SIZES,
    PUBLISHED_TFIDF,
    are_published,
    by_method,
    by_size,
)
from staged.studies.detection.results import (
    AGAIN,
    ATTACKS,
    FINDINGS,
    GALLERY,
    STUDY,
    AttackRow,
    Findings,
    GalleryText,
    StudyFacts,
)
from staged.studies.models import ModelFacts

METRICS = {
    "accuracy": "Accuracy",
    "auroc": "AUROC",
    "tpr_at_fpr_1": "TPR at 1% FPR",
    "tpr_at_fpr_5": "TPR at 5% FPR",
}


@dataclass(frozen=True)
class AttackTable:
    """Attack → its rows as it is and normalised, of one detector at one nominal rate."""

    detector: str
    trained_on: str
    fpr: float
    lines: dict[str, dict[bool, AttackRow]]


@dataclass(frozen=True)
class Gallery:
    """Passages: people's, and by model and method the machine's."""

    human: list[GalleryText]
    machine: dict[tuple[str, str], list[GalleryText]]


def write_report(folder: Path) -> None:
    """Render `report.html` into a study's folder from the JSON files beside it.

    Raises:
        ArtifactError: one of them is missing, damaged, or of another version.
    """
    cells, curve = load_cells(folder / "cells.json"), load_cells(folder / "lengths.json")
    if not cells:
        raise ArtifactError(f"{folder / 'cells.json'}: holds no cell; run the study again")
    facts = from_json(
        StudyFacts, named(read_json(folder / STUDY)), where=str(folder / STUDY), again=AGAIN
    )
    findings = read_record(folder / FINDINGS, Findings, again=AGAIN)
    try:
        page = _render(cells, curve, facts, findings, folder)
    except UndefinedError as missing:  # what one table names, another has not
        raise ArtifactError(f"{folder}: is damaged ({missing}); {AGAIN}") from None
    write_atomic(folder / "report.html", sealed(page).encode(), form=is_sealed)


def _render(
    cells: list[Cell], curve: list[Cell], facts: StudyFacts, findings: Findings, folder: Path
) -> str:
    methods, detectors = values(cells, "tested_method"), values(cells, "detector")
    return (
        environment("staged.studies.detection.report")
        .get_template("report.html")
        .render(
            facts=facts,
            settings=facts.settings,
            abstract=abstract_of(cells, facts.thresholds or ()),
            recorded=to_json(facts.settings),
            metrics=METRICS,
            sizes=[
                by_size(cells, detector, method) for detector in detectors for method in methods
            ],
            methods=[
                by_method(cells, detector, model)
                for detector in detectors
                for model in values(cells, "trained_on")
            ],
            published_sizes=PUBLISHED_SIZES,
            published=PUBLISHED,
            published_tfidf=PUBLISHED_TFIDF if are_published(facts.settings.models) else {},
            curves=[(d, m, length_curve(curve, d, m)) for d in detectors for m in methods],
            attacks=_attacks(folder / ATTACKS) if facts.settings.has_attacks else [],
            gallery=_gallery(read_record(folder / GALLERY, tuple[GalleryText, ...], again=AGAIN)),
            heat=heat,
            sizes_contradict=contradict(facts.models),
            length_of=length_of,
            findings=findings.findings,
            neighbours=findings.neighbours,
        )
    )


def contradict(models: Sequence[ModelFacts]) -> bool:
    """Whether a model is smaller than one before it, as far as sizes are known."""
    known = [model.parameters for model in models if model.parameters]
    return any(later < earlier for earlier, later in pairwise(known))


def heat(cell: Cell, metric: str) -> int:
    """A cell's shade, 0 (worst) … 10 (best): accuracy and AUROC count from even odds, rates
    from 0.
    """
    value = getattr(cell, metric)
    share = 2 * value - 1 if metric in ("accuracy", "auroc") else value
    return round(10 * min(max(share, 0.0), 1.0))


def _attacks(path: Path) -> list[AttackTable]:
    """The tables of attacks.json: one a detector and threshold."""
    tables: dict[tuple[str, str, float], AttackTable] = {}
    for row in read_record(path, tuple[AttackRow, ...], again=AGAIN):
        key = (row.detector, row.trained_on, row.fpr_wanted)
        lines = tables.setdefault(key, AttackTable(*key, {})).lines
        lines.setdefault(row.attack, {})[row.normalised] = row
    return list(tables.values())


def _gallery(rows: Sequence[GalleryText]) -> Gallery:
    machine: dict[tuple[str, str], list[GalleryText]] = {}
    for row in rows:
        if row.model:
            machine.setdefault((row.model, row.method), []).append(row)
    return Gallery([row for row in rows if not row.model], machine)
