"""Tables that a study's stages leave: rows in a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.errors import ArtifactError

TableRow = dict[str, Any]


def write_table(path: Path, rows: Sequence[TableRow]) -> None:
    pq.write_table(table_of(rows), path)


def table_of(rows: Sequence[TableRow], schema: pa.Schema | None = None) -> pa.Table:
    """Rows in columns, which take a tenth of their memory.

    Args:
        schema: of the columns; by default as the rows have them.
    """
    return pa.Table.from_pylist(rows, schema=schema)


def write_tables(path: Path, tables: Iterable[pa.Table]) -> None:
    """As `write_table` of all their rows, one after the other."""
    whole = pa.concat_tables(tables, promote_options="permissive")
    pq.write_table(whole.combine_chunks(), path)


def read_table(path: Path) -> list[TableRow]:
    """The rows as they were written.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    rows: list[TableRow] = read_columns(path).to_pylist()
    return rows


def read_columns(path: Path) -> pa.Table:
    """The rows in columns.

    Raises:
        ArtifactError: as `read_table`.
    """
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path}: damaged or missing: {error}; delete its folder and run the study again"
        ) from None
