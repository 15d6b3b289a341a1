"""How well a detector of several readers does, on sources that no reader had learned from; and the
calibrations that verdicts rest on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from staged.detectors.calibration.calibration import Calibration, fit_calibration, humans_needed
from staged.detectors.contract import MACHINE_WRITTEN
from staged.records import HUMAN, MACHINE, count_words
from staged.stats.comparing import exact
from staged.stats.metrics import auroc
from staged.training.readers.crops import Crop
from staged.training.readers.judging import READERS, are_machine, folds_of, kinds_reader
from staged.training.readers.plan import ReadersSettings

Floats = npt.NDArray[np.float64]
FPR = 0.01
OTHER = "other texts"  # in the list of what calibrates: those of no kind of their own


def calibrated(
    crops: Sequence[Crop],
    scores: Floats,
    settings: ReadersSettings,
    *,
    known_by: Sequence[str] = (),
) -> Calibration:
    """Human crops by their lengths and kinds, machine crops by their lengths."""
    rows: dict[int, list[tuple[float, int]]] = {HUMAN: [], MACHINE: []}
    for crop, score in zip(crops, scores.tolist(), strict=True):
        rows[crop.example.label].append((score, count_words(crop.text)))
    people = [crop.example.source for crop in crops if crop.example.label == HUMAN]
    return fit_calibration(
        settings.name,
        rows[HUMAN],
        rows[MACHINE],
        domains=[settings.kind(source) or OTHER for source in people],
        edges_words=settings.edges_words,
        known_by=known_by,
        kinds=[settings.kind(source) for source in people],
    )


def report(
    crops: Sequence[Crop],
    readings: Floats,
    measured: Mapping[str, Floats],
    settings: ReadersSettings,
) -> dict[str, Any]:
    """What is measured on sources that no reader had learned from, JSON values.

    `auroc`: each group of machine texts against the human texts of the same fold, by each reader
    and together. `flagged`: of each source of human text the share called machine-written at 1% by
    a calibration without that source.
    """
    columns = {**dict(zip(READERS, readings.T, strict=True)), **measured}
    return {
        "auroc": areas(crops, columns, settings),
        "flagged": {name: flagged(crops, scores, settings) for name, scores in measured.items()},
    }


def areas(
    crops: Sequence[Crop], columns: Mapping[str, Floats], settings: ReadersSettings
) -> list[dict[str, Any]]:
    """Of each group of machine texts and each column of scores: AUROC against the human texts of
    the same folds.
    """
    folds, machine = folds_of(crops, settings), are_machine(crops)
    groups = np.asarray([settings.group(crop.example) for crop in crops])
    rows = []
    for group in sorted(set(groups[machine])):
        chosen = machine & (groups == group)
        people = ~machine & np.isin(folds, folds[chosen])
        counts = {"n_human": int(people.sum()), "n_machine": int(chosen.sum())}
        for name, values in columns.items():
            area = auroc(values[people].tolist(), values[chosen].tolist())
            rows.append(
                {"machine": group, "score": name}
                | counts
                | dict(zip(("auroc", "low", "high"), area, strict=True))
            )
    return rows


def flagged(
    crops: Sequence[Crop], scores: Floats, settings: ReadersSettings
) -> list[dict[str, Any]]:
    """Of each source of human text: how many of its crops are called machine-written by a
    calibration made of the other sources.
    """
    sources, machine = np.asarray([crop.example.source for crop in crops]), are_machine(crops)
    guessed = guessed_kinds(crops, settings)
    rows = []
    for source in sorted(set(sources[~machine].tolist())):
        rest = np.flatnonzero(sources != source).tolist()
        calibration = calibrated([crops[i] for i in rest], scores[rest], settings)
        verdicts = [
            calibration.verdict(scores[i], count_words(crops[i].text), FPR, kinds=guessed[i])
            for i in np.flatnonzero((sources == source) & ~machine).tolist()
        ]
        n = sum(humans >= humans_needed(FPR) for _, _, humans, *_ in verdicts)
        hits = sum(verdict == MACHINE_WRITTEN for verdict, *_ in verdicts)
        low, high = exact(hits, n) if n else (None, None)
        of = {"source": source, "kind": settings.kind(source), "n": n, "flagged": hits}
        rows.append(of | {"rate": hits / n if n else None, "low": low, "high": high})
    return rows


def guessed_kinds(crops: Sequence[Crop], settings: ReadersSettings) -> list[tuple[str, ...]]:
    """The kinds that each crop may be of, by a reader of kinds that learned nothing of its fold."""
    folds = folds_of(crops, settings)
    guesses: list[tuple[str, ...]] = [()] * len(crops)
    for fold in range(settings.n_folds):
        rest = [crops[i] for i in np.flatnonzero(folds != fold).tolist()]
        if len({settings.kind(crop.example.source) for crop in rest} - {""}) > 1:
            held = np.flatnonzero(folds == fold).tolist()
            guessed = kinds_reader(rest, settings).plausible([crops[i].text for i in held])
            for i, kinds in zip(held, guessed, strict=True):
                guesses[i] = kinds
    return guesses
