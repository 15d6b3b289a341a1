"""Sheets as spreadsheets save them, and cells that a spreadsheet would evaluate."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.errors import CorpusError
from staged.files.sheets import (
    defused,
    is_same_text,
    numbered_rows,
    read_sheet,
    row_of,
    whole_number,
    words_digest,
    write_sheet_file,
)
from staged.survey.results import KeyRow

HEADER = ("row", "text", "rating")
ROWS = [
    {"row": "1", "text": 'He said "no"; then, 3,5 left.', "rating": "3"},
    {"row": "2", "text": "Über den Fluß.", "rating": ""},
]


def saved(
    path: Path,
    separator: str = ",",
    ends: str = "\r\n",
    encoding: str = "utf-8",
    before: str = "",
    after: str = "",
) -> Path:
    """The two rows as a program saves them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=ends)
    writer.writerows([HEADER, *([row[one] for one in HEADER] for row in ROWS)])
    path.write_bytes((before + text.getvalue() + after).encode(encoding))
    return path


@pytest.mark.parametrize("separator", list(",;\t|"))
@pytest.mark.parametrize("ends", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_way_to_save_a_sheet(
    tmp_path: Path, separator: str, ends: str, encoding: str
) -> None:
    assert read_sheet(saved(tmp_path / "a.csv", separator, ends, encoding), HEADER, of="") == ROWS


@pytest.mark.parametrize(
    "before",
    [
        "sep=;\r\n",
        "\ufeffsep=;\r\n",
        '"sep=;"\r\n',
        "sep=;;;;\r\n",
        ";;;\r\n\r\n",
        "\r\n;;\r\nsep=;\n",
    ],
)
@pytest.mark.parametrize("after", ["", ";;;;\r\n;;;;\r\n", "\r\n\r\n", ' ; ;" "\r\n'])
def test_lines_that_are_no_rows(tmp_path: Path, before: str, after: str) -> None:
    assert (
        read_sheet(saved(tmp_path / "a.csv", ";", before=before, after=after), HEADER, of="")
        == ROWS
    )


def test_columns_without_a_name_and_with_one_twice(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        " row ;text;rating;;;rating\n 1 ; a ; 3;x;;4\n2;b\n", encoding="utf-8"
    )
    assert read_sheet(tmp_path / "a.csv", HEADER, of="") == [
        {"row": "1", "text": "a", "rating": "3"},
        {"row": "2", "text": "b", "rating": ""},
    ]


def test_rows_have_the_numbers_that_the_spreadsheet_shows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('sep=,\nrow,text,rating\n1,"two\nlines",3\n,,\n2,b,4\n', encoding="utf-8")
    assert [number for number, _ in numbered_rows(path, HEADER, of="")] == [2, 4]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            b"PK\x03\x04\x14\0",
            (
                "a spreadsheet's own file, which is not read; open it there and save it as CSV in"
                " UTF-8"
            ),
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet's own file"),
        (
            "row;text;rating\n1;Über;3\n".encode("cp1252"),
            r"save it as CSV in UTF-8 \(in Excel: CSV UTF-8\): byte 18 is not UTF-8",
        ),
        (b"", "not a sheet of staged survey: its columns must be row, text, rating"),
        (b"row,text\n1,a\n", "its columns must be row, text, rating"),
    ],
)
def test_what_is_no_sheet_is_said(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(CorpusError, match=says):
        read_sheet(tmp_path / "a.csv", HEADER, of="staged survey")


@pytest.mark.parametrize("cell", ["3", "3.0", "3,0", "3.00", "3,", " 3 ", "'3", "+3", "03"])
def test_numbers_as_spreadsheets_show_them(cell: str) -> None:
    assert whole_number(cell) == "3"


@pytest.mark.parametrize("cell", ["3.5", "3-4", "04.Mrz", "300%", "-3", "3 4", "three", ""])
def test_what_is_no_whole_number_stays_as_it_is(cell: str) -> None:
    assert whole_number(cell) == cell


@pytest.mark.parametrize(
    "cell", ["1234", "1,234", "1.234", "1 234", "1\u202f234", "1'234", "1234.0", "'1234"]
)
def test_a_row_is_joined_by_its_number_and_its_text(cell: str) -> None:
    known = {("1234",): KeyRow(1, 1234, words_digest("A text."), "a model")}
    assert row_of({"row": cell, "text": "A  text."}, known, "row") == (("1234",), known["1234",])
    assert row_of({"row": cell, "text": "Another."}, known, "row") is None
    assert row_of({"row": "1235", "text": "A text."}, known, "row") is None


EVIL = [
    "=1+1",
    "+49 30",
    "-2 is cold",
    "@SUM(1)",
    "\t=1",
    "\tx",
    "foo;=1+1",
    'foo; "=1',
    " =HYPERLINK()",
    "＝1+1",
    "a\n@x",
    "'=1",
]


@pytest.mark.parametrize("text", EVIL)
def test_what_a_spreadsheet_would_evaluate_is_defused_and_still_joined(
    tmp_path: Path, text: str
) -> None:
    write_sheet_file(tmp_path / "a.csv", HEADER, [(1, text, "")])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        whole = list(csv.reader(file))[1][1]
    raw = (tmp_path / "a.csv").read_text(encoding="utf-8").split("\n", 1)[1]
    other = [
        cell.strip().strip('"').strip() for line in raw.splitlines() for cell in line.split(";")
    ]
    for cell in (whole, *other):  # opened with commas, and where semicolons separate
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))
    sha256 = words_digest(text)
    assert is_same_text(whole, sha256)
    assert is_same_text(
        text, sha256
    )  # a sheet handed out before, or from which a spreadsheet took the apostrophe
    assert not is_same_text(whole + " more", sha256)


@pytest.mark.parametrize(
    "text",
    ["A text - with a dash.", "-", "-3.5", "+1e5", "a = b", "x@y.org", "It's; and so on", "'tis"],
)
def test_ordinary_text_and_numbers_are_left_alone(text: str) -> None:
    assert defused(text) == text


@given(st.text(alphabet="=+-@;'\" \tab\n\r1"))
def test_any_text_is_known_again(text: str) -> None:
    assert is_same_text(defused(text), words_digest(text))
