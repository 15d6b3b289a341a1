"""The command that measures a detector on texts of which is known who wrote them: raid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from staged.commands.options import DetectorOption, DeviceOption, JsonOption, ThreadsOption
from staged.errors import PlanError
from staged.pages.figures import figure, percent
from staged.screen import count_progress, print_table, say
from staged.verbs import error_rates as verbs

FileArgument = Annotated[
    Path,
    typer.Argument(
        help=(
            "A .csv, .csv.gz, .jsonl or .parquet file with columns text and label (human or"
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
            "Folder for evaluation.json, predictions.json and raid_results.json; with it, a killed"
            " run continues."
        )
    ),
]


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
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure a detector on labelled texts, your own or RAID's: TPR at held-out thresholds,
    achieved FPR, AUROC, with intervals.
    """
    from staged.raid.evaluate import RaidSettings
    from staged.raid.rows import is_labelled

    if out is None and not as_json and predictions is None and not is_labelled(file):
        raise PlanError(
            f"{file}: has no labels to measure by: no column 'label' (human or machine), nor"
            " RAID's; add it, or give --out FOLDER or --json to have the scores"
        )
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
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False, allow_nan=False))
        return
    _print_raid(result)
    if out is not None:
        written = (
            "evaluation.json, predictions.json, raid_results.json"
            if result["labelled"]
            else "predictions.json"
        )
        say(f"{out}: {written}")


COLUMNS = ("", "value", "machine texts", "TPR in %", "human texts", "achieved FPR in %", "AUROC")
SCHEMES = {
    "per_domain": "a threshold for each domain",
    "pooled": "one threshold for all domains, as no domain has enough texts",
}


def _conditions(given: Sequence[str]) -> dict[str, list[str]]:
    """column=value … → column → values."""
    found: dict[str, list[str]] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise PlanError(
                f"raid: --calibrate-on {one!r} must be column=value, for example domain=news"
            )
        found.setdefault(name, []).append(value)
    return found


def _print_raid(result: dict[str, Any]) -> None:
    """One table a rate, at per-domain thresholds or, where no domain has enough human texts for
    one, at one threshold for all; with what was left unscored; what the columns mean stands under
    them.
    """
    counts = result["counts"]
    facts = ", ".join(
        f"{name} {counts[name]:,}"
        for name in ("rows", "scored", "missing", "nan", "infinite", "extra")
    )
    if not result["labelled"]:
        say(f"{result['note']}\n{facts}")
        return
    for fpr in result["settings"]["fprs"]:
        _print_rate(result, fpr)
    chosen, held = result["calibration"], result["reported"]
    say(
        f"{facts}; thresholds from {chosen['human']['rows']:,} human texts"
        f" ({chosen['sources']:,} sources), figures of"
        f" {held['human']:,} human + {held['machine']:,} machine texts of other sources; [95%"
        f" interval]; – where n is below {result['settings']['minimum']} or too few human texts"
        " certify the rate; an unscored text counts as not detected"
    )


def _print_rate(result: dict[str, Any], fpr: float) -> None:
    """The table of one nominal rate, a row a cell."""
    unscored = result["counts"]["scored"] < result["counts"]["rows"]
    of_scored = ("unscored", "TPR of scored") if unscored else ()
    scheme = next(  # per-domain thresholds stand first
        (
            one["thresholds"]
            for one in result["calibration"]["thresholds"]
            if one["fpr"] == fpr and one["threshold"] is not None
        ),
        "per_domain",
    )
    rows = []
    for cell in result["cells"]:
        rates = next(
            one for one in cell["rates"] if (one["thresholds"], one["fpr"]) == (scheme, fpr)
        )
        rows.append(_raid_row(cell, rates, unscored=unscored))
    whose = result["detector"] or result["predictions"]
    title = f"{whose} on {result['file']}, nominal FPR {100 * fpr:g}%, {SCHEMES[scheme]}"
    print_table(title, (*COLUMNS, *of_scored), rows)


def _raid_row(cell: dict[str, Any], rates: dict[str, Any], *, unscored: bool) -> tuple[str, ...]:
    tpr, scored, fpr, area = (
        (one["value"], one["low"], one["high"])
        for one in (rates["tpr"], rates["tpr_scored"], rates["fpr_achieved"], cell["auroc"])
    )
    machine, n_human = cell["machine"], rates["fpr_achieved"]["n"]
    left_out = machine["rows"] - machine["scored"]
    of_scored = (f"{left_out:,}", percent(*scored) if left_out else "") if unscored else ()
    shown = (percent(*tpr), f"{n_human:,}", percent(*fpr, digits=2), figure(*area, form=".3f"))
    return (cell["by"], cell["value"] or "(empty)", f"{machine['rows']:,}", *shown, *of_scored)
