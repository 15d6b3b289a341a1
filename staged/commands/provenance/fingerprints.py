"""Commands for the log of what was generated: fingerprints add, find, delete, prune, status."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options.shared import Group, JsonOption
from staged.errors import PlanError
from staged.pages.figures import counted
from staged.screen import print_table, say

if TYPE_CHECKING:
    from staged.provenance.fingerprints.contents import Entry, Match
    from staged.provenance.fingerprints.log import FingerprintLog

VARIABLE = "STAGED_FINGERPRINTS"

app = typer.Typer(
    name="fingerprints",
    cls=Group,
    no_args_is_help=True,
    help="Keep a log of what was generated, which holds no text: off unless you make it.",
)

PathsArgument = Annotated[
    list[Path],
    typer.Argument(
        help=(
            "Files that were generated: text, Word and PDF files, and the rows of .jsonl and"
            " .parquet files, such as `staged sample --out` writes."
        ),
        metavar="FILE…",
    ),
]
TextArgument = Annotated[
    str, typer.Argument(help="The text: a file, or - for standard input.", metavar="FILE|-")
]
LogOption = Annotated[
    str,
    typer.Option(
        help=(
            "The log: a file, or postgresql://USER@HOST/DATABASE; by default what"
            f" {VARIABLE} names, where a password is out of sight."
        )
    ),
]
ModelOption = Annotated[
    str, typer.Option(help="Which model wrote the texts, where their rows have no `model`.")
]
KeyOption = Annotated[str, typer.Option(help="The id of the key that marked them.")]
KeepOption = Annotated[float, typer.Option(help="Days; what is older is deleted.")]
ThresholdOption = Annotated[
    float, typer.Option(help="Least similarity, up to 1; below 0.4 some are missed.")
]
MostOption = Annotated[int, typer.Option(help="Texts shown at most.")]
IdsOption = Annotated[
    list[int] | None,
    typer.Option("--id", help="Delete this row, as `find` shows it; may be given several times."),
]
TextOption = Annotated[
    str, typer.Option(help="Delete what is like this text: a file, or - for standard input.")
]
LikeOption = Annotated[
    float, typer.Option("--threshold", help="With --text: least similarity of what is deleted.")
]
BeforeOption = Annotated[
    str, typer.Option(help="Delete what was logged before this day, YYYY-MM-DD, in UTC.")
]


@app.command()
def add(
    files: PathsArgument, log: LogOption = "", model: ModelOption = "", key: KeyOption = ""
) -> None:
    """Add texts that were generated, all or none; the log and its secret are made where there are
    none.
    """
    entries = [entry for path in files for entry in _entries(path, model, key)]
    with _open(log, make=True) as opened:
        ids = opened.add_all(entries)
        added = [number for number in ids if number is not None]
        say(f"{opened.place}: {counted(len(added), 'text')} added")
        if len(added) < len(ids):
            say(f"{counted(len(ids) - len(added), 'text')} of fewer than 20 words left out")


@app.command()
def find(
    text: TextArgument,
    log: LogOption = "",
    threshold: ThresholdOption = 0.5,
    most: MostOption = 10,
    as_json: JsonOption = False,
) -> None:
    """Look for what was generated here and is like a text."""
    from staged.files.texts import read_text

    with _open(log) as opened:
        matches = opened.find(read_text(text), threshold=threshold, most=most)
        place = opened.place
    if as_json:
        shown = [asdict(match) | {"at": match.at.isoformat()} for match in matches]
        typer.echo(json.dumps({"log": place, "matches": shown}, indent=1, ensure_ascii=False))
    elif matches:
        header = ("similarity", "model", "logged, UTC", "key", "row")
        print_table(f"like {text} in {place}", header, [_row(match) for match in matches])
    else:
        say(f"nothing in {place} is like {text}; texts of fewer than 20 words are never logged")


@app.command()
def delete(
    log: LogOption = "",
    ids: IdsOption = None,
    text: TextOption = "",
    threshold: LikeOption = 1.0,
    before: BeforeOption = "",
) -> None:
    """Delete rows: by number, by text, or by the day on which they were logged."""
    from staged.files.texts import read_text

    if sum((bool(ids), bool(text), bool(before))) != 1:
        raise PlanError("give one of --id, --text and --before")
    moment = _day(before) if before else None
    with _open(log) as opened:
        if ids:
            deleted = opened.delete(ids)
        elif moment:
            deleted = opened.delete_before(moment)
        else:
            deleted = opened.delete_text(read_text(text), threshold=threshold)
        say(f"{opened.place}: {counted(deleted, 'row')} deleted")


@app.command()
def prune(keep_days: KeepOption, log: LogOption = "") -> None:
    """Delete what is older than so many days."""
    with _open(log) as opened:
        deleted = opened.prune(keep_days)
        say(f"{opened.place}: {counted(deleted, 'row')} deleted")


@app.command()
def status(log: LogOption = "", as_json: JsonOption = False) -> None:
    """Show how many texts a log holds, of which models, from when to when, and where its secret
    is.
    """
    with _open(log) as opened:
        standing, place, secret = opened.standing(), opened.place, opened.secret_place
    first, last = (at.isoformat() if at else None for at in (standing.first, standing.last))
    if as_json:
        shown = {"log": place, "secret": str(secret), "texts": standing.texts}
        shown |= {"first": first, "last": last, "models": standing.models}
        typer.echo(json.dumps(shown, indent=1, ensure_ascii=False))
        return
    say(f"{place}: {counted(standing.texts, 'text')}" + (f", {first} to {last}" if first else ""))
    say(f"secret, without which nobody can ask: {secret}")
    if standing.models:
        rows = [(model or "(not named)", f"{n:,}") for model, n in standing.models.items()]
        print_table("models", ("model", "texts"), rows)


def _open(log: str, *, make: bool = False) -> FingerprintLog:
    from staged.provenance.fingerprints.opening import open_log

    address = log or os.environ.get(VARIABLE, "")
    if not address:
        raise PlanError(f"no log is named: give --log FILE, or set {VARIABLE}")
    return open_log(address, make=make)


def _entries(path: Path, model: str, key: str) -> Iterator[Entry]:
    """The texts of a file; a row names its own model."""
    from staged.files.texts import read_file
    from staged.provenance.fingerprints.contents import Entry

    for text in read_file(path):
        own = text.row.get("model")
        yield Entry(text.text, own if isinstance(own, str) else model, key)


def _row(match: Match) -> tuple[str, ...]:
    at = f"{match.at:%Y-%m-%d %H:%M}"
    return f"{match.similarity:.2f}", match.model, at, match.key, str(match.id)


def _day(text: str) -> datetime.datetime:
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise PlanError(f"--before {text!r}: give a date as YYYY-MM-DD") from None
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
