"""Texts to judge, from wherever they stand: files, folders, standard input, JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from staged.errors import CorpusError
from staged.texts import STDIN, json_lines, read_rows, read_text

ADVICE = "save it as that, or leave it out; a .docx or .pdf can be dropped on the page of `staged serve`"


def read_texts(places: list[str]) -> Iterator[tuple[str, str]]:
    """(id, text) of everything that stands at these places, in a fixed order.

    Args:
        places: a `.jsonl` or `.parquet` file has a text a row, under "text", with an "id" or else its row number; any other file
            is one text, its id its path; a folder gives all of its files; `-` is standard input, one text, or rows where its
            first character is `{`.

    Raises:
        CorpusError: nothing there, no text in it, not UTF-8, or a bad row, named by its line.
    """
    empty = True
    for place in places:
        found = _stream() if place == STDIN else chain.from_iterable(map(_file, _files(place)))
        for one in found:
            empty = False
            yield one
    if empty:
        raise CorpusError(f"{', '.join(places)}: holds no row, so there is nothing to judge")


def _files(place: str) -> list[Path]:
    path = Path(place)
    try:
        if not place or not path.exists():
            wanted = "give a text file, a folder, a .jsonl file, or - for standard input"
            raise CorpusError(f"{place or 'an empty name'}: no such file or folder; {wanted}")
        if not path.is_dir():
            return [path]
        files = sorted(p for p in path.rglob("*") if not p.name.startswith(".") and p.is_file())
    except OSError as error:
        raise CorpusError(f"{error.filename or place}: cannot be read: {error.strerror}") from None
    if not files:
        raise CorpusError(f"{place}: an empty folder; put the texts to judge there")
    return files


def _file(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix in (".jsonl", ".parquet"):
        yield from (_row(row, number, str(path)) for number, row in read_rows(path))
    else:
        yield _printable(str(path)), read_text(path, advice=ADVICE)


def _stream() -> Iterator[tuple[str, str]]:
    text = read_text(STDIN, advice=ADVICE)
    if text.lstrip().startswith("{"):
        yield from (_row(row, number, "standard input") for number, row in json_lines(text, "standard input"))
    else:
        yield STDIN, text


def _row(row: dict[str, Any], number: int, where: str) -> tuple[str, str]:
    if not isinstance(row.get("text"), str):
        raise CorpusError(f'{where}, line {number}: must be an object like {{"id": "a", "text": "…"}} with a string under "text"')
    return _printable(str(number if row.get("id") is None else row["id"])), row["text"]


def _printable(name: str) -> str:
    """Halves of surrogate pairs, and bytes of a file's name that are not UTF-8, as escapes: an id must fit into any output."""
    return name.encode("utf-8", "backslashreplace").decode()
