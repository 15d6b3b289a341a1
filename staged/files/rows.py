"""Rows of JSON Lines and of Parquet as they are read: from any place on, and however large the
file, a few at a time.
"""

from __future__ import annotations

import codecs
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from staged.errors import CorpusError, first_line
from staged.files.extract import kind_of

SAVE = "save it as that"
LIKE = '{"text": "…"}'
ROWS_AT_ONCE = 128
BUFFER_BYTES = 2**20  # of a column that is read

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """How much of a file lies before a place in it.

    Attributes:
        rows: of Parquet its rows, of JSON Lines all lines, those without a row too.
        byte: where the next line of JSON Lines begins; 0 of Parquet.
    """

    rows: int = 0
    byte: int = 0


class RowReader:
    """A file of rows that is read in parts; what is read in ascending order is read once.

    Args:
        only: columns of Parquet that are needed; all where the first of them is missing.

    Raises:
        CorpusError: no readable Parquet file.
    """

    def __init__(self, path: Path, *, only: Sequence[str] = ()) -> None:
        self._path = path
        is_table = path.suffix.lower() == ".parquet"
        self._table = _Table(path, only) if is_table else None

    def after(self, place: Place = Place()) -> Iterator[tuple[Place, Row]]:
        """(the place behind it, row) of each row behind a place; the place's `rows` are the row's
        number.

        Raises:
            CorpusError: damaged, not UTF-8, or a line that is not a JSON object, by its number.
        """
        if self._table is not None:
            yield from self._table.after(place.rows)
            return
        try:
            with open(self._path, "rb") as file:
                yield from _parsed(_lines(file, place), str(self._path))
        except OSError as error:
            raise CorpusError(f"{self._path}: cannot be read: {error.strerror}") from None


def is_read_in_parts(path: Path) -> bool:
    """Whether `RowReader` reads a file of rows: not one whose bytes are UTF-16 or another program's
    document, nor a pipe.
    """
    if path.suffix.lower() == ".parquet":
        return True
    try:
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError:
        return False  # who reads it whole says why
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return not wide and kind_of(path.name, head) == "txt"


class _Table:
    """The rows of a Parquet file, read in one sweep as long as nobody goes back."""

    def __init__(self, path: Path, only: Sequence[str]) -> None:
        self._path = path
        with _damage(path):
            # buffered: a row group may be larger than memory
            self._file = pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
        names = self._file.schema_arrow.names
        self._columns = [name for name in only if name in names] if {*only[:1]} & {*names} else None
        metadata = self._file.metadata
        groups = (metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
        self._starts = list(accumulate(groups, initial=0))
        self._batches: Iterator[Any] = iter(())
        self._batch: Any = None  # rows at hand
        self._first = -1  # rows before them

    def after(self, before: int) -> Iterator[tuple[Place, Row]]:
        with _damage(self._path):
            self._seek(before)
            while self._batch is not None:
                skipped = max(before - self._first, 0)
                rows = self._batch.slice(skipped).to_pylist()
                for number, row in enumerate(rows, self._first + skipped + 1):
                    yield Place(number), row
                self._next()

    def _seek(self, before: int) -> None:
        """Go to the rows among which a number is; back, or far ahead, by a row group's start."""
        group = max(bisect_right(self._starts, before) - 1, 0)
        if self._batch is None or not self._starts[group] <= self._first <= before:
            groups = range(group, len(self._starts) - 1)
            self._batches = self._file.iter_batches(
                ROWS_AT_ONCE, row_groups=list(groups), columns=self._columns
            )
            self._batch, self._first = None, self._starts[group]
            self._next()
        while self._batch is not None and self._first + self._batch.num_rows <= before:
            self._next()

    def _next(self) -> None:
        self._first += self._batch.num_rows if self._batch is not None else 0
        self._batch = next(self._batches, None)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        # also a date that Python has no name for
        raise CorpusError(f"{path}: not a readable Parquet file: {first_line(error)}") from None


def json_lines(lines: Iterable[str], where: str, *, like: str = LIKE) -> Iterator[tuple[int, Row]]:
    """(line, object) of every line that is not blank.

    Args:
        where: how errors call the lines' source.
        like: what errors say that an object looks like.

    Raises:
        CorpusError: a line that is not a JSON object, by its number.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _object(line, f"{where}, line {number}", like)


def _object(line: str, where: str, like: str = LIKE) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        # not JSON, a number of thousands of digits, nested a thousand deep
        reason = error.msg if isinstance(error, json.JSONDecodeError) else first_line(error)
        raise CorpusError(f"{where}: not JSON: {reason}") from None
    if not isinstance(row, dict):
        raise CorpusError(f"{where}: must be an object like {like}")
    return row


def _lines(file: BinaryIO, place: Place) -> Iterator[tuple[int, Place, bytes]]:
    """(byte at which it begins, the place behind it, line) of each line behind a place; each kind
    of line end ends one.
    """
    file.seek(place.byte)
    number, at = place.rows, place.byte
    for ended in file:
        bare = ended.removesuffix(b"\n").removesuffix(b"\r")
        parts = bare.split(b"\r")
        for i, line in enumerate(parts, start=1):
            number += 1
            behind = at + (len(line) + 1 if i < len(parts) else len(line) + len(ended) - len(bare))
            yield at, Place(number, behind), line
            at = behind


def _parsed(lines: Iterable[tuple[int, Place, bytes]], where: str) -> Iterator[tuple[Place, Row]]:
    for at, place, line in lines:
        text = _decoded(line, at, where)
        if text.strip():
            yield place, _object(text, f"{where}, line {place.rows}")


def _decoded(line: bytes, at: int, where: str) -> str:
    """A line as text; one that begins the file may have a mark.

    Raises:
        CorpusError: not UTF-8, or a NUL; by its byte.
    """
    try:
        text = line.decode("utf-8" if at else "utf-8-sig")
        byte = at + line.index(0) if "\0" in text else None
    except UnicodeDecodeError as error:
        byte = at + error.start
    if byte is not None:
        raise CorpusError(f"{where}: byte {byte} is not UTF-8 text; {SAVE}")
    return text
