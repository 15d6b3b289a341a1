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

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from staged.detectors import catalog, identity
from staged.detectors.names import parse_name
from staged.detectors.normal.normalize import normalize
from staged.engines.choice import HERE, Engine
from staged.errors import CorpusError, PlanError
from staged.files.places import refuse_to_replace
from staged.model.devices import chosen_device
from staged.progress import Progress, silent
from staged.raid.cells import (
    Cut,
    Reported,
    calibration_side,
    choose_cuts,
    eligible_rows,
)
from staged.raid.form import LABEL
from staged.raid.leaderboard import raid_results
from staged.raid.results import (
    EVALUATION,
    PREDICTIONS,
    RAID_RESULTS,
    CalibrationSide,
    RaidResult,
    RaidScores,
    ReportedSide,
    TakenLabels,
    Threshold,
)
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
from staged.raid.settings import RaidSettings
from staged.storage.gate import check_fillable, check_replaceable, start_ledger
from staged.storage.records import write_record
from staged.storage.writing import disk_errors, locked

KIND = "detector's evaluation"  # what the folder is called
WRITTEN = (IDENTITY, SCORED, PREDICTIONS, RAID_RESULTS, EVALUATION)
UNLABELLED = (
    "the file has no labels (RAID's test set has none): it was scored, and nothing can be measured"
    " on it here"
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
    engine: Engine = HERE,
    progress: Progress = silent,
) -> RaidResult | RaidScores:
    """Score a RAID-format file, or join the scores it was given, and measure.

    Args:
        detector, predicted: one of them: whose scores, or a file of them.
        out: folder that receives evaluation.json, predictions.json, raid_results.json and, while
            scoring, what a killed run continues from. A file without labels gets predictions.json
            alone.
        device: where the detector computes, as `detectors.catalog.open_detector` takes it.
        engine: what computes, where there is a folder.
        progress: called with (texts scored, texts).

    Returns:
        What was measured; of a file without labels the scores.

    Raises:
        CorpusError: the file or the predictions. PlanError: the settings. CheckpointError: the
            detector.
        ArtifactError: `out` is a file, holds files of others, or cannot be written.
    """
    device = chosen_device(device)
    if bool(detector) == bool(predicted):
        raise PlanError(
            "give --detector NAME (detector= in Python) to score the texts, or"
            " --predictions FILE.json (predictions=) with their scores"
        )
    for name in WRITTEN:
        refuse_to_replace(out and out / name, path, predicted)
    if out is not None:
        check_fillable(out, KIND)
    elif not engine.is_here:
        raise PlanError("evaluate: workers keep what they score; give --out FOLDER")
    rows = _measurable(path, settings, predicted)
    if out is None:
        if predicted:
            scores = read_predictions(predicted, rows)
        else:
            opened = catalog.open_detector(detector, device=device)
            scores = score_rows(rows, opened, progress=progress)
        result = _measure(rows, scores, settings, detector, predicted)
        if isinstance(result, RaidScores):
            return replace(result, scores=tuple(predictions(rows, scores)))
        return result
    with disk_errors(out), locked(out, shared=engine.shard is not None):
        start_ledger(out, KIND)
        for name in WRITTEN:
            check_replaceable(out / name, _is_begun if name == SCORED else None)
        return _into(out, rows, settings, detector, predicted, device, engine, progress)


def _measurable(path: Path, settings: RaidSettings, predicted: Path | None) -> Rows:
    """The rows of a file, which is refused before anything is scored where it cannot be measured.

    Raises:
        CorpusError, PlanError: as `evaluate_raid`.
    """
    rows = read_rows(path, also=tuple(settings.calibrate_on), texts=predicted is None)
    if predicted and not rows.labelled:
        raise PlanError(
            f"{path}: has no labels, so these predictions cannot be measured on it; give a file"
            " with a column 'label' (human or machine), or RAID's label columns"
        )
    if rows.labelled:
        _split(rows, settings)
    if LABEL in rows.columns and rows.human.all():
        labels = ", ".join(map(repr, rows.columns[LABEL].values[:5]))
        raise CorpusError(
            f"{path}: every row is human, as its labels are {labels}; give machine texts beside"
            " them, or for error rates on human texts alone run `staged calibrate`"
        )
    return rows


def _is_begun(scored: Path) -> bool:
    """Whether scores of a run that was killed are ours: it says beside them whose they are."""
    return (scored.parent / IDENTITY).is_file()


def _into(
    out: Path,
    rows: Rows,
    settings: RaidSettings,
    detector: str,
    predicted: Path | None,
    device: str,
    engine: Engine,
    progress: Progress,
) -> RaidResult | RaidScores:
    if predicted:
        scores = read_predictions(predicted, rows)
    else:
        load = partial(catalog.open_detector, detector, device=device)
        scored_by = identity.scored_by(parse_name(detector), device)
        scores = score_into(out, rows, load, scored_by, engine=engine, progress=progress)
    write_predictions(out / PREDICTIONS, rows, scores)
    result = _measure(rows, scores, settings, detector, predicted)
    if isinstance(result, RaidResult):
        write_record(out / RAID_RESULTS, raid_results(rows, scores, settings.fprs))
        write_record(out / EVALUATION, result)
    return result


def _measure(
    rows: Rows, scores: Scores, settings: RaidSettings, detector: str, predicted: Path | None
) -> RaidResult | RaidScores:
    name, given = detector or None, predicted.name if predicted else None
    counts = scores.file_counts()
    if not rows.labelled:
        return RaidScores(
            file=rows.path.name, detector=name, predictions=given, note=UNLABELLED, counts=counts
        )
    eligible, side = _split(rows, settings)
    cuts = choose_cuts(rows, scores, eligible & side, settings.fprs)
    reported = Reported(rows, scores, ~side, cuts, minimum=settings.minimum)
    return RaidResult(
        file=rows.path.name,
        detector=name,
        predictions=given,
        counts=counts,
        settings=settings,
        calibration=_calibration(rows, scores, eligible & side, cuts),
        reported=ReportedSide(int(reported.human.sum()), int(reported.machine.sum())),
        cells=tuple(reported.cells()),
        taken=_taken(rows),
    )


def _taken(rows: Rows) -> TakenLabels | None:
    """What each label was taken as; None of a file whose rows name models, as RAID's do."""
    if LABEL not in rows.columns:
        return None
    label, human = rows.columns[LABEL], rows.human
    counts = {
        who: np.bincount(label.codes[of], minlength=len(label.values))
        for who, of in (("human", human), ("machine", ~human))
    }
    taken = {
        who: {value: int(n) for value, n in zip(label.values, numbers, strict=True) if n}
        for who, numbers in counts.items()
    }
    return TakenLabels(rows.spelled.get("generation"), rows.spelled[LABEL], **taken)


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


def _calibration(
    rows: Rows, scores: Scores, calibrating: np.ndarray, cuts: Sequence[Cut]
) -> CalibrationSide:
    sources = np.unique(rows.columns["source_id"].codes[calibrating])
    thresholds = tuple(threshold for cut in cuts for threshold in _thresholds(rows, cut))
    return CalibrationSide(scores.counts(calibrating), len(sources), thresholds)


def _thresholds(rows: Rows, cut: Cut) -> Iterator[Threshold]:
    """A cut's thresholds: one a domain, or one for all."""
    domains = rows.columns["domain"].values if cut.scheme == "per_domain" else ("all",)
    for domain, value, n in zip(domains, cut.thresholds, cut.counts, strict=False):
        threshold = None if np.isnan(value) else float(value)
        yield Threshold(cut.scheme, cut.fpr, domain, threshold, int(n))
