"""Records: what is written is read back; versions read each other's files; what does not fit is one
sentence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.errors import ArtifactError, PlanError
from staged.storage.records import LATER, OTHERS, from_json, read_record, to_json, write_record
from tests.conftest import put_json


@dataclass(frozen=True)
class Row:
    name: str
    n: int
    share: float | None = None
    whole: bool = False


@dataclass(frozen=True)
class Table:
    rows: tuple[Row, ...]
    pair: tuple[str, int]
    by_name: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    best: Row | None = None


@dataclass(frozen=True)
class Open:
    title: str
    kept: dict[str, Any] = field(default_factory=dict, metadata=OTHERS)


@dataclass(frozen=True)
class Grown:
    name: str
    size: int | None = field(default=None, metadata=LATER)


@dataclass(frozen=True)
class Loose:
    named: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Even:
    n: int

    def __post_init__(self) -> None:
        if self.n % 2:
            raise PlanError("n must be even")


WHOLE = Table((Row("a", 1, 0.5), Row("ö", 2)), ("x", 3), {"b": (Row("c", 0, 1e-300),)}, Row("d", 4))
rows = st.builds(
    Row,
    st.text(),
    st.integers(),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
tables = st.builds(
    Table,
    st.lists(rows).map(tuple),
    st.tuples(st.text(), st.integers()),
    st.dictionaries(st.text(), st.lists(rows).map(tuple)),
    st.none() | rows,
)


@given(tables)
def test_what_is_written_is_read_back(table: Table) -> None:
    assert from_json(Table, json.loads(json.dumps(to_json(table))), where="x") == table


def test_files_and_lists_of_records(tmp_path: Path) -> None:
    write_record(tmp_path / "table.json", WHOLE)
    assert read_record(tmp_path / "table.json", Table) == WHOLE
    write_record(tmp_path / "rows.json", WHOLE.rows)
    assert read_record(tmp_path / "rows.json", tuple[Row, ...]) == WHOLE.rows
    assert json.loads((tmp_path / "rows.json").read_bytes())[1] == {
        "name": "ö",
        "n": 2,
        "share": None,
        "whole": False,
    }


def test_any_sequence_is_read_as_a_tuple_and_any_mapping_as_a_dictionary() -> None:
    given = Loose(MappingProxyType({"a": ["x", "y"], "b": ()}))
    table = {"named": {"a": ["x", "y"], "b": []}}
    assert to_json(given) == table
    assert from_json(Loose, table, where="x") == Loose({"a": ("x", "y"), "b": ()})
    with pytest.raises(ArtifactError, match=r"named\.a\[1\] is not a text"):
        from_json(Loose, {"named": {"a": ["x", 2]}}, where="x")


def test_an_older_file_lacks_a_key_and_a_newer_one_has_more() -> None:
    older = {"rows": [{"name": "a", "n": 1}], "pair": ["x", 3]}
    assert from_json(Table, older, where="x") == Table((Row("a", 1),), ("x", 3))
    assert from_json(Row, {"name": "a", "n": 1, "colour": "red"}, where="x") == Row("a", 1)


def test_a_later_field_is_left_out_where_it_is_not_known() -> None:
    older, newer = {"name": "a"}, {"name": "a", "size": 3}
    assert to_json(from_json(Grown, older, where="x")) == older
    assert to_json(from_json(Grown, newer, where="x")) == newer
    assert from_json(Grown, older | {"size": None}, where="x") == Grown("a")


def test_other_keys_are_kept_where_the_record_says_so() -> None:
    table = {"title": "a", "n": 3, "inner": {"m": [1, None]}}
    found = from_json(Open, table, where="x")
    assert (found.title, found.kept) == ("a", {"n": 3, "inner": {"m": [1, None]}})
    assert to_json(found) == table


def test_a_whole_number_stands_for_any_and_stays_one() -> None:
    found = from_json(Row, {"name": "a", "n": 1, "share": 1}, where="x")
    assert json.dumps(to_json(found)["share"]) == "1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": None}, "rows is not a list"),
        ({"rows": [{"name": "a", "n": 1}, 7]}, r"rows\[1\] is not an object"),
        ({"rows": [{"name": "a"}]}, r"rows\[0\] has no 'n'"),
        ({"rows": [{"name": None, "n": 1}]}, r"rows\[0\]\.name is not a text"),
        ({"rows": [{"name": "a", "n": True}]}, r"rows\[0\]\.n is not a whole number"),
        ({"rows": [{"name": "a", "n": 1.0}]}, r"rows\[0\]\.n is not a whole number"),
        ({"rows": [{"name": "a", "n": 1, "share": "1"}]}, r"rows\[0\]\.share is not a number"),
        ({"rows": [{"name": "a", "n": 1, "whole": 0}]}, r"rows\[0\]\.whole is not true or false"),
        ({"pair": ["x"]}, "pair does not hold 2 values"),
        ({"by_name": []}, "by_name is not an object"),
        ({"by_name": {"b": [1]}}, r"by_name\.b\[0\] is not an object"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = tmp_path / "table.json"
    put_json(path, to_json(WHOLE) | change)
    with pytest.raises(
        ArtifactError,
        match=rf"table\.json: is damaged, or of another version of staged: {says}; count again$",
    ):
        read_record(path, Table, again="count again")


def test_a_file_that_is_no_record_at_all(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    for text, says in (("[]", "it is not an object"), ("{}", "it has no 'name'"), ("{", "damaged")):
        path.write_text(text)
        with pytest.raises(ArtifactError, match=says):
            read_record(path, Row)
    with pytest.raises(ArtifactError, match="no such file"):
        read_record(tmp_path / "none.json", Row)


def test_a_value_that_its_class_refuses_is_said_with_the_file() -> None:
    assert from_json(Even, {"n": 2}, where="x.json") == Even(2)
    with pytest.raises(ArtifactError, match=r"x\.json: is damaged.*n must be even"):
        from_json(Even, {"n": 1}, where="x.json")
