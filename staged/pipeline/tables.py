"""Tables that a study's stages leave: rows in a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.errors import ArtifactError

TableRow = dict[str, Any]


def write_table(path: Path, rows: Sequence[TableRow]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def read_table(path: Path) -> list[TableRow]:
    """The rows as they were written.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        rows: list[TableRow] = pq.read_table(path).to_pylist()
        return rows
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path}: damaged or missing: {error}; delete its folder and run the study again"
        ) from None
