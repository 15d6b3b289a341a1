"""Commands about a detector's error rates: calibrate, and stress, which measures them
under attack.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from staged.commands.options.engines import (
    AddressOption,
    EngineOption,
    ShardOption,
    WorkersOption,
    engine_of,
)
from staged.commands.options.shared import (
    HUMAN_TEXT,
    CalibrationOption,
    DetectorOption,
    DeviceOption,
    JsonOption,
    LiteralOption,
    ThreadsOption,
)
from staged.commands.provenance.key_rates import calibrate_watermark
from staged.pages.figures import estimate, percent
from staged.places.mirror import place
from staged.screen import count_progress, print_table, say
from staged.verbs import error_rates as verbs

if TYPE_CHECKING:
    from staged.attacks.stress import Stressed, StressReport

HumanOption = Annotated[str, typer.Option(help=HUMAN_TEXT)]
FprOption = Annotated[
    float, typer.Option(help="The false-positive rate to report on; the calibration serves any.")
]
MachineOption = Annotated[
    str | None, typer.Option(help="Machine-written text: sharpens the verdict `human-like`.")
]
HeldOutOption = Annotated[
    str | None,
    typer.Option(
        help="Human text to measure the achieved rate on; else 30% of --human, by whole sources."
    ),
]
SeedOption = Annotated[
    int, typer.Option(help="Of the split, and of the lengths and places of passages.")
]
WatermarkOption = Annotated[
    str,
    typer.Option(
        help="The id of a key: measure how often it calls your human texts marked, instead."
    ),
]
CalibratedOption = Annotated[
    Path | None,
    typer.Option(help="The file to write; calibration.json by default, none with --watermark."),
]
FileOption = Annotated[Path, typer.Option(help="The file to write.")]


def calibrate(
    human: HumanOption,
    fpr: FprOption = 0.01,
    detector: DetectorOption = "evidence",
    machine: MachineOption = None,
    held_out: HeldOutOption = None,
    literal: LiteralOption = False,
    seed: SeedOption = 1,
    watermark: WatermarkOption = "",
    out: CalibratedOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Fit a detector's p-values on your own human texts, and measure the false-positive
    rate on others; or, with --watermark, that of a key.
    """
    if watermark:
        calibrate_watermark(
            watermark, human, (machine, held_out), fpr, out, bool(literal), as_json=as_json
        )
        return
    out = place(out or "calibration.json")
    with count_progress("texts") as progress:
        fitted = verbs.calibrate(
            human,
            detector=detector,
            fpr=fpr,
            machine=machine,
            held_out=held_out,
            out=out,
            literal=bool(literal),
            seed=seed,
            device=device,
            engine=engine_of(engine, address, workers, shard, device=device),
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(fitted.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    _print_fitted(fitted.to_json())
    option = "" if detector == "evidence" else f" --detector {shlex.quote(detector)}"
    say(
        f"\ncalibration: {out}; to judge by it: staged detect TEXT{option} --calibration"
        f" {shlex.quote(str(out))}"
    )


def _print_fitted(facts: dict[str, Any]) -> None:
    """Thresholds by length, achieved rates by group, and what they say of the nominal rate."""
    nominal = f"{100 * facts['fpr']:.3g}%"
    _print_lengths(facts, nominal)
    header = ("domain", "length", "n", "flagged", "rate [95% interval]", f"nominal {nominal}")
    print_table("on held-out human text", header, list(map(_achieved_line, facts["achieved"])))
    abstained = next((row["abstained"] for row in facts["achieved"]), 0)
    say(
        f"n: held-out texts that could be flagged; {abstained:,} could not, being too short or of a"
        " length with too few texts"
    )
    say(
        "off by: percentage points from the nominal rate to the interval's nearer end; rows over"
        " all lengths count a document once a length, so their true uncertainty is larger"
    )


def _print_lengths(facts: dict[str, Any], nominal: str) -> None:
    """A row a length: how many texts it rests on, its threshold, and the rate that this holds."""
    from staged.detectors.calibration.calibration import humans_needed

    needed = humans_needed(facts["fpr"])
    rows = [
        (
            row["length"],
            f"{row['n_human']:,}",
            f"{row['n_machine']:,}",
            f"takes {needed:,} texts" if row["threshold"] is None else f"{row['threshold']:.4g}",
            percent(*estimate(row, "rate"), digits=2, unit="%"),
        )
        for row in facts["lengths"]
    ]
    header = ("length", "n human", "n machine", "machine above", "true rate [95% range]")
    print_table(f"{facts['detector']}, calibrated for {nominal} false positives", header, rows)
    if all(row["threshold"] is None for row in facts["lengths"]):
        say(
            f"no text can be called machine-written at {nominal} by this: give more human texts, or"
            " a higher --fpr",
            style="bold",
        )


def _achieved_line(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["domain"],
        row["length"],
        f"{row['n']:,}",
        f"{row['false_positives']:,}",
        percent(row["rate"], row["low"], row["high"], digits=2, unit="%"),
        _against(row["within"], row["off_by"]),
    )


def _against(within: bool | None, off_by: float | None) -> str:
    """Where the interval lies from the nominal rate."""
    if within is None or off_by is None:
        return "not measured"
    return "within" if within else f"off by {100 * off_by:+.2f}"


StressHumanOption = Annotated[
    str,
    typer.Option(
        help="Human text that did not calibrate the detector: a file or a folder, as `calibrate`."
    ),
]
StressMachineOption = Annotated[
    str | None, typer.Option(help="Machine-written text, likewise: how much of it is still found.")
]
AttackOption = Annotated[
    list[str] | None,
    typer.Option(help="One of RAID's; may be given several times; all by default."),
]
FprsOption = Annotated[
    list[float] | None,
    typer.Option(
        help="A nominal false-positive rate; may be given several times; 0.01 and 0.05 by default."
    ),
]
MostOption = Annotated[
    int, typer.Option(help="Texts of each domain, chosen at random; 0 takes all.")
]
NotNormalisedOption = Annotated[
    bool, typer.Option(help="Also as it would be if texts were not normalised first.")
]
StressSeedOption = Annotated[int, typer.Option(help="Of the choice of texts and of the attacks.")]


def stress(
    human: StressHumanOption,
    machine: StressMachineOption = None,
    attack: AttackOption = None,
    fpr: FprsOption = None,
    detector: DetectorOption = "evidence",
    calibration: CalibrationOption = None,
    most: MostOption = 200,
    without_normalisation: NotNormalisedOption = False,
    literal: LiteralOption = False,
    seed: StressSeedOption = 1,
    out: FileOption = Path("stress.json"),
    device: DeviceOption = "auto",
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
    threads: ThreadsOption = 0,
) -> None:
    """How often a detector accuses human text that went through an attack, and how much machine
    text it still finds. Interrupted, the same command continues.
    """
    with count_progress("texts") as progress:
        report = verbs.stress(
            human,
            machine=machine,
            attacks=attack or (),
            fprs=fpr or (0.01, 0.05),
            detector=detector,
            calibration=calibration,
            most=most,
            without_normalisation=without_normalisation,
            literal=bool(literal),
            seed=seed,
            out=out,
            device=device,
            engine=engine_of(engine, address, workers, shard, device=device),
            progress=progress,
        )
    _print_stressed(report)
    say(f"\nall groups: {place(out)}")


def _print_stressed(report: StressReport) -> None:
    """Attacks down, nominal rates across; over all domains and lengths."""
    tables: dict[tuple[str, bool], list[Stressed]] = {}
    for row in report.rows:
        if row.domain == row.length == "all":
            tables.setdefault((row.written_by, row.normalised), []).append(row)
    for (written_by, normalised), rows in tables.items():
        reading = "normalised" if normalised else "not normalised"
        title = f"{report.identity['detector']}: {written_by} texts, {reading}"
        clean = rows[: len(report.settings.fprs)]  # stand first
        called = (f"called machine at {100 * row.fpr:.3g}%, n {row.n:,}" for row in clean)
        print_table(title, ("attack", "changed", *called), list(_attack_lines(rows)))
        for row in clean:
            if row.abstained:
                say(
                    f"{row.abstained:,} of {row.abstained + row.n:,} could not be called machine at"
                    f" {100 * row.fpr:.3g}%: too short, or of a length with too few calibration"
                    " texts"
                )
    say(
        "[95% interval]; *: differs from the clean texts, p < 0.01 by McNemar's test after Holm's"
        " correction over the whole table"
    )


def _attack_lines(rows: Sequence[Stressed]) -> Iterator[tuple[str, ...]]:
    """An attack, how many texts it changes, and the rate at each nominal one."""
    for attack, group in groupby(rows, key=lambda row: row.attack):
        same = list(group)
        changed = "–" if same[0].changed is None else f"{100 * same[0].changed:.0f}%"
        yield attack, changed, *(_rate_under(row) for row in same)


def _rate_under(row: Stressed) -> str:
    rate = percent(row.rate, row.rate_low, row.rate_high, unit="%")
    return rate + ("*" if row.p_holm is not None and row.p_holm < 0.01 else "")
