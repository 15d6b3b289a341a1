"""Sample files are written as their rows come: the bytes of a table that is written whole, and row
groups where there are many rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from staged.samples import columns
from staged.samples.columns import SCHEMA, write_rows
from staged.samples.dataset import read_samples


def rows_of(count: int) -> list[dict[str, Any]]:
    facts = {"id": 0, "ended": True, "length": 3, "text": "", "model": "m", "method": "greedy"}
    facts |= {"prompt": "", "seed": 2**63 + 1, "temperature": 1.0, "top_k": 0, "top_p": 0.9}
    facts |= {"semantics": "standard", "repetition_penalty": 1.0, "reason": "end"}
    facts |= {"stopped": None, "slides": 0}
    return [facts | {"id": i, "text": f"é\u2028 {i} \r\n"} for i in range(count)]


def blocks_of(rows: list[dict[str, Any]], size: int) -> Iterator[bytes]:
    for first in range(0, len(rows), size):
        lines = (json.dumps(r, ensure_ascii=False) + "\n" for r in rows[first : first + size])
        yield "".join(lines).encode()


def test_a_small_file_is_one_row_group_and_the_bytes_of_a_whole_table(tmp_path: Path) -> None:
    rows = rows_of(3000)
    write_rows(tmp_path / "a", blocks_of(rows, 64), ".parquet", logprobs=False)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("size", "groups"), [(7, [10, 10, 5]), (25, [10, 10, 5]), (5, [10, 10, 5])]
)
def test_a_large_one_has_several_whatever_its_blocks_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, groups: list[int]
) -> None:
    monkeypatch.setattr(columns, "GROUP", 10)
    rows, out = rows_of(25), tmp_path / "a.parquet"
    write_rows(out, blocks_of(rows, size), ".parquet", logprobs=False)
    facts = pq.ParquetFile(out).metadata
    assert [facts.row_group(i).num_rows for i in range(facts.num_row_groups)] == groups
    assert read_samples(out) == rows
    assert read_samples(out, ["id"]) == [{"id": i} for i in range(25)]


def test_no_more_than_a_row_group_is_asked_for_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a row group is written, the blocks after it have not been read."""
    monkeypatch.setattr(columns, "GROUP", 10)
    asked, written = [], []
    write_table = pq.ParquetWriter.write_table

    def counted(self: Any, table: pa.Table, **options: Any) -> None:
        written.append(len(asked))
        write_table(self, table, **options)

    def read() -> Iterator[bytes]:
        for block in blocks_of(rows_of(40), 5):
            asked.append(block)
            yield block

    monkeypatch.setattr(pq.ParquetWriter, "write_table", counted)
    write_rows(tmp_path / "a", read(), ".parquet", logprobs=False)
    assert written == [2, 4, 6, 8]
