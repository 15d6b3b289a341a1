"""Commands for a text in hand: detect, train-detector."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from staged.errors import PlanError
from staged.screen import count_progress, print_evidence, print_verdicts, screen, staged_progress

DETECTOR = "evidence, a zero-shot score such as fast-detectgpt@gpt2, a released detector, a detector's folder (docs/detectors.md)"
COLUMNS = ("id", "verdict", "score", "p_value", "fpr", "words", "n_human", "detector", "reason")


def detect(
    places: Annotated[
        list[str],
        typer.Argument(
            help='Text files, folders, .jsonl or .parquet files (rows {"id", "text"}), or - for standard input.', metavar="PATH..."
        ),
    ],
    detector: Annotated[str, typer.Option(help=f"{DETECTOR}.")] = "evidence",
    fpr: Annotated[float, typer.Option(help="Share of human texts that may be called machine-written.")] = 0.01,
    calibration: Annotated[
        Path | None, typer.Option(help="Judge by this file, which `staged calibrate` wrote, instead of the detector's own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a text, in input order.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table.")] = False,
    segments: Annotated[
        bool, typer.Option("--segments", help="Judge the parts of each text as well, for texts of several authors.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page that shows one text with its tokens and segments coloured.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the JSON objects into this .jsonl file; interrupted, the same command continues it.")
    ] = None,
) -> None:
    """Is this text machine-written, how sure, and why. Nobody should be accused on a score alone."""
    if sum((as_json, as_csv, out is not None)) > 1:
        raise PlanError("detect: give one of --json, --csv and --out")
    if out is not None and out.suffix != ".jsonl":
        raise PlanError(f"{out}: verdicts are written as JSON Lines; choose a name that ends in .jsonl")
    from staged.detectors.detect import Examiner, judged, write_judged
    from staged.detectors.inputs import read_texts

    examiner = Examiner(detector, fpr=fpr, calibration=calibration)
    if out is not None:
        with count_progress("texts") as progress:
            write_judged(out, examiner, list(read_texts(places)), segments=segments, progress=progress)
        screen.print(f"verdicts: {out}", highlight=False, soft_wrap=True)
        return
    texts = read_texts(places)
    if html is not None:
        texts = iter(_page(html, examiner, list(texts)))
    rows = judged(examiner, texts, segments=segments)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False, allow_nan=False))
    elif as_csv:
        _print_csv(rows)
    else:
        print_verdicts(rows)


def _print_csv(rows: Iterator[dict[str, Any]]) -> None:
    table = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow(row)


def train_detector(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file.")] = Path("plans/evidence.toml"),
    out: Annotated[Path, typer.Option(help="Folder of all that is made; the detector stands in its `detector`.")] = Path(
        "out/evidence"
    ),
) -> None:
    """Train the detector `evidence` on the plan's corpora and generators. Interrupted, the same command continues."""
    from staged.detectors.evidence_data import read_evidence
    from staged.detectors.evidence_training import train_evidence

    with staged_progress() as progress:
        facts = train_evidence(out, read_evidence(plan), progress=progress)
    print_evidence(facts)
    screen.print(f"detector: {out / 'detector'}", highlight=False, soft_wrap=True)
