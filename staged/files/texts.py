"""A user's files as text: plain, Word and PDF, and the rows of JSON Lines and Parquet. Whatever
reads such files starts here.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from staged.errors import CorpusError
from staged.files import extract
from staged.files.rows import SAVE, RowReader, is_read_in_parts, json_lines
from staged.notes import note

STDIN = "-"
ROWS = (".jsonl", ".ndjson", ".parquet")  # a text a row
NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # what a JSON string may hold


def utf_text(data: bytes) -> str:
    """A file's bytes as text: UTF-8 with or without a mark, or UTF-16 with one.

    Raises:
        UnicodeDecodeError: neither, or binary data, which NUL bytes give away.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if wide else "utf-8-sig")
    if "\0" in text:
        at = len(text[: text.index("\0")].encode("utf-16")) if wide else data.index(0)
        raise UnicodeDecodeError("utf-8", data, at, at + 1, "binary data")
    return text


def read_text(source: str | Path, *, advice: str = SAVE) -> str:
    """The text of a file, or of standard input where the source is `-`; each kind of line end is
    one line feed.

    Word files and PDFs are known by their first bytes.

    Args:
        advice: what an error tells to do about bytes that are no text.

    Raises:
        CorpusError: missing, unreadable, or not what `utf_text` or `extract.opened` reads.
    """
    where = "standard input" if source == STDIN else str(source)
    try:
        data = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
        kind = extract.kind_of(where, data)
        text = utf_text(data) if kind == "txt" else _opened(where, kind, data)
    except CorpusError as error:
        raise CorpusError(f"{where}: {error}") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{where}: byte {error.start} is not UTF-8 text; {advice}") from None
    except OSError as error:
        raise CorpusError(f"{where}: cannot be read: {error.strerror}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _opened(where: str, kind: str, data: bytes) -> str:
    contents = extract.opened(kind, data)
    if contents.left_out:
        note(f"{where}: not read: {', '.join(contents.left_out)}")
    return contents.text


def writable(name: str) -> str:
    """A name that fits into any output: halves of surrogate pairs, and bytes of a file's name that
    are not UTF-8, as escapes.
    """
    return name.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class FileText:
    """One text that a file holds.

    Attributes:
        number: of its row, from 1 (of JSON Lines the line's); None where the file is the text.
        row: what else stands there beside the text; empty where the file is the text.
    """

    text: str
    number: int | None = None
    row: Mapping[str, Any] = field(default_factory=dict)


def read_file(path: Path, *, advice: str = SAVE) -> Iterator[FileText]:
    """The texts of one file: of `ROWS` one a row, under "text", empty ones among them; any other
    file is one text.

    Raises:
        CorpusError: as `read_text`, `read_rows` and `row_text`.
    """
    if path.suffix.lower() not in ROWS:
        yield FileText(read_text(path, advice=advice))
        return
    for number, row in read_rows(path):
        yield FileText(row_text(row, f"{path}, row {number}"), number, row)


def row_text(row: Mapping[str, Any], where: str, *, under: Sequence[str] = ("text",)) -> str:
    """The string that a row has under the first of these names which it has; null, a table's gap,
    is the empty text.

    Raises:
        CorpusError: none of the names, something else than a string, or a string that is no text.
    """
    text = next((row[name] for name in under if name in row), row)
    if text is None:
        return ""
    if not isinstance(text, str):
        names = " or ".join(f'"{name}"' for name in under)
        raise CorpusError(f"{where}: no string under {names}; every row needs one")
    if no_text := NO_TEXT.search(text):
        what = "a NUL" if no_text[0] == "\0" else "half a surrogate pair"
        raise CorpusError(
            f"{where}: character {no_text.start()} is {what}, which is no text; repair what wrote"
            " the file"
        )
    return text


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, row) of a .parquet file; of any other, (line, object) of its JSON Lines.

    Raises:
        CorpusError: damaged; as `read_text` and `json_lines`.
    """
    if not is_read_in_parts(path):
        yield from json_lines(read_text(path).split("\n"), str(path))
        return
    for place, row in RowReader(path).after():
        yield place.rows, row
