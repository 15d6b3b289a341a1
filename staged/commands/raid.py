"""The command that measures a detector on a RAID-format file: evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from staged.commands.options import DetectorOption, DeviceOption
from staged.errors import PlanError
from staged.screen import count_progress, print_raid, say


def evaluate(
    file: Annotated[Path, typer.Argument(help="A file in RAID's format: .csv, .csv.gz, .jsonl or .parquet (docs/evaluate.md).")],
    detector: DetectorOption = "",
    predictions: Annotated[
        Path | None, typer.Option(help='In place of --detector: scores in RAID\'s submission format, [{"id", "score"}, …].')
    ] = None,
    fpr: Annotated[
        list[float] | None,
        typer.Option(help="A false-positive rate to hold; may be given several times; 0.01 and 0.05 by default."),
    ] = None,
    calibrate_on: Annotated[
        list[str] | None,
        typer.Option(
            help="column=value: choose thresholds on human rows with this value; several of one column mean any, several columns "
            "all. attack=none by default."
        ),
    ] = None,
    calibration_share: Annotated[
        float, typer.Option(help="Share of the human sources that thresholds are chosen on; figures are of the other sources.")
    ] = 0.5,
    minimum_n: Annotated[int, typer.Option(help="A figure of fewer texts is left blank.")] = 30,
    seed: Annotated[int, typer.Option(help="Which sources stand on the calibration side depends on it.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for evaluation.json, predictions.json and raid_results.json; with it, a killed run continues."),
    ] = None,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Measure a detector on a RAID-format file: TPR at held-out thresholds, achieved FPR and AUROC, each with its interval."""
    from staged.study.raid import RaidSettings, evaluate_raid

    settings = RaidSettings(tuple(fpr or (0.01, 0.05)), _conditions(calibrate_on or []), calibration_share, minimum_n, seed)
    with count_progress("texts") as progress:
        result = evaluate_raid(file, settings, detector=detector, predicted=predictions, out=out, device=device, progress=progress)
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False, allow_nan=False))
        return
    print_raid(result)
    if out is not None:
        written = "evaluation.json, predictions.json, raid_results.json" if result["labelled"] else "predictions.json"
        say(f"{out}: {written}")
    elif not result["labelled"]:
        say("give --out FOLDER or --json to have the scores")


def _conditions(given: Sequence[str]) -> dict[str, list[str]]:
    """column=value … → column → values."""
    found: dict[str, list[str]] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise PlanError(f"evaluate: --calibrate-on {one!r} must be column=value, for example domain=news")
        found.setdefault(name, []).append(value)
    return found
