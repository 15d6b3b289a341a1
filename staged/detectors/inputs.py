"""Texts to judge, from wherever they stand: files, folders, standard input, JSON Lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from staged.errors import CorpusError, first_line

STDIN = "-"


def read_texts(places: list[str]) -> Iterator[tuple[str, str]]:
    """(id, text) of everything that stands at these places, in a fixed order.

    Args:
        places: a `.jsonl` or `.parquet` file has a text a row, under "text", with an "id" or else its row number; any other file
            is one text, its id its path; a folder gives all of its files; `-` is standard input, one text, or rows where its
            first character is `{`.

    Raises:
        CorpusError: nothing there, not UTF-8, or a bad row, named by its line.
    """
    for place in places:
        if place == STDIN:
            yield from _stream(sys.stdin.buffer)
            continue
        path = Path(place)
        if not path.exists():
            raise CorpusError(
                f"{place}: no such file or folder; give a text file, a folder, a .jsonl file, or - for standard input"
            )
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        if not files:
            raise CorpusError(f"{place}: an empty folder; put the texts to judge there")
        for file in files:
            yield from _file(file)


def _file(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix == ".parquet":
        try:
            rows = pq.read_table(path).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise CorpusError(f"{path}: not a readable Parquet file: {first_line(error)}") from None
        yield from (_row(row, number, str(path)) for number, row in enumerate(rows, start=1))
    elif path.suffix == ".jsonl":
        yield from _lines(_decoded(_bytes(path), str(path)), str(path))
    else:
        yield str(path), _decoded(_bytes(path), str(path))


def _stream(stream: IO[bytes]) -> Iterator[tuple[str, str]]:
    text = _decoded(stream.read(), "standard input")
    if text.lstrip().startswith("{"):
        yield from _lines(text, "standard input")
    else:
        yield STDIN, text


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where}: byte {error.start} is not UTF-8; save it as UTF-8, or drop a .docx or .pdf on the page of `staged serve`"
        ) from None


def _lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise CorpusError(f"{where}, line {number}: not JSON: {error.msg}") from None
            yield _row(row, number, where)


def _row(row: object, number: int, where: str) -> tuple[str, str]:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise CorpusError(f'{where}, line {number}: must be an object like {{"id": "a", "text": "…"}} with a string under "text"')
    return str(row.get("id", number)), row["text"]
