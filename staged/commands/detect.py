"""Commands for a text in hand: detect, and train-detector, which makes the detector that it uses
by default.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from staged.commands.options.shared import (
    CalibrationOption,
    DetectorOption,
    DeviceOption,
    ThreadsOption,
)
from staged.errors import PlanError
from staged.files.sheets import defused
from staged.pages.figures import counted, p_text
from staged.screen import count_progress, say, screen, visible

if TYPE_CHECKING:  # what opens a detector takes a second to import
    from staged.detectors.contract import Segment, Verdict
    from staged.detectors.examiner import Examiner

COLUMNS = ("id", "verdict", "score", "p_value", "fpr", "words", "n_human", "detector", "reason")
STYLES = {"machine": "bold magenta", "human-like": "cyan", "not enough evidence": "dim"}
SHOWN = 16  # texts scored between two movements of the bar
LEAST_BEGINS = 16  # of a text's first characters, shown beside its verdict where there is room
WARNING = "A score alone is no ground to accuse anybody."


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
            "Write the JSON objects into this .jsonl file; interrupted, the same command continues"
            " it."
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
) -> None:
    """Is this text machine-written, how sure, and why. Nobody should be accused
    on a score alone.
    """
    _check_outputs(as_json, as_csv, html, out, segments=segments)
    from staged.detectors.inputs import holds_verdicts, read_texts
    from staged.detectors.opening import open_examiner
    from staged.detectors.verdicts import judged, write_judged
    from staged.files.places import refuse_to_replace

    refuse_to_replace(out or html, *places, passed_over=holds_verdicts)
    # before the models are read: what is wrong with the texts is said at once
    texts = list(read_texts(places, out=out or html))
    if html is not None and len(texts) != 1:
        raise PlanError(
            f"detect: --html shows one text, and here are {len(texts)}; give one file, or use --out"
        )
    examiner = open_examiner(detector, fpr=fpr, calibration=calibration, kind=kind, device=device)
    if html is not None:
        _write_page(html, examiner, texts)
    elif out is not None:
        with count_progress("texts") as progress:
            write_judged(out, examiner, texts, segments=segments, progress=progress)
        say(f"verdicts: {out}")
    elif as_json:
        for verdict in judged(examiner, texts, segments=segments):
            typer.echo(json.dumps(verdict.row(), ensure_ascii=False, allow_nan=False))
    elif as_csv:
        _print_csv(judged(examiner, texts))
    else:
        verdicts = _watched(judged(examiner, texts, segments=segments, at_once=SHOWN), len(texts))
        _print_verdicts(verdicts)
        _print_limits(examiner, verdicts)


def _check_outputs(
    as_json: bool, as_csv: bool, html: Path | None, out: Path | None, *, segments: bool
) -> None:
    if sum((as_json, as_csv, html is not None, out is not None)) > 1:
        raise PlanError("detect: give one of --json, --csv, --html and --out")
    if out is not None and out.suffix != ".jsonl":
        raise PlanError(
            f"{out}: verdicts are written as JSON Lines; choose a name that ends in .jsonl"
        )
    if as_csv and segments:
        raise PlanError(
            "detect: --csv has no place for parts; give --json or --out with --segments"
        )


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
    _print_verdict(seen.verdict)
    say(f"page: {html}")
    _print_limits(examiner, [seen.verdict])


def _print_csv(verdicts: Iterable[Verdict]) -> None:
    table = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for verdict in verdicts:
        row = verdict.row()
        table.writerow(row | {"id": defused(row["id"]), "reason": defused(row["reason"])})


def _watched(judging: Iterable[Verdict], total: int) -> list[Verdict]:
    """All of them, with a bar where they are several."""
    if total == 1:
        return list(judging)
    verdicts: list[Verdict] = []
    with count_progress("texts") as progress:
        progress(0, total)
        for verdict in judging:
            verdicts.append(verdict)
            progress(len(verdicts), total)
    return verdicts


def _print_verdicts(verdicts: list[Verdict]) -> None:
    """One text in words, several in a table; parts as coloured text under their verdicts."""
    if len(verdicts) == 1:
        _print_verdict(verdicts[0])
        return
    table = _table(verdicts)
    room = screen.width - screen.measure(table).maximum - 3  # of the column's own lines
    screen.print(_table(verdicts, room) if room >= LEAST_BEGINS else table)
    for verdict in verdicts:
        if verdict.segments is not None:
            screen.print(Text(f"\n{visible(verdict.id)}", style="bold"))
            _print_parts(verdict, verdict.segments)


def _table(verdicts: list[Verdict], room: int = 0) -> Table:
    """A row a text; how texts begin, where there is room for so many columns of the terminal."""
    table = Table(
        Column("text", overflow="fold"),
        "verdict",
        *(Column(name, no_wrap=True) for name in ("p", "score", "words")),
    )
    if room:
        table.add_column("begins", no_wrap=True, max_width=room)
    for verdict in verdicts:
        numbers = (_number(verdict.p_value, 4), _number(verdict.score, 2), f"{verdict.words:,}")
        beginning = " ".join(verdict.normalized[: 4 * room].split())[:room]
        begins = [Text(beginning, style="dim")] if room else []
        table.add_row(
            Text(visible(verdict.id)),
            Text(verdict.verdict, style=STYLES[verdict.verdict]),
            *numbers,
            *begins,
        )
    return table


def _print_limits(examiner: Examiner, verdicts: list[Verdict]) -> None:
    """What the verdicts rest on: why some texts have none, how much was read, and the kinds of text
    that calibrated them.
    """
    from staged.detectors.calibration.calibration import PLAIN_DOMAIN

    if len(verdicts) > 1:
        reasons = Counter(filter(None, map(examiner.reason_for_no_verdict, verdicts)))
        for why, texts in reasons.most_common():
            say(f"{counted(texts, 'text')} of which nothing can be said: {why}", style="dim")
    _print_cut(examiner, verdicts)
    if examiner.calibration is not None and examiner.calibration.domains:
        kinds = [domain for domain in examiner.calibration.domains if domain != PLAIN_DOMAIN]
        say(
            f"calibrated on human text of {', '.join(kinds) or 'your own'}: on other kinds, and in"
            " other languages, more can be flagged",
            style="dim",
        )
    say(WARNING, style="dim")


def _print_cut(examiner: Examiner, verdicts: list[Verdict]) -> None:
    """How much was read, where that is not all of a text."""
    counts = (examiner.token_counts(verdict.normalized) for verdict in verdicts)
    cut = [(tokens, read) for tokens, read in counts if read < tokens]
    if not cut:
        return
    whose = f"its first {cut[0][1]:,} of {cut[0][0]:,} tokens; --segments judges it part by part"
    if len(verdicts) > 1:
        whose = (
            f"the first {cut[0][1]:,} tokens of {counted(len(cut), 'long text')}; --segments"
            " judges them part by part"
        )
    say(f"read: {whose}", style="dim")


def _print_verdict(verdict: Verdict) -> None:
    screen.print(
        Text(verdict.verdict, style=STYLES[verdict.verdict]),
        Text(f"· {counted(verdict.words, 'word')} · {visible(verdict.detector)}"),
    )
    say(verdict.reason)
    say(f"score {_number(verdict.score, 3)} · p-value {_p_value(verdict.p_value, 4)}")
    for opinion in verdict.opinions:
        say(
            f"{opinion.reader}:"
            f" {opinion.says}{'' if opinion.log_odds is None else f' ({opinion.log_odds:+.1f})'}"
        )
    for change in verdict.changes:
        say(f"cleaned first: {change.count} × {change.what}")
    if verdict.segments is not None:
        _print_parts(verdict, verdict.segments)


def _print_parts(verdict: Verdict, parts: Sequence[Segment]) -> None:
    text, at = Text(), 0
    for part in parts:
        text.append(verdict.normalized[at : part.start])
        text.append(verdict.normalized[part.start : part.end], style=STYLES[part.verdict])
        text.append(f" [{part.verdict}, p {_p_value(part.p_value, 3)}]", style="bold")
        at = part.end
    screen.print(text, soft_wrap=True)
    if len(parts) > 1:
        chance = len(parts) * verdict.fpr
        say(
            f"{len(parts)} parts; of a human text about {chance:.2g} parts would be called machine"
            " by chance"
        )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _p_value(value: float | None, digits: int) -> str:
    """Exact p-values can be far smaller than these digits show, and none is 0."""
    if value is not None and value < 10**-digits:
        return p_text(value)
    return _number(value, digits)
