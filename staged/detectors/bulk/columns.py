"""Verdicts as a table: a row a text, in the order of the texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from staged.detectors.contract import Verdict
from staged.storage.forms import rows_have_keys

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("verdict", pa.string()),
        ("p_value", pa.float64()),
        ("score", pa.float64()),
        ("fpr", pa.float64()),
        ("words", pa.int64()),
        ("n_human", pa.int64()),
        ("detector", pa.string()),
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("changes", pa.list_(pa.struct([("what", pa.string()), ("count", pa.int64())]))),
        (
            "opinions",
            pa.list_(
                pa.struct(
                    [("reader", pa.string()), ("log_odds", pa.float64()), ("says", pa.string())]
                )
            ),
        ),
    ]
)
# after those, when parts are asked for
SEGMENTS = pa.schema(
    [
        ("normalized", pa.string()),
        (
            "segments",
            pa.list_(
                pa.struct(
                    [
                        ("start", pa.int64()),
                        ("end", pa.int64()),
                        ("score", pa.float64()),
                        ("p_value", pa.float64()),
                        ("verdict", pa.string()),
                    ]
                )
            ),
        ),
    ]
)
LATER = ("normalized", "kind", "opinions", "segments")  # what not every file of verdicts has
PLAIN = {field.name for field in fields(Verdict)} - set(LATER)
_is_lines = rows_have_keys(*PLAIN, also=LATER)


def table_of(verdicts: Iterable[Verdict], *, segments: bool = False) -> pa.Table:
    """A row a verdict.

    Args:
        segments: whether the verdicts have parts.
    """
    schema = pa.unify_schemas([SCHEMA, SEGMENTS]) if segments else SCHEMA
    return pa.Table.from_pylist([verdict.row() for verdict in verdicts], schema=schema)


def is_verdicts(path: Path) -> bool:
    """Whether a file holds verdicts of ours and nothing else: the form of such a file."""
    if path.suffix != ".parquet":
        return _is_lines(path)
    try:
        return set(pq.read_schema(path).names) - set(SEGMENTS.names) == set(SCHEMA.names)
    except (OSError, pa.ArrowException):
        return False


def holds_verdicts(path: Path) -> bool:
    """Whether an earlier run wrote this, a page among them; by its beginning."""
    if path.suffix == ".parquet":
        return is_verdicts(path)
    with open(path, "rb") as file:
        return (
            b'"verdict"' in file.read(100_000)
            if path.suffix == ".jsonl"
            else file.read(15).lower() == b"<!doctype html>"
        )
