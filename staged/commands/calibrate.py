"""Commands about a detector's error rates: calibrate, and stress, which measures them under
attack.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from staged.commands.options import (
    CalibrationOption,
    DetectorOption,
    DeviceOption,
    LiteralOption,
    ThreadsOption,
)
from staged.errors import CheckpointError
from staged.pages.figures import estimate, percent
from staged.records import MACHINE
from staged.screen import count_progress, print_table, say


def calibrate(
    human: Annotated[
        str,
        typer.Option(
            help=(
                "Human text: a file or folder of a kind that docs/formats.md lists, such as .txt or"
                " .jsonl."
            )
        ),
    ],
    fpr: Annotated[
        float,
        typer.Option(help="The false-positive rate to report on; the calibration serves any."),
    ] = 0.01,
    detector: DetectorOption = "evidence",
    machine: Annotated[
        str | None, typer.Option(help="Machine-written text: sharpens the verdict `human-like`.")
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(
            help=(
                "Human text to measure the achieved rate on; else 30% of --human, by whole sources."
            )
        ),
    ] = None,
    literal: LiteralOption = False,
    seed: Annotated[
        int, typer.Option(help="Of the split, and of the lengths and places of passages.")
    ] = 1,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("calibration.json"),
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
) -> None:
    """Fit a detector's p-values on your own human texts, and measure the false-positive rate on
    others.
    """
    from staged.detectors.calibration import fit

    fit.check_options(fpr, seed)
    from staged.corpus.files import read_corpus
    from staged.detectors.calibration.calibration import EDGES_WORDS
    from staged.detectors.calibration.calibration_file import load_calibration
    from staged.detectors.catalog import calibration_file, open_detector
    from staged.detectors.identity import known_by, scored_by
    from staged.detectors.names import parse_name
    from staged.files.places import refuse_to_replace
    from staged.model.devices import chosen_device

    refuse_to_replace(out, human, machine, held_out)
    texts = read_corpus(human, generated=False, literal=bool(literal))
    others = read_corpus(machine, label=MACHINE, literal=bool(literal)) if machine else []
    measured = read_corpus(held_out, generated=False, literal=bool(literal)) if held_out else None
    fit.note_taught_corpora(detector, (human, held_out))
    name, device = parse_name(detector), chosen_device(device)
    opened = open_detector(detector, device=device)
    own = calibration_file(name)
    edges = load_calibration(own).edges_words if own else EDGES_WORDS
    with count_progress("texts") as progress:
        fitted = fit.calibrate(
            out,
            detector,
            opened,
            texts,
            fpr=fpr,
            identity=scored_by(name, device),
            machine=others,
            held_out=measured,
            seed=seed,
            edges_words=edges,
            known_by=known_by(name),
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(fitted.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    _print_fitted(fitted.to_json())
    named = "" if detector == "evidence" else f" --detector {shlex.quote(detector)}"
    say(
        f"\ncalibration: {out}; to judge by it: staged detect TEXT{named} --calibration"
        f" {shlex.quote(str(out))}"
    )


def _print_fitted(facts: dict[str, Any]) -> None:
    """Thresholds by length, achieved rates by group, and what they say of the nominal rate."""
    from staged.detectors.calibration.calibration import humans_needed

    nominal = f"{100 * facts['fpr']:.3g}%"
    rows = [
        (
            one["length"],
            f"{one['n_human']:,}",
            f"{one['n_machine']:,}",
            (
                f"takes {humans_needed(facts['fpr']):,} texts"
                if one["threshold"] is None
                else f"{one['threshold']:.4g}"
            ),
            percent(*estimate(one, "rate"), digits=2, unit="%"),
        )
        for one in facts["lengths"]
    ]
    header = ("length", "n human", "n machine", "machine above", "true rate [95% range]")
    print_table(f"{facts['detector']}, calibrated for {nominal} false positives", header, rows)
    if all(one["threshold"] is None for one in facts["lengths"]):
        say(
            f"no text can be called machine-written at {nominal} by this: give more human texts, or"
            " a higher --fpr",
            style="bold",
        )
    measured = [
        (
            one["domain"],
            one["length"],
            f"{one['n']:,}",
            f"{one['false_positives']:,}",
            percent(one["rate"], one["low"], one["high"], digits=2, unit="%"),
            _against(one["within"], one["off_by"]),
        )
        for one in facts["achieved"]
    ]
    print_table(
        "on held-out human text",
        ("domain", "length", "n", "flagged", "rate [95% interval]", f"nominal {nominal}"),
        measured,
    )
    abstained = next((one["abstained"] for one in facts["achieved"]), 0)
    say(
        f"n: held-out texts that could be flagged; {abstained:,} could not, being too short or of a"
        " length with too few texts"
    )
    say(
        "off by: percentage points from the nominal rate to the interval's nearer end; rows over"
        " all lengths count a document once a length, so their true uncertainty is larger"
    )


def _against(within: bool | None, off_by: float | None) -> str:
    """Where the interval lies from the nominal rate."""
    if within is None or off_by is None:
        return "not measured"
    return "within" if within else f"off by {100 * off_by:+.2f}"


def stress(
    human: Annotated[
        str,
        typer.Option(
            help=(
                "Human text that did not calibrate the detector: a file or a folder, as"
                " `calibrate`."
            )
        ),
    ],
    machine: Annotated[
        str | None,
        typer.Option(help="Machine-written text, likewise: how much of it is still found."),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="One of RAID's; may be given several times; all by default."),
    ] = None,
    fpr: Annotated[
        list[float] | None,
        typer.Option(
            help=(
                "A nominal false-positive rate; may be given several times; 0.01 and 0.05 by"
                " default."
            )
        ),
    ] = None,
    detector: DetectorOption = "evidence",
    calibration: CalibrationOption = None,
    most: Annotated[
        int, typer.Option(help="Texts of each domain, chosen at random; 0 takes all.")
    ] = 200,
    without_normalisation: Annotated[
        bool, typer.Option(help="Also as it would be if texts were not normalised first.")
    ] = False,
    literal: LiteralOption = False,
    seed: Annotated[int, typer.Option(help="Of the choice of texts and of the attacks.")] = 1,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("stress.json"),
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """How often a detector accuses human text that went through an attack, and how much machine
    text it still finds. Interrupted, the same command continues.
    """
    from staged.attacks.kinds import ATTACKS
    from staged.attacks.stress import StressSettings
    from staged.attacks.stress import stress as measure
    from staged.detectors.calibration.fit import note_taught_corpora, refuse_taught
    from staged.detectors.opening import open_examiner

    settings = StressSettings(
        tuple(attack or ATTACKS), tuple(fpr or (0.01, 0.05)), most, without_normalisation, seed
    )
    from staged.corpus.files import read_corpus
    from staged.files.places import refuse_to_replace

    refuse_to_replace(out, human, machine, calibration)

    texts = read_corpus(human, generated=False, literal=bool(literal))
    others = read_corpus(machine, label=MACHINE, literal=bool(literal)) if machine else []
    refuse_taught(detector, texts)
    note_taught_corpora(detector, (human,))
    examiner = open_examiner(detector, fpr=settings.fprs[0], calibration=calibration, device=device)
    if examiner.calibration is None:
        raise CheckpointError(
            f"detector {detector!r}: has no calibration to judge by; make one with `staged"
            " calibrate`"
        )
    with count_progress("texts") as progress:
        found = measure(
            out,
            examiner.detector,
            examiner.calibration,
            texts,
            others,
            settings,
            identity=examiner.identity,
            progress=progress,
        )
    _print_stressed(found)
    say(f"\nall groups: {out}")


def _print_stressed(found: dict[str, Any]) -> None:
    """Attacks down, nominal rates across; over all domains and lengths."""
    fprs = found["settings"]["fprs"]
    rows = [row for row in found["rows"] if row["domain"] == row["length"] == "all"]
    for written_by, normalised in dict.fromkeys(
        (row["written_by"], row["normalised"]) for row in rows
    ):
        cells: dict[str, list[str]] = {}
        mine = [
            row
            for row in rows
            if (row["written_by"], row["normalised"]) == (written_by, normalised)
        ]
        for row in mine:
            changed = "–" if row["changed"] is None else f"{100 * row['changed']:.0f}%"
            rate = percent(*estimate(row, "rate"), unit="%")
            mark = "*" if row["p_holm"] is not None and row["p_holm"] < 0.01 else ""
            cells.setdefault(row["attack"], [changed]).append(rate + mark)
        reading = "normalised" if normalised else "not normalised"
        clean = [next(row for row in mine if row["fpr"] == fpr) for fpr in fprs]
        header = (
            "attack",
            "changed",
            *(f"called machine at {100 * row['fpr']:.3g}%, n {row['n']:,}" for row in clean),
        )
        print_table(
            f"{found['detector']}: {written_by} texts, {reading}",
            header,
            [(name, *those) for name, those in cells.items()],
        )
        for row in (one for one in clean if one["abstained"]):
            said = (
                f"{row['abstained']:,} of {row['abstained'] + row['n']:,} could not be called"
                f" machine at {100 * row['fpr']:.3g}%"
            )
            say(f"{said}: too short, or of a length with too few calibration texts")
    say(
        "[95% interval]; *: differs from the clean texts, p < 0.01 by McNemar's test after Holm's"
        " correction over the whole table"
    )
