"""The command for texts in hand, few or many: detect."""

from __future__ import annotations

import json
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
from staged.commands.options.shared import (
    CalibrationOption,
    DetectorOption,
    DeviceOption,
    ThreadsOption,
)
from staged.commands.printed.verdicts import (
    SHOWN,
    print_csv,
    print_limits,
    print_verdict,
    print_verdicts,
    watched,
)
from staged.errors import PlanError
from staged.screen import count_progress, say

if TYPE_CHECKING:  # what opens a detector takes a second to import
    from staged.detectors.examiner import Examiner
    from staged.detectors.opening import ExaminerSettings
    from staged.engines.choice import Engine


PlacesArgument = Annotated[
    list[str],
    typer.Argument(
        help=(
            'Text, Word and PDF files, folders, .jsonl or .parquet files (rows {"id", "text"}), or'
            " - for standard input."
        ),
        metavar="PATH...",
    ),
]
FprOption = Annotated[
    float, typer.Option(help="Share of human texts that may be called machine-written.")
]
KindOption = Annotated[
    str,
    typer.Option(
        help=(
            "What kind of text all of these are, such as essay or news; by default told by their"
            " words."
        )
    ),
]
RowsOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a text, in input order.")
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print a CSV table.")]
SegmentsOption = Annotated[
    bool,
    typer.Option(
        "--segments",
        help="Judge the parts of each text as well, for texts of several authors.",
    ),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option(help="Write a page that shows one text with its tokens and its parts coloured."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help=(
            "Write verdicts into this .jsonl or .parquet file, also at a URL such as"
            " s3://BUCKET/NAME, of any number of texts; interrupted, the same command continues it."
        )
    ),
]


def detect(
    places: PlacesArgument,
    detector: DetectorOption = "evidence",
    fpr: FprOption = 0.01,
    calibration: CalibrationOption = None,
    kind: KindOption = "",
    as_json: RowsOption = False,
    as_csv: CsvOption = False,
    segments: SegmentsOption = False,
    html: HtmlOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
) -> None:
    """Is this text machine-written, how sure, and why. Nobody should be accused
    on a score alone.
    """
    _check_outputs(as_json, as_csv, html, out, segments=segments)
    if out is None and (engine or address or shard or workers is not None):
        raise PlanError(
            "detect: --engine, --address, --workers and --shard are of work that is written into a"
            " file; give --out"
        )
    from staged.detectors.bulk.columns import holds_verdicts
    from staged.detectors.opening import ExaminerSettings
    from staged.files.places import refuse_to_replace
    from staged.places.mirror import place

    out = place(out) if out else None
    refuse_to_replace(out or html, *places, passed_over=holds_verdicts)
    settings = ExaminerSettings(detector, fpr, calibration, kind, device)
    if out is not None:
        by = engine_of(engine, address, workers, shard, device=device)
        _write_verdicts(out, places, settings, by, segments=segments)
        return
    texts, examiner = _opened(places, settings, html)
    if html is not None:
        _write_page(html, examiner, texts)
    elif as_json or as_csv:
        _print_rows(examiner, texts, as_csv=as_csv, segments=segments)
    else:
        _print_examined(examiner, texts, segments=segments)


def _check_outputs(
    as_json: bool, as_csv: bool, html: Path | None, out: Path | None, *, segments: bool
) -> None:
    if sum((as_json, as_csv, html is not None, out is not None)) > 1:
        raise PlanError("detect: give one of --json, --csv, --html and --out")
    if as_csv and segments:
        raise PlanError(
            "detect: --csv has no place for parts; give --json or --out with --segments"
        )


def _opened(
    places: list[str], settings: ExaminerSettings, html: Path | None
) -> tuple[list[tuple[str, str]], Examiner]:
    """All texts, and what examines them; what is wrong with the texts is said at once, before
    models are read.
    """
    from staged.detectors.inputs import read_texts

    texts = list(read_texts(places, out=html))
    if html is not None and len(texts) != 1:
        raise PlanError(
            f"detect: --html shows one text, and here are {len(texts)}; give one file, or use --out"
        )
    return texts, settings.open()


def _write_verdicts(
    out: Path, places: list[str], settings: ExaminerSettings, engine: Engine, *, segments: bool
) -> None:
    from staged.detectors.bulk.blocks import check_out, write_verdicts
    from staged.detectors.bulk.inputs import look_at

    check_out(out)
    inputs = look_at(places, out=out)
    with count_progress("texts", rate=True) as progress:
        write_verdicts(out, inputs, settings, segments=segments, engine=engine, progress=progress)
    say(f"verdicts: {out}")


def _print_rows(
    examiner: Examiner, texts: list[tuple[str, str]], *, as_csv: bool, segments: bool
) -> None:
    from staged.detectors.verdicts import judged

    if as_csv:
        print_csv(judged(examiner, texts))
        return
    for verdict in judged(examiner, texts, segments=segments):
        typer.echo(json.dumps(verdict.row(), ensure_ascii=False, allow_nan=False))


def _print_examined(examiner: Examiner, texts: list[tuple[str, str]], *, segments: bool) -> None:
    from staged.detectors.verdicts import judged

    judging = judged(examiner, texts, segments=segments, at_once=SHOWN)
    verdicts = watched(judging, len(texts))
    print_verdicts(verdicts)
    print_limits(examiner, verdicts)


def _write_page(html: Path, examiner: Examiner, texts: list[tuple[str, str]]) -> None:
    from staged.storage.forms import is_sealed, sealed
    from staged.storage.writing import disk_errors, write_atomic
    from staged.web.examination import examine_text
    from staged.web.pages import saved

    name, text = texts[0]
    if why := examiner.load_scorer():
        say(why)
    seen = examine_text(examiner, text, lambda: None)
    page = saved(seen, name=name)
    with disk_errors(html):
        html.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(html, sealed(page).encode(), form=is_sealed)
    print_verdict(seen.verdict)
    say(f"page: {html}")
    print_limits(examiner, [seen.verdict])
