"""Texts to judge, from wherever they stand: files, folders, standard input, JSON Lines."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.corpus.files import json_lines
from staged.errors import CorpusError, first_line

STDIN = "-"


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
        found = _stream(sys.stdin.buffer) if place == STDIN else chain.from_iterable(map(_file, _files(place)))
        for one in found:
            empty = False
            yield one
    if empty:
        raise CorpusError(f"{', '.join(places)}: holds no row, so there is nothing to judge")


def utf_text(data: bytes) -> str:
    """A file's bytes as text: UTF-8 with or without a mark, or UTF-16 with one.

    Raises:
        UnicodeDecodeError: neither, or binary data, which NUL bytes give away.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if wide else "utf-8-sig")
    if "\0" in text:
        at = len(text[: text.index("\0")].encode("utf-16")) if wide else data.index(0)
        raise UnicodeDecodeError("utf-8", data, at, at + 1, "binary data")
    return text


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
    if path.suffix == ".parquet":
        try:
            rows = pq.read_table(path).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise CorpusError(f"{path}: not a readable Parquet file: {first_line(error)}") from None
        yield from (_row(row, number, str(path)) for number, row in enumerate(rows, start=1))
    elif path.suffix == ".jsonl":
        yield from _lines(_decoded(_bytes(path), str(path)), str(path))
    else:
        yield _printable(str(path)), _decoded(_bytes(path), str(path))


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
        return utf_text(data)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where}: byte {error.start} is not UTF-8 text; save it as that, or drop a .docx or .pdf on the page of `staged serve`"
        ) from None


def _lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    for number, row in json_lines(text, where):
        yield _row(row, number, where)


def _row(row: dict[str, Any], number: int, where: str) -> tuple[str, str]:
    if not isinstance(row.get("text"), str):
        raise CorpusError(f'{where}, line {number}: must be an object like {{"id": "a", "text": "…"}} with a string under "text"')
    return _printable(str(number if row.get("id") is None else row["id"])), row["text"]


def _printable(name: str) -> str:
    """Halves of surrogate pairs, and bytes of a file's name that are not UTF-8, as escapes: an id must fit into any output."""
    return name.encode("utf-8", "backslashreplace").decode()
