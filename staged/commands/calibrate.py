"""The command that fits a detector to human text: calibrate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from staged.errors import PlanError
from staged.records import MACHINE
from staged.screen import count_progress, print_table, screen

DETECTOR_HELP = "A detector by name (docs/detectors.md), its folder, a detector-*.pt file, or a two-label classifier on the hub."


def calibrate(
    human: Annotated[str, typer.Option(help="Human text: a .txt, .jsonl or .parquet file, or a folder of these.")],
    fpr: Annotated[float, typer.Option(help="The false-positive rate to report on; the calibration serves any.")] = 0.01,
    detector: Annotated[str, typer.Option(help=DETECTOR_HELP)] = "evidence",
    machine: Annotated[str | None, typer.Option(help="Machine-written text: sharpens the verdict `human-like`.")] = None,
    held_out: Annotated[
        str | None, typer.Option(help="Human text to measure the achieved rate on; else 30% of --human, by whole sources.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, and of the lengths and places of passages.")] = 1,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("calibration.json"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Fit a detector's p-values on your own human texts, and measure the false-positive rate on others."""
    from staged.detectors import fitting

    fitting.check_options(fpr, seed)
    if out.is_dir():
        raise PlanError(f"{out}: is a folder; give --out a file, such as {out / 'calibration.json'}")
    from staged.corpus.files import read_corpus
    from staged.detectors.catalog import open_detector

    texts = read_corpus(human)
    others = read_corpus(machine, label=MACHINE) if machine else []
    measured = read_corpus(held_out) if held_out else None
    opened = open_detector(detector)
    with count_progress("texts") as progress:
        fitted = fitting.calibrate(
            detector, opened, texts, fpr=fpr, machine=others, held_out=measured, seed=seed, progress=progress
        )
    fitted.calibration.save(out)
    if as_json:
        typer.echo(json.dumps(fitted.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    _print_fitted(fitted.to_json())
    screen.print(f"\ncalibration: {out}", highlight=False, markup=False, soft_wrap=True)


def _print_fitted(facts: dict[str, Any]) -> None:
    """Thresholds by length, achieved rates by group, and what they say of the nominal rate."""
    nominal = f"{100 * facts['fpr']:.3g}%"
    rows = [
        (
            one["length"],
            f"{one['n_human']:,}",
            f"{one['n_machine']:,}",
            "too few texts" if one["threshold"] is None else f"{one['threshold']:.4g}",
            _percent(one["rate"], one["rate_low"], one["rate_high"]),
        )
        for one in facts["lengths"]
    ]
    header = ("length", "n human", "n machine", "machine above", "true rate [95% range]")
    print_table(f"{facts['detector']}, calibrated for {nominal} false positives", header, rows)
    measured = [
        (
            one["domain"],
            one["length"],
            f"{one['n']:,}",
            f"{one['false_positives']:,}",
            _percent(one["rate"], one["low"], one["high"]),
            _against(one["within"], one["off_by"]),
        )
        for one in facts["achieved"]
    ]
    print_table(
        "on held-out human text", ("domain", "length", "n", "flagged", "rate [95% interval]", f"nominal {nominal}"), measured
    )
    abstained = next((one["abstained"] for one in facts["achieved"]), 0)
    screen.print(
        f"n: held-out texts that could be flagged; {abstained:,} could not, being too short or of a length with too few texts",
        highlight=False,
        soft_wrap=True,
    )
    screen.print(
        "off by: percentage points from the nominal rate to the interval's nearer end; rows over all lengths count a document once "
        "a length, so their true uncertainty is larger",
        highlight=False,
        soft_wrap=True,
    )


def _percent(rate: float | None, low: float | None, high: float | None) -> str:
    if rate is None or low is None or high is None:
        return "–"
    return f"{100 * rate:.2f}% [{100 * low:.2f}, {100 * high:.2f}]"


def _against(within: bool | None, off_by: float | None) -> str:
    """Where the interval lies from the nominal rate."""
    if within is None or off_by is None:
        return "not measured"
    return "within" if within else f"off by {100 * off_by:+.2f}"
