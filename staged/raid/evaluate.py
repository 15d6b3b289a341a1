"""RAID, the largest shared benchmark of detectors: a detector in its form, and its evaluation with
held-out thresholds.

Measures  TPR at fixed false-positive rates, achieved FPR and AUROC, over everything and by domain,
          model, decoding, repetition penalty and attack; each with n and a 95% interval. What each
          figure is of: `cells.py`.
Fails     where a domain has few human texts: 1% needs 99 of them on the calibration side; such
          cells are blank.
Cost      the detector's; the file is read twice, a block at a time; memory goes by rows, not by
          text.
Source    Dugan et al. 2024, arXiv 2405.07940; https://github.com/liamdugan/raid
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from staged.detectors import catalog, identity
from staged.detectors.calibration.calibration import check_fpr
from staged.detectors.names import parse_name
from staged.detectors.normal.normalize import normalize
from staged.errors import PlanError
from staged.files.places import refuse_to_replace
from staged.model.devices import chosen_device
from staged.progress import Progress, silent
from staged.raid.cells import (
    Conditions,
    Cut,
    Reported,
    calibration_side,
    choose_cuts,
    eligible_rows,
)
from staged.raid.leaderboard import raid_results
from staged.raid.rows import Rows, read_rows
from staged.raid.scores import (
    IDENTITY,
    SCORED,
    Scores,
    predictions,
    read_predictions,
    score_into,
    score_rows,
    write_predictions,
)
from staged.storage.gate import check_replaceable, start_ledger
from staged.storage.json_files import write_json
from staged.storage.writing import disk_errors, locked

KIND = "detector's evaluation"  # what the folder is called
WRITTEN = (IDENTITY, SCORED, "predictions.json", "raid_results.json", "evaluation.json")
UNLABELLED = (
    "the file has no labels (RAID's test set): it was scored, and nothing can be measured on it"
    " here"
)


@dataclass(frozen=True)
class RaidSettings:
    """How a file is evaluated.

    Attributes:
        fprs: false-positive rates to hold, each in (0, 1).
        calibrate_on: column → values: which human rows thresholds may be chosen on; the unattacked
            ones by default.
        share: of the sources with such a row, how many stand on the calibration side, in (0, 1].
        minimum: a figure of fewer texts is blank.
    """

    fprs: tuple[float, ...] = (0.01, 0.05)
    calibrate_on: Conditions = field(default_factory=dict)
    share: float = 0.5
    minimum: int = 30
    seed: int = 1

    def __post_init__(self) -> None:
        for fpr in self.fprs:
            check_fpr(fpr)
        if not self.fprs or len(set(self.fprs)) < len(self.fprs):
            raise PlanError("raid: give each false-positive rate once")
        if not 0 < self.share <= 1:
            raise PlanError(
                f"raid: the calibration share lies above 0 and at most at 1, not {self.share:g}"
            )
        if self.minimum < 2:
            raise PlanError(
                f"raid: the minimum n must be at least 2, not {self.minimum}; an interval needs"
                " two texts"
            )


def raid_detector(name: str, *, device: str = "auto") -> Callable[[Sequence[str]], list[float]]:
    """A detector as `raid.run_detection(f, df)` takes it: texts in, one score a text out, higher is
    more machine-like.

    Texts are normalised first. A text that is not a string (pandas reads an empty one as NaN)
    counts as the empty text.

    Args:
        name, device: as `detectors.catalog.open_detector` takes them.

    Raises:
        CheckpointError: no such detector.
        PlanError: (by what is returned) a single string in place of a sequence.
    """
    detector = catalog.open_detector(name, device=device)

    def score(texts: Sequence[str]) -> list[float]:
        if isinstance(texts, str):
            raise PlanError(
                "raid_detector: give a list of texts, not one string, whose letters would each be a"
                " text"
            )
        return detector.score(
            [normalize(text).text if isinstance(text, str) else "" for text in texts]
        )

    return score


def evaluate_raid(
    path: Path,
    settings: RaidSettings,
    *,
    detector: str = "",
    predicted: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Score a RAID-format file, or join the scores it was given, and measure.

    Args:
        detector, predicted: one of them: whose scores, or a file of them.
        out: folder that receives evaluation.json, predictions.json, raid_results.json and, while
            scoring, what a killed run continues from. A file without labels gets predictions.json
            alone.
        device: where the detector computes, as `detectors.catalog.open_detector` takes it.
        progress: called with (texts scored, texts).

    Returns:
        JSON values, as docs/raid.md lists them.

    Raises:
        CorpusError: the file or the predictions. PlanError: the settings. CheckpointError: the
            detector.
        ArtifactError: `out` cannot be written.
    """
    device = chosen_device(device)
    if bool(detector) == bool(predicted):
        raise PlanError(
            "raid: give --detector NAME to score the texts, or --predictions FILE.json with"
            " their scores"
        )
    for name in WRITTEN:
        refuse_to_replace(out and out / name, path, predicted)
    rows = _measurable(path, settings, predicted)
    head = {
        "file": path.name,
        "detector": detector or None,
        "predictions": predicted.name if predicted else None,
    }
    if out is None:
        if predicted:
            scores = read_predictions(predicted, rows)
        else:
            ready = catalog.open_detector(detector, device=device)
            scores = score_rows(rows, ready, progress=progress)
        result = head | _measure(rows, scores, settings)
        return result if rows.labelled else result | {"scores": list(predictions(rows, scores))}
    with disk_errors(out), locked(out):
        start_ledger(out, KIND)
        for name in WRITTEN:
            check_replaceable(out / name, _is_begun if name == SCORED else None)
        return _into(out, rows, settings, head, predicted, device, progress)


def _measurable(path: Path, settings: RaidSettings, predicted: Path | None) -> Rows:
    """The rows of a file, which is refused before anything is scored where it cannot be measured.

    Raises:
        CorpusError, PlanError: as `evaluate_raid`.
    """
    rows = read_rows(path, also=tuple(settings.calibrate_on), texts=predicted is None)
    if predicted and not rows.labelled:
        raise PlanError(
            f"{path}: has no labels, so these predictions cannot be measured on it; give a file"
            " with RAID's label columns"
        )
    if rows.labelled:
        _split(rows, settings)
    return rows


def _is_begun(scored: Path) -> bool:
    """Whether scores of a run that was killed are ours: it says beside them whose they are."""
    return (scored.parent / IDENTITY).is_file()


def _into(
    out: Path,
    rows: Rows,
    settings: RaidSettings,
    head: dict[str, Any],
    predicted: Path | None,
    device: str,
    progress: Progress,
) -> dict[str, Any]:
    if predicted:
        scores = read_predictions(predicted, rows)
    else:
        load = partial(catalog.open_detector, head["detector"], device=device)
        scored_by = identity.scored_by(parse_name(head["detector"]), device)
        scores = score_into(out, rows, load, scored_by, progress=progress)
    write_predictions(out / "predictions.json", rows, scores)
    result = head | _measure(rows, scores, settings)
    if rows.labelled:
        write_json(out / "raid_results.json", raid_results(rows, scores, settings.fprs))
        write_json(out / "evaluation.json", result)
    return result


def _measure(rows: Rows, scores: Scores, settings: RaidSettings) -> dict[str, Any]:
    everything = np.ones(len(rows), dtype=bool)
    counted: dict[str, Any] = {"rows": len(rows)} | scores.counts(everything)
    counted |= {"extra": len(scores.extra), "extra_first": list(scores.extra[:5])}
    if not rows.labelled:
        return {"labelled": False, "note": UNLABELLED, "counts": counted}
    eligible, side = _split(rows, settings)
    cuts = choose_cuts(rows, scores, eligible & side, settings.fprs)
    reported = Reported(rows, scores, ~side, cuts, minimum=settings.minimum)
    return {
        "labelled": True,
        "counts": counted,
        "settings": asdict(settings),
        "calibration": (
            _calibration(rows, scores, eligible & side)
            | {"thresholds": [one for cut in cuts for one in _listed(rows, cut)]}
        ),
        "reported": {"human": int(reported.human.sum()), "machine": int(reported.machine.sum())},
        "cells": list(reported.cells()),
    }


def _split(rows: Rows, settings: RaidSettings) -> tuple[np.ndarray, np.ndarray]:
    """Of each row, whether it may calibrate, and whether its source is on the calibration side.

    Raises:
        CorpusError: no row may calibrate.
        PlanError: no source is left to measure on.
    """
    eligible = eligible_rows(rows, settings.calibrate_on)
    side = calibration_side(rows, eligible, share=settings.share, seed=settings.seed)
    if side.all():
        raise PlanError(
            f"{rows.path}: all its sources are on the calibration side, and none is left to measure"
            " on; give a smaller --calibration-share, or a file of more sources"
        )
    return eligible, side


def _calibration(rows: Rows, scores: Scores, calibrating: np.ndarray) -> dict[str, Any]:
    sources = np.unique(rows.columns["source_id"].codes[calibrating])
    return {
        "human": {"rows": int(calibrating.sum())} | scores.counts(calibrating),
        "sources": len(sources),
    }


def _listed(rows: Rows, cut: Cut) -> list[dict[str, Any]]:
    """A cut's thresholds for JSON: one a domain, or one for all."""
    names = rows.columns["domain"].values if cut.scheme == "per_domain" else ("all",)
    values = [None if np.isnan(value) else float(value) for value in cut.thresholds]
    return [
        {
            "thresholds": cut.scheme,
            "fpr": cut.fpr,
            "domain": name,
            "threshold": value,
            "n_human": int(n),
        }
        for name, value, n in zip(names, values, cut.counts, strict=False)
    ]
