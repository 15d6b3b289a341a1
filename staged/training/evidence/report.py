"""A detector's calibration on `valid`, and what is measured of it on `test`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from staged.detectors.calibration.calibration import Calibration, fit_calibration
from staged.detectors.calibration.error_rates import achieved_rates
from staged.detectors.coverage.reasons import comparable_words
from staged.detectors.kinds.evidence import Matrix
from staged.records import HUMAN, MACHINE, Document
from staged.stats.metrics import auroc
from staged.training.evidence.generated import generator_of, method_of
from staged.training.evidence.passages import corpus_of, is_clean
from staged.training.evidence.plan import EvidenceSettings

RATES = (0.01, 0.05)
FEWEST = 10  # machine texts of a group that a figure is given for


def calibrated(
    documents: Sequence[Document],
    scores: Sequence[float],
    settings: EvidenceSettings,
    *,
    name: str,
    known_by: Sequence[str] = (),
) -> Calibration:
    """Human and machine texts of `valid`, by their lengths."""
    rows: dict[int, list[tuple[float, int]]] = {HUMAN: [], MACHINE: []}
    for document, score in zip(documents, scores, strict=True):
        if document.split == "valid":
            rows[document.label].append((score, comparable_words(document.text)))
    domains = [corpus_of(document) for document in documents if document.split == "valid"]
    edges = settings.edges_words
    return fit_calibration(
        name, rows[HUMAN], rows[MACHINE], domains=domains, edges_words=edges, known_by=known_by
    )


def report(
    documents: Sequence[Document],
    scores: Matrix,
    columns: Mapping[str, Matrix],
    calibration: Calibration,
) -> dict[str, Any]:
    """What is measured on `test` and on the held-out corpora, JSON values; nothing there was
    trained or calibrated on.

    `auroc`: each generator's and method's machine texts against the human `test` texts of the
    corpora that they begin like, by the detector and by each of `columns`. `achieved`:
    false-positive rates at a nominal 1% and 5%, by corpus and length; `attacked` the same of human
    texts under the plan's attacks.
    """
    return {
        "auroc": _areas(documents, {calibration.detector: scores, **columns}),
        "achieved": _achieved(documents, scores, calibration, clean=True),
        "attacked": _achieved(documents, scores, calibration, clean=False),
        "calibrated_on": list(calibration.domains),
    }


def _areas(documents: Sequence[Document], columns: Mapping[str, Matrix]) -> list[dict[str, Any]]:
    """AUROC of each group of machine texts that is large enough, by each column of scores."""
    corpora = {corpus_of(document) for document in documents if document.label == MACHINE}
    test = [
        i
        for i, document in enumerate(documents)
        if document.split == "test" and corpus_of(document) in corpora
    ]
    human = [i for i in test if documents[i].label == HUMAN]
    groups: dict[str, list[int]] = {"all": [i for i in test if documents[i].label == MACHINE]}
    for i in groups["all"]:
        groups.setdefault(generator_of(documents[i]), []).append(i)
        groups.setdefault(method_of(documents[i]), []).append(i)
    rows = []
    for name, group in groups.items():
        if len(group) < FEWEST:
            continue
        for column, values in columns.items():
            area = auroc(values[human].tolist(), values[group].tolist())
            of = {"machine": name, "score": column, "n_human": len(human), "n_machine": len(group)}
            rows.append(of | dict(zip(("auroc", "low", "high"), area, strict=True)))
    return rows


def _achieved(
    documents: Sequence[Document], scores: Matrix, calibration: Calibration, *, clean: bool
) -> dict[str, list[dict[str, Any]]]:
    """Nominal rate → false-positive rates of the human `test` texts, as they are or attacked."""
    held = [
        (score, comparable_words(document.text), corpus_of(document))
        for document, score in zip(documents, scores.tolist(), strict=True)
        if document.split == "test" and document.label == HUMAN and is_clean(document) == clean
    ]
    return {
        f"{fpr:g}": [asdict(row) for row in achieved_rates(calibration, held, fpr)] for fpr in RATES
    }
