"""Rows of files however large, one after another, and a file that receives some of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from staged.errors import CorpusError, first_line
from staged.files.places import name_in, text_files
from staged.files.texts import read_file

AT_ONCE = 1024  # rows of a Parquet file that are written together


@dataclass(frozen=True)
class Row:
    """One text of a user's files.

    Attributes:
        id: its own, or `FILE:NUMBER`.
        file: its name below the place that was given.
        fields: what its row holds; of a file that is one text its `id`, `source` and `text`.
    """

    id: str
    file: str
    text: str
    fields: dict[str, Any]


def files_at(places: Sequence[str], outputs: Sequence[Path]) -> list[tuple[str, Path]]:
    """(name, file) of every file to read, in a fixed order, without those that are to be written.

    Raises:
        CorpusError: as `text_files`.
    """
    written = {path.resolve() for path in outputs}
    return [
        (name_in(Path(place) if Path(place).is_dir() else file.parent, file), file)
        for place in places
        for file in text_files(place)
        if file.resolve() not in written
    ]


def rows_of(name: str, file: Path) -> Iterator[Row]:
    """The rows of a file, in their order, those without text left out; of which a few are in memory
    at a time.

    Raises:
        CorpusError: the file is damaged, or a row has no text that can be read.
    """
    for reading in read_file(file):
        if not reading.text.strip():
            continue
        if reading.number is None:
            fields = {"id": name, "source": name, "text": reading.text}
            yield Row(name, name, reading.text, fields)
        else:
            own = reading.row.get("id")
            identity = f"{name}:{reading.number}" if own is None else str(own)
            yield Row(identity, name, reading.text, dict(reading.row))


class Receiver(Protocol):
    """What rows are written into."""

    def write(self, fields: dict[str, Any]) -> None:
        """One more row."""


@contextmanager
def receiving(file: Path, named: Path, schema: pa.Schema | None = None) -> Iterator[Receiver]:
    """A file that receives rows: Parquet or JSON Lines, by the ending of its final name.

    Args:
        file: the place to write, a temporary name.
        named: what the file will be called.
        schema: of its Parquet columns; else that of the first rows.

    Raises:
        CorpusError: a row whose fields do not fit Parquet's columns.
    """
    if named.suffix.lower() != ".parquet":
        with open(file, "w", encoding="utf-8") as stream:
            yield _Lines(stream)
        return
    columns = _Columns(file, named, schema)
    try:
        yield columns
        columns.flush()
    finally:
        columns.close()


class _Lines:
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, fields: dict[str, Any]) -> None:
        self.stream.write(json.dumps(fields, ensure_ascii=False, default=str) + "\n")


class _Columns:
    def __init__(self, file: Path, named: Path, schema: pa.Schema | None) -> None:
        self.file, self.named, self.schema = file, named, schema
        self.rows: list[dict[str, Any]] = []
        self.writer: Any = None

    def write(self, fields: dict[str, Any]) -> None:
        self.rows.append(fields)
        if len(self.rows) == AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if not self.rows:
            return
        try:
            table = pa.Table.from_pylist(self.rows, schema=self.schema)
            self.schema = table.schema
            self._check()
            self.writer = self.writer or pq.ParquetWriter(self.file, self.schema)
            self.writer.write_table(table)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise CorpusError(
                f"{self.named}: rows of different fields do not fit its columns:"
                f" {first_line(error)}; write .jsonl"
            ) from None
        self.rows = []

    def _check(self) -> None:
        assert self.schema is not None
        others = {name for fields in self.rows for name in fields} - set(self.schema.names)
        if others:
            raise ValueError(f"{', '.join(sorted(others))} came later")

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def schema_of(files: Sequence[tuple[str, Path]]) -> pa.Schema | None:
    """The columns of Parquet files that all have the same; else None."""
    if any(file.suffix.lower() != ".parquet" for _, file in files):
        return None
    schemas = [pq.read_schema(file) for _, file in files]
    return schemas[0] if all(schema.equals(schemas[0]) for schema in schemas) else None
