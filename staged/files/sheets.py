"""Sheets that people fill in with a spreadsheet: written as CSV, read back as spreadsheets save it,
each text still the same.

A sheet never says whose text a row shows; that is in a key file of its own. Rows are joined to it
by number, and a digest of the words guards against a row that was sorted away from its number, or
edited.

A text that a spreadsheet would evaluate (`=1+1`) gets an apostrophe before it when it is written,
and loses it when it is compared. Source: OWASP, CSV Injection.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Protocol, TypeVar

from staged.errors import ArtifactError, CorpusError
from staged.storage.forms import Form
from staged.storage.records import from_json
from staged.storage.writing import write_atomic

__all__ = [
    "Known",
    "defused",
    "is_same_text",
    "not_a_key",
    "numbered_rows",
    "one_line",
    "read_key_file",
    "read_sheet",
    "row_of",
    "whole_number",
    "words_digest",
    "write_sheet_file",
]

SEPARATORS = ",;\t|"  # spreadsheets write the one that their language uses
SAVE = "save it as CSV in UTF-8"
BOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how .xlsx, .ods and .numbers begin, and .xls
SEPARATOR_LINE = re.compile(r'"?sep=.?"?')  # which Excel writes and hides
# What a spreadsheet evaluates: at a cell's beginning, or behind what may separate cells where the
# file is opened.
SIGN = r"[=+\-@＝＋－＠]\s*\S"
SPACE = r"[^\S\t\r\n]"
BEGINS, BEHIND = rf"(?={SPACE}*{SIGN}|[\t\r\n])", rf'(?=(?:{SPACE}|")*{SIGN})'
FORMULA = re.compile(rf"^('*){BEGINS}|(?<=[;\t\r\n])('*){BEHIND}")
DEFUSED = re.compile(rf"^'('*){BEGINS}|(?<=[;\t\r\n])'('*){BEHIND}")
NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[Ee][+-]?\d+)?")
WHOLE = re.compile(r"['’]?\+?0*(\d+)(?:[.,]0*)?")
GROUPED = re.compile(r"[.,'’\s](?=\d{3}(?!\d))")  # what stands between thousands


K = TypeVar("K")


class Known(Protocol):
    """What a key knows of a row, whatever else it is."""

    @property
    def text_sha256(self) -> str:
        """`words_digest` of the text that the row shows."""


R = TypeVar("R", bound=Known)


def write_sheet_file(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, form: Form | None = None
) -> None:
    """A whole CSV file or nothing; its texts `defused`.

    Args:
        form: as `replacing` takes it.
    """
    text = io.StringIO(newline="")
    cells = ([defused(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows([header, *cells])
    write_atomic(path, text.getvalue().encode(), form=form)


def defused(text: str) -> str:
    """A cell's text, with an apostrophe where a spreadsheet would evaluate it; none for numbers."""
    return text if NUMBER.fullmatch(text) else FORMULA.sub(r"'\1\2", text)


def is_same_text(cell: str, sha256: str) -> bool:
    """Whether a cell shows the text of this `words_digest`: as it was, or `defused`."""
    return sha256 in (words_digest(cell), words_digest(DEFUSED.sub(r"\1\2", cell)))


def read_sheet(path: Path, header: Sequence[str], *, of: str) -> list[dict[str, str]]:
    """Rows of a filled-in sheet, column → text without white space around it; other columns are
    kept, missing fields are empty.

    Read as spreadsheets save it: UTF-8, or UTF-16 with a mark; commas, semicolons, tabs or bars,
    any line ends; a first line `sep=;`, empty rows and columns without a name are passed over.

    Args:
        header: columns that must be there.
        of: the command that wrote it, for errors.

    Raises:
        CorpusError: no such file, not a readable CSV file, or a column is missing.
    """
    return [row for _, row in numbered_rows(path, header, of=of)]


def numbered_rows(
    path: Path, header: Sequence[str], *, of: str
) -> list[tuple[int, dict[str, str]]]:
    """As `read_sheet`, each row with its number in the spreadsheet, where the header is 1."""
    text = _text(path)
    try:
        for separator in SEPARATORS:
            records = _records(text, separator)
            names = next(records, (0, []))[1]
            if set(header) <= set(names):
                return [(number, _named(names, cells)) for number, cells in records]
    except csv.Error as error:
        raise CorpusError(f"{path}: not a readable sheet, {SAVE}: {error}") from None
    raise CorpusError(f"{path}: not a sheet of {of}: its columns must be {', '.join(header)}")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(
            f"{path}: cannot be read: {error.strerror or error}; give a filled-in sheet, a CSV file"
        ) from None
    if data.startswith(BOOKS):
        raise CorpusError(
            f"{path}: a spreadsheet's own file, which is not read; open it there and {SAVE}"
        )
    try:
        return data.decode(
            "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
        ).replace("\ufeff", "")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
        raise CorpusError(
            f"{path}: not a readable sheet, {SAVE} (in Excel: CSV UTF-8): {reason}"
        ) from None


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(number, cells without white space around them) of each row that is not empty; the line that
    names the separator is none.
    """
    number, begun = 0, False
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
        cells = [cell.strip() for cell in row]
        if not begun and SEPARATOR_LINE.fullmatch("".join(cells)):
            continue
        number, begun = number + 1, begun or any(cells)
        if any(cells):
            yield number, cells


def _named(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Column → cell; of columns with one name the first counts."""
    filled = [*cells, *[""] * (len(names) - len(cells))]
    return {name: cell for name, cell in reversed(list(zip(names, filled, strict=False))) if name}


def row_of(
    row: Mapping[str, str], known: Mapping[tuple[str, ...], R], *columns: str
) -> tuple[tuple[str, ...], R] | None:
    """(place, what the key knows of it) of a row; None where the key does not know it, or not with
    this text.

    Args:
        known: place → what the key says.
        columns: of the row, whose numbers make up its place.
    """
    readings = [
        (whole_number(row[column]), whole_number(GROUPED.sub("", row[column])))
        for column in columns
    ]
    for place in product(*readings):
        entry = known.get(place)
        if entry is not None and is_same_text(row["text"], entry.text_sha256):
            return place, entry
    return None


def whole_number(cell: str) -> str:
    """A whole number's digits, however a spreadsheet shows it: `3.0`, `3,00`, `'3`; any other text
    as it is.
    """
    match = WHOLE.fullmatch(cell.strip())
    return match[1] if match else cell.strip()


def read_key_file(path: Path, kind: type[K], *, of: str) -> K:
    """The key of sheets, a record of this kind.

    Args:
        of: the command that wrote it, for errors.

    Raises:
        ArtifactError: missing, or no such record.
    """
    try:
        return from_json(kind, json.loads(path.read_bytes()), where=str(path))
    except OSError as error:
        raise ArtifactError(
            f"{path}: the sheets' key cannot be read: {error.strerror or error}; put it back there"
        ) from None
    except (ValueError, ArtifactError):
        raise not_a_key(path, of=of) from None


def not_a_key(path: Path, *, of: str) -> ArtifactError:
    """What is said of another file in a key's place: made again, it would not fit the sheets that
    were handed out.
    """
    return ArtifactError(f"{path}: is not the key that `{of}` wrote; restore that file")


def one_line(text: str) -> str:
    """A line of printable characters: a model may write carriage returns, which end a row."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def words_digest(text: str) -> str:
    """SHA-256 of a text's words: spreadsheets may change white space."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
