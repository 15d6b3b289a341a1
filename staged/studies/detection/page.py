"""report.html: one self-contained page rendered from a study's JSON files; it measures nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from staged.cells import Cell, load_cells, values
from staged.errors import ArtifactError
from staged.pages.rendering import environment
from staged.storage.gate import is_sealed, sealed
from staged.storage.json_files import read_json
from staged.storage.placeless import named
from staged.storage.writing import write_atomic
from staged.studies.detection.curves import length_curve
from staged.studies.detection.matrix import PUBLISHED, PUBLISHED_SIZES, by_method, by_size

METRICS = {
    "accuracy": "Accuracy",
    "auroc": "AUROC",
    "tpr_at_fpr_1": "TPR at 1% FPR",
    "tpr_at_fpr_5": "TPR at 5% FPR",
}


def write_report(folder: Path) -> None:
    """Render `report.html` into a study's folder from the JSON files beside it.

    Raises:
        ArtifactError: one of them is missing, damaged, or of another version.
    """
    cells, curve = load_cells(folder / "cells.json"), load_cells(folder / "lengths.json")
    if not cells:
        raise ArtifactError(f"{folder / 'cells.json'}: holds no cell; run the study again")
    try:
        page = _render(
            cells,
            curve,
            named(read_json(folder / "study.json")),
            read_json(folder / "findings.json"),
            folder,
        )
    except (UndefinedError, KeyError) as missing:
        raise ArtifactError(
            f"{folder}: written by another version of staged ({missing}); run the study again"
        ) from None
    write_atomic(folder / "report.html", sealed(page).encode(), form=is_sealed)


def _render(
    cells: list[Cell], curve: list[Cell], facts: dict[str, Any], found: dict[str, Any], folder: Path
) -> str:
    methods, detectors = values(cells, "tested_method"), values(cells, "detector")
    return (
        environment("staged.studies.detection")
        .get_template("report.html")
        .render(
            facts=facts,
            settings=facts["settings"],
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
            curves=[(d, m, length_curve(curve, d, m)) for d in detectors for m in methods],
            attacks=_attacks(folder) if facts["settings"].get("attacks") else [],
            gallery=_gallery(read_json(folder / "gallery.json")),
            heat=heat,
            **found,
        )
    )


def heat(cell: Cell, metric: str) -> int:
    """A cell's shade, 0 (worst) … 10 (best): accuracy and AUROC count from even odds, rates
    from 0.
    """
    value = getattr(cell, metric)
    share = 2 * value - 1 if metric in ("accuracy", "auroc") else value
    return round(10 * min(max(share, 0.0), 1.0))


def _attacks(folder: Path) -> list[dict[str, Any]]:
    """The tables of attacks.json: one a detector and threshold, in each line an attack as it is and
    normalised.
    """
    tables: dict[tuple[str, str, float], dict[str, dict[bool, Any]]] = {}
    for row in read_json(folder / "attacks.json"):
        table = tables.setdefault((row["detector"], row["trained_on"], row["fpr_wanted"]), {})
        table.setdefault(row["attack"], {})[row["normalised"]] = row
    return [
        {"detector": detector, "trained_on": model, "fpr": fpr, "lines": list(lines.items())}
        for (detector, model, fpr), lines in tables.items()
    ]


def _gallery(rows: list[dict[str, str]]) -> dict[str, Any]:
    machine: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        if row["model"]:
            machine.setdefault((row["model"], row["method"]), []).append(row)
    return {"human": [row for row in rows if not row["model"]], "machine": machine}
