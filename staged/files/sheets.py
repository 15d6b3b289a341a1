"""Sheets that people fill in with a spreadsheet: written as CSV, read back as spreadsheets save it, each text still the same.

A sheet never says whose text a row shows; that is in a key file of its own. Rows are joined to it by number, and a digest of the
words guards against a row that was sorted away from its number, or edited.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from staged.artifacts import write_atomic
from staged.errors import ArtifactError, CorpusError

__all__ = ["not_a_key", "one_line", "read_key_file", "read_sheet", "words_digest", "write_sheet_file"]

SEPARATORS = ",;\t"  # spreadsheets write the one that their language uses


def write_sheet_file(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A whole CSV file or nothing."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_atomic(path, text.getvalue().encode())


def read_sheet(path: Path, header: Sequence[str], *, of: str) -> list[dict[str, str]]:
    """Rows of a filled-in sheet, column → text; other columns are kept, missing fields are empty.

    Args:
        header: columns that must be there.
        of: the command that wrote it, for errors.

    Raises:
        CorpusError: no such file, not a readable CSV file, or a column is missing.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, restval="", delimiter=max(SEPARATORS, key=first.count))
            if not set(header) <= set(reader.fieldnames or []):
                raise CorpusError(f"{path}: not a sheet of {of}: its columns must be {', '.join(header)}")
            return list(reader)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}; give a filled-in sheet, a CSV file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: not a readable sheet, save it as CSV in UTF-8: {error}") from None


def read_key_file(path: Path, *, of: str) -> Any:
    """What the key of sheets holds; whether that is a key is the caller's to see.

    Args:
        of: the command that wrote it, for errors.

    Raises:
        ArtifactError: missing, or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: the sheets' key cannot be read: {error.strerror or error}; put it back there") from None
    except ValueError:
        raise not_a_key(path, of=of) from None


def not_a_key(path: Path, *, of: str) -> ArtifactError:
    """What is said of another file in a key's place: made again, it would not fit the sheets that were handed out."""
    return ArtifactError(f"{path}: is not the key that `{of}` wrote; restore that file")


def one_line(text: str) -> str:
    """One line of printable characters: a model may write carriage returns, which would end a row."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def words_digest(text: str) -> str:
    """SHA-256 of a text's words: spreadsheets may change white space."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
