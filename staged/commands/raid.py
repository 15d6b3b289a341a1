"""Commands that measure a detector on texts of which is known who wrote them: evaluate, raid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options.engines import (
    AddressOption,
    EngineOption,
    ShardOption,
    WorkersOption,
    engine_of,
)
from staged.commands.options.shared import DetectorOption, DeviceOption, JsonOption, ThreadsOption
from staged.errors import PlanError
from staged.pages.figures import figure, percent
from staged.screen import count_progress, print_table, say
from staged.storage.records import to_json
from staged.verbs import error_rates as verbs

if TYPE_CHECKING:
    from staged.raid.results import (
        FileCounts,
        RaidCell,
        RaidResult,
        RaidScores,
        Rates,
        TakenLabels,
    )

FileArgument = Annotated[
    Path,
    typer.Argument(
        help=(
            "A .csv, .tsv, .jsonl or .parquet file with columns text and label (human or"
            " machine), or in RAID's format (docs/raid.md)."
        )
    ),
]
PredictionsOption = Annotated[
    Path | None,
    typer.Option(
        help='In place of --detector: scores in RAID\'s submission format, [{"id", "score"}, …].'
    ),
]
FprsOption = Annotated[
    list[float] | None,
    typer.Option(
        help="A false-positive rate to hold; may be given several times; 0.01 and 0.05 by default."
    ),
]
CalibrateOnOption = Annotated[
    list[str] | None,
    typer.Option(
        help=(
            "column=value: choose thresholds on human rows with this value; several of one column"
            " mean any, several columns all. attack=none by default."
        )
    ),
]
CalibrationShareOption = Annotated[
    float,
    typer.Option(
        help=(
            "Share of the human sources that thresholds are chosen on; figures are of the other"
            " sources."
        )
    ),
]
MinimumNOption = Annotated[int, typer.Option(help="A figure of fewer texts is left blank.")]
SeedOption = Annotated[
    int, typer.Option(help="Which sources stand on the calibration side depends on it.")
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help=(
            "New folder for evaluation.json, predictions.json and raid_results.json; with it, a"
            " killed run continues."
        )
    ),
]


def evaluate(
    file: FileArgument,
    detector: DetectorOption = "",
    predictions: PredictionsOption = None,
    fpr: FprsOption = None,
    calibrate_on: CalibrateOnOption = None,
    calibration_share: CalibrationShareOption = 0.5,
    minimum_n: MinimumNOption = 30,
    seed: SeedOption = 1,
    out: OutOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure a detector, `evidence` by default, on labelled texts of your own: rows of text and
    label.
    """
    raid(
        file,
        detector or ("" if predictions else DETECTOR),
        predictions,
        fpr,
        calibrate_on,
        calibration_share,
        minimum_n,
        seed,
        out,
        device,
        engine,
        address,
        workers,
        shard,
        threads,
        as_json,
    )


def raid(
    file: FileArgument,
    detector: DetectorOption = "",
    predictions: PredictionsOption = None,
    fpr: FprsOption = None,
    calibrate_on: CalibrateOnOption = None,
    calibration_share: CalibrationShareOption = 0.5,
    minimum_n: MinimumNOption = 30,
    seed: SeedOption = 1,
    out: OutOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure a detector on RAID's files, or on your own as `staged evaluate` does: TPR at held-out
    thresholds, achieved FPR, AUROC, with intervals.
    """
    from staged.raid.settings import RaidSettings

    if out is None and not as_json and predictions is None:
        _check_labels(file)
    fprs, conditions = tuple(fpr or (0.01, 0.05)), _conditions(calibrate_on or [])
    settings = RaidSettings(fprs, conditions, calibration_share, minimum_n, seed)
    with count_progress("texts") as progress:
        result = verbs.evaluate_raid(
            file,
            settings=settings,
            detector=detector,
            predictions=predictions,
            out=out,
            device=device,
            engine=engine_of(engine, address, workers, shard, device=device),
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(to_json(result), ensure_ascii=False, allow_nan=False))
    else:
        _print_result(result, out)


def _check_labels(file: Path) -> None:
    """Refuse to score texts for nothing: without labels there is no figure to show."""
    from staged.raid.form import renaming
    from staged.raid.rows import column_names, is_labelled

    if not is_labelled(file):
        names = column_names(file)
        raise PlanError(
            f"{file}: has no labels to measure by: no column 'label' (human or machine), nor"
            f" RAID's; its columns are {', '.join(map(repr, names))}; add it, or give --out FOLDER"
            f" or --json to have the scores{renaming(names, {'generation': ''})}"
        )


def _print_result(result: RaidResult | RaidScores, out: Path | None) -> None:
    from staged.raid.results import RaidScores

    if isinstance(result, RaidScores):
        say(f"{result.note}\n{_facts(result.counts)}")
    else:
        _print_raid(result)
    if out is not None:
        measured = ("evaluation.json", "raid_results.json") if result.labelled else ()
        scored = ("scores.json", "scores.jsonl") if result.detector else ()
        say(f"{out}: {', '.join(sorted((*measured, 'predictions.json', *scored)))}")


DETECTOR = "evidence"  # that `staged detect` takes too
COLUMNS = ("", "value", "machine texts", "TPR in %", "human texts", "achieved FPR in %", "AUROC")
SCHEMES = {
    "per_domain": "a threshold for each domain",
    "pooled": "one threshold for all domains, as no domain has enough texts",
}


def _conditions(given: Sequence[str]) -> dict[str, list[str]]:
    """column=value … → column → values."""
    conditions: dict[str, list[str]] = {}
    for condition in given:
        name, equals, value = condition.partition("=")
        if not (name and equals):
            raise PlanError(
                f"--calibrate-on {condition!r} must be column=value, for example domain=news"
            )
        conditions.setdefault(name, []).append(value)
    return conditions


def _facts(counts: FileCounts) -> str:
    names = ("rows", "scored", "missing", "nan", "infinite", "extra")
    return ", ".join(f"{name} {getattr(counts, name):,}" for name in names)


def _print_raid(result: RaidResult) -> None:
    """One table a rate, at per-domain thresholds or, where no domain has enough human texts for
    one, at one threshold for all; with what was left unscored; what the columns mean stands under
    them.
    """
    for fpr in result.settings.fprs:
        _print_rate(result, fpr)
    if result.taken:
        say(_labels(result.taken))
    chosen, held = result.calibration, result.reported
    say(
        f"{_facts(result.counts)}; thresholds from {chosen.human.rows:,} human texts"
        f" ({chosen.sources:,} sources), figures of"
        f" {held.human:,} human + {held.machine:,} machine texts of other sources; [95%"
        f" interval]; – where n is below {result.settings.minimum} or too few human texts"
        " certify the rate; an unscored text counts as not detected"
    )


def _labels(taken: TakenLabels) -> str:
    """Which labels counted as what: 0 and 1 mean the opposite in some people's files."""
    sides = (
        f"{who}: {', '.join(f'{label!r} ({n:,} rows)' for label, n in labels.items()) or 'none'}"
        for who, labels in (("human", taken.human), ("machine", taken.machine))
    )
    texts = f"texts from column {taken.text!r}, " if taken.text else ""
    return f"{texts}labels from column {taken.label!r} taken as {'; '.join(sides)}"


def _print_rate(result: RaidResult, fpr: float) -> None:
    """The table of one nominal rate, a row a cell."""
    unscored = result.counts.scored < result.counts.rows
    of_scored = ("unscored", "TPR of scored") if unscored else ()
    certified = [
        threshold.thresholds
        for threshold in result.calibration.thresholds
        if threshold.fpr == fpr and threshold.threshold is not None
    ]
    scheme = certified[0] if certified else "per_domain"  # per-domain thresholds stand first
    rows = [
        _raid_row(cell, rates, unscored=unscored)
        for cell in result.cells
        if not _is_filled_in(cell, result)
        for rates in cell.rates
        if (rates.thresholds, rates.fpr) == (scheme, fpr)
    ]
    whose = result.detector or result.predictions
    title = f"{whose} on {result.file}, nominal FPR {100 * fpr:g}%, {SCHEMES[scheme]}"
    print_table(title, (*COLUMNS, *of_scored), rows)


def _is_filled_in(cell: RaidCell, result: RaidResult) -> bool:
    """Whether a breakdown is by a column that the user's file lacks: it says again what stands
    over it.
    """
    from staged.raid.form import USUAL

    values = [other.value for other in result.cells if other.by == cell.by]
    return result.taken is not None and values == [USUAL.get(cell.by)]


def _raid_row(cell: RaidCell, rates: Rates, *, unscored: bool) -> tuple[str, ...]:
    machine, tpr, fpr, area = cell.machine, rates.tpr, rates.fpr_achieved, cell.auroc
    shown = (
        percent(tpr.value, tpr.low, tpr.high),
        f"{fpr.n:,}",
        percent(fpr.value, fpr.low, fpr.high, digits=2),
        figure(area.value, area.low, area.high, form=".3f"),
    )
    of_scored: tuple[str, ...] = ()
    if unscored:
        left_out, scored = machine.rows - machine.scored, rates.tpr_scored
        share = percent(scored.value, scored.low, scored.high) if left_out else ""
        of_scored = (f"{left_out:,}", share)
    return (cell.by, cell.value or "(empty)", f"{machine.rows:,}", *shown, *of_scored)
