"""Texts to judge, from wherever they stand: files, folders, standard input, JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from staged.errors import CorpusError
from staged.figures import counted
from staged.files.texts import ROWS, STDIN, files_below, json_lines, read_rows, read_text, writable

ADVICE = "save it as that, as .docx or as .pdf, or leave it out"
NAMED_FILES = 20  # of those that cannot be read
TABLES = (".csv", ".tsv", ".json", ".html", ".htm", ".xml")


def read_texts(places: list[str], *, out: Path | None = None) -> Iterator[tuple[str, str]]:
    """(id, text) of everything that stands at these places, in a fixed order.

    Args:
        places: a `.jsonl` or `.parquet` file has a text a row, under "text", with an "id" or else its row number (behind the
            file's name where several are read); any other file (plain, Word, PDF, not one of `TABLES`) is one text, its id its
            path; a folder gives all of its files; `-` is standard input, one text, or rows where its first character is `{`.
        out: the file that the results go to, which is left out of a folder.

    Raises:
        CorpusError: nothing there, no text in it, a bad row, named by its line, or files that are not as `read_text` takes them;
            all of these are looked at first.
    """
    files = [file for place in places for file in ([None] if place == STDIN else _files(place, out))]
    empty, unreadable = True, list[CorpusError]()
    for file in files:
        try:
            for one in _stream() if file is None else _file(file, len(files) > 1):
                empty = False
                yield one
        except CorpusError as error:
            unreadable.append(error)
    if unreadable:
        first, *others = unreadable
        more = "".join(f"\n{one}" for one in others[: NAMED_FILES - 1])
        more += f"\nand {counted(len(others) - NAMED_FILES + 1, 'file')} more" if len(others) >= NAMED_FILES else ""
        raise CorpusError(f"{first}{more}")
    if empty:
        raise CorpusError(f"{', '.join(places)}: holds no row, so there is nothing to judge")


def _files(place: str, out: Path | None) -> Sequence[Path]:
    path = Path(place)
    try:
        if not place or not path.exists():
            wanted = "give a text file, a folder, a .jsonl file, or - for standard input"
            raise CorpusError(f"{place or 'an empty name'}: no such file or folder; {wanted}")
        if not path.is_dir():
            return [path]
        files = [one for one in files_below(path) if out is None or one.resolve() != out.resolve()]
    except OSError as error:
        raise CorpusError(f"{error.filename or place}: cannot be read: {error.strerror}") from None
    if not files:
        raise CorpusError(f"{place}: an empty folder; put the texts to judge there")
    return files


def holds_verdicts(path: Path) -> bool:
    """Whether an earlier run wrote this."""
    with open(path, "rb") as file:
        return b'"verdict"' in file.read(100_000) if path.suffix == ".jsonl" else file.read(15).lower() == b"<!doctype html>"


def _file(path: Path, several: bool) -> Iterator[tuple[str, str]]:
    suffix = path.suffix.lower()
    if suffix == ".rtf":
        raise CorpusError(f"{path}: would be read as its markup; save it as .docx, .pdf or .txt")
    if suffix in TABLES:
        raise CorpusError(f"{path}: a {suffix} file has more than a text in it; give its texts as .jsonl rows, one a line")
    if suffix in ROWS:
        yield from (_row(row, number, str(path), f"{path}:" if several else "") for number, row in read_rows(path))
    else:
        yield writable(str(path)), read_text(path, advice=ADVICE)


def _stream() -> Iterator[tuple[str, str]]:
    text = read_text(STDIN, advice=ADVICE)
    if text.lstrip().startswith("{"):
        yield from (_row(row, number, "standard input", "") for number, row in json_lines(text.split("\n"), "standard input"))
    else:
        yield STDIN, text


def _row(row: dict[str, Any], number: int, where: str, before: str) -> tuple[str, str]:
    if not isinstance(row.get("text"), str):
        raise CorpusError(f'{where}, line {number}: must be an object like {{"id": "a", "text": "…"}} with a string under "text"')
    return writable(f"{before}{number}" if row.get("id") is None else str(row["id"])), row["text"]
