"""Texts to judge, from wherever they stand: files, folders, standard input, JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from staged.errors import CorpusError
from staged.files.places import first_fault_last, text_files
from staged.files.texts import STDIN, json_lines, read_file, read_text, row_text, writable

ADVICE = "save it as that, as .docx or as .pdf, or leave it out"


def read_texts(places: list[str], *, out: Path | None = None) -> Iterator[tuple[str, str]]:
    """(id, text) of everything that stands at these places, in a fixed order.

    Args:
        places: files, and folders of files, as `text_files` takes them: a file with rows has a text
            a row, with an "id" or else its row number (behind the file's name where several are
            read), any other file is one text, its id its path; `-` is standard input, one text, or
            rows where its first character is `{`. A text may be empty, so that every row is
            answered.
        out: the file that the results go to, which is left out of a folder.

    Raises:
        CorpusError: nothing there, no text in it, a bad row, named by its number, or files that are
            not as `read_text` takes them; all of these are looked at first.
    """
    files = [
        file
        for place in places
        for file in ([None] if place == STDIN else text_files(place, but=out))
    ]
    empty = True
    for pair in first_fault_last(
        files, lambda file: _stream() if file is None else _file(file, len(files) > 1)
    ):
        empty = False
        yield pair
    if empty:
        raise CorpusError(f"{', '.join(places)}: holds no row, so there is nothing to judge")


def holds_verdicts(path: Path) -> bool:
    """Whether an earlier run wrote this."""
    with open(path, "rb") as file:
        return (
            b'"verdict"' in file.read(100_000)
            if path.suffix == ".jsonl"
            else file.read(15).lower() == b"<!doctype html>"
        )


def _file(path: Path, several: bool) -> Iterator[tuple[str, str]]:
    for reading in read_file(path, advice=ADVICE):
        place = (
            str(path)
            if reading.number is None
            else f"{path}:{reading.number}"
            if several
            else str(reading.number)
        )
        yield _id(reading.row, place), reading.text


def _stream() -> Iterator[tuple[str, str]]:
    where, text = "standard input", read_text(STDIN, advice=ADVICE)
    if not text.lstrip().startswith("{"):
        yield STDIN, text
        return
    for number, row in json_lines(text.split("\n"), where):
        yield _id(row, str(number)), row_text(row, f"{where}, row {number}")


def _id(row: Mapping[str, Any], otherwise: str) -> str:
    return writable(otherwise if row.get("id") is None else str(row["id"]))
