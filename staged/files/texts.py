"""A user's files as text: plain, Word and PDF, and the rows of JSON Lines and Parquet. Whatever reads such files starts here."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.errors import CorpusError, PlanError, first_line
from staged.files import extract
from staged.gate import is_work, stands_in_work
from staged.notes import note

STDIN = "-"
SAVE = "save it as that"
ROWS = (".jsonl", ".parquet")  # a text a row
SUFFIXES = (".txt", ".docx", ".pdf", *ROWS)  # of a corpus


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


def read_text(source: str | Path, *, advice: str = SAVE) -> str:
    """The text of a file, or of standard input where the source is `-`; each kind of line end is one line feed.

    Word files and PDFs are known by their first bytes.

    Args:
        advice: what an error tells to do about bytes that are no text.

    Raises:
        CorpusError: missing, unreadable, or not what `utf_text` or `extract.opened` reads.
    """
    where = "standard input" if source == STDIN else str(source)
    try:
        data = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
        kind = extract.kind_of(where, data)
        text = utf_text(data) if kind == "txt" else _opened(where, kind, data)
    except CorpusError as error:
        raise CorpusError(f"{where}: {error}") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{where}: byte {error.start} is not UTF-8 text; {advice}") from None
    except OSError as error:
        raise CorpusError(f"{where}: cannot be read: {error.strerror}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _opened(where: str, kind: str, data: bytes) -> str:
    found = extract.opened(kind, data)
    if found.left_out:
        note(f"{where}: not read: {', '.join(found.left_out)}")
    return found.text


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, in a fixed order, but hidden ones and what Word keeps beside a file that is open.

    Folders of our own work are passed over, unless the folder is itself one or stands in one: a study whose results lie inside its
    corpus does not read them as human text.
    """
    return sorted(_walked(folder, everything=stands_in_work(folder)))


def _walked(folder: Path, *, everything: bool) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith((".", "~$")):
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink():
            if is_work(path) and not everything:
                note(f"{path}: passed over: staged made what is in it")
            else:
                yield from _walked(path, everything=everything)


def _is_not_read(path: Path) -> bool:
    return path.suffix.lower() not in SUFFIXES


def refuse_to_replace(out: Path | None, *sources: str | Path | None, passed_over: Callable[[Path], bool] = _is_not_read) -> None:
    """Refuse to write into a file that is read, and over what is no file: a folder, a device, a pipe.

    Args:
        sources: files, and folders whose files are read.
        passed_over: whether a file in such a folder is not read.

    Raises:
        PlanError: `out` is one of the sources, or is there and no regular file.
    """
    if out is None or not out.exists():
        return
    if out.is_dir():
        raise PlanError(f"{out}: is a folder; name a file to write, such as one inside it")
    if not out.is_file():
        raise PlanError(f"{out}: is no ordinary file and would be replaced by one; choose another place to write to")
    for source in sources:
        read = [Path(source)] if source and Path(source).is_file() else []
        if source and Path(source).is_dir() and out.resolve().is_relative_to(Path(source).resolve()):
            read = [one for one in files_below(Path(source)) if not passed_over(one)]
        if any(out.samefile(one) for one in read):
            raise PlanError(f"{out}: is read here and would be replaced; choose another place to write to")


def writable(name: str) -> str:
    """A name that fits into any output: halves of surrogate pairs, and bytes of a file's name that are not UTF-8, as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, row) of a .parquet file; of any other, (line, object) of its JSON Lines.

    Raises:
        CorpusError: damaged; as `read_text` and `json_lines`.
    """
    if path.suffix.lower() != ".parquet":
        yield from json_lines(read_text(path).split("\n"), str(path))
        return
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise CorpusError(f"{path}: not a readable Parquet file: {first_line(error)}") from None
    yield from enumerate(rows, start=1)


def json_lines(lines: Iterable[str], where: str, *, like: str = '{"text": "…"}') -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) of every line that is not blank.

    Args:
        where: how errors call the lines' source.
        like: what errors say that an object looks like.

    Raises:
        CorpusError: a line that is not a JSON object, by its number.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # not JSON, a number of thousands of digits, nested a thousand deep
                said = error.msg if isinstance(error, json.JSONDecodeError) else first_line(error)
                raise CorpusError(f"{where}, line {number}: not JSON: {said}") from None
            if not isinstance(row, dict):
                raise CorpusError(f"{where}, line {number}: must be an object like {like}")
            yield number, row
