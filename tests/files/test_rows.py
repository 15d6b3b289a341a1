"""Rows of a file from any place on: the same as those of the file read whole."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staged.errors import CorpusError
from staged.files.rows import Place, RowReader, is_read_in_parts, json_lines
from staged.files.texts import read_rows, read_text

LINES = st.lists(
    st.tuples(
        st.sampled_from(["", " ", '{"text": "a"}', '{"text": "é\u2028"}', '{"n": 1}']),
        st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]),
    )
)
HERE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None
)


@HERE
@given(LINES, st.booleans(), st.booleans())
def test_lines_from_any_place(
    tmp_path: Path, lines: list[tuple[str, str]], marked: bool, cut: bool
) -> None:
    path = tmp_path / "a.jsonl"
    data = "\ufeff" * marked + "".join(line + end for line, end in lines)
    path.write_bytes((data.rstrip("\r\n") if cut else data).encode())
    read = list(RowReader(path).after())
    assert [(place.rows, row) for place, row in read] == list(
        json_lines(read_text(path).split("\n"), "")
    )
    for number, (place, _) in enumerate(read, start=1):
        assert list(RowReader(path).after(place)) == read[number:]


@HERE
@given(
    st.integers(0, 700),
    st.sampled_from([1, 7, 100, 5000]),
    st.lists(st.tuples(st.integers(0, 701), st.integers(0, 400)), max_size=5),
)
def test_a_table_from_any_row(
    tmp_path: Path, rows: int, group: int, reads: list[tuple[int, int]]
) -> None:
    texts = [f"text {i}" for i in range(rows)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, row_group_size=group)
    reader = RowReader(path, only=("text", "id"))
    for before, count in reads:  # one reader: forward, back, over the ends of row groups
        read = [
            (place.rows, row["text"]) for place, row in islice(reader.after(Place(before)), count)
        ]
        assert read == list(enumerate(texts, 1))[before : before + count]


def test_columns_that_nobody_asks_for_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"], "other": [1], "id": ["x"]}), path)
    assert [row for _, row in RowReader(path, only=("text", "id")).after()] == [
        {"text": "a", "id": "x"}
    ]
    assert next(RowReader(path, only=("nothing",)).after())[1] == {
        "text": "a",
        "other": 1,
        "id": "x",
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1}\n{"b": "\xff"}', "byte 16 is not UTF-8"),
        (b'{"a": 1}\n{"b": "\0"}', "byte 16 is not UTF-8"),
        (b'{"a": 1}\r{"b": 1}\r\nno', "line 3: not JSON"),
        (b"\n[1]", "line 2: must be an object"),
    ],
)
def test_faults_are_named_by_their_place(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=said):
        list(read_rows(path))


def test_what_is_no_plain_file_of_lines_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "naïve"}\n', encoding="utf-16")
    assert not is_read_in_parts(path)
    assert list(read_rows(path)) == [(1, {"text": "naïve"})]
    path.write_bytes(b"PK\x03\x04")
    assert not is_read_in_parts(path)
    assert not is_read_in_parts(tmp_path / "none.jsonl")
