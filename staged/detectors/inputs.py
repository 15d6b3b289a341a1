"""Texts to judge, from wherever they stand: files, folders, standard input, JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from staged.errors import CorpusError
from staged.files.places import first_fault_last, text_files
from staged.files.rows import Place, RowReader, is_read_in_parts, json_lines
from staged.files.texts import ROWS, STDIN, read_file, read_text, row_text, writable
from staged.notes import unnoted
from staged.places import mirror
from staged.places.files import fetched

ADVICE = "save it as that, as .docx or as .pdf, or leave it out"

Text = tuple[str, str]  # its id, and the text
TextsBehind = Callable[[Place], Iterator[tuple[Place, Text]]]  # those behind a place, each with its


@dataclass(frozen=True)
class InputFile:
    """A file with texts to judge.

    Attributes:
        name: as its user calls it; `-` is standard input.
        is_alone: whether no other file is judged, so that numbers of rows are ids.
        read: its texts, where they cannot be read again.
    """

    name: str
    is_alone: bool
    read: tuple[Text, ...] | None = None

    @property
    def path(self) -> Path:
        """Where it is, or of a URL its copy."""
        return mirror.place(self.name)

    @property
    def is_read_once(self) -> bool:
        """Whether it is gone when it was read: standard input, or a pipe."""
        return self.name == STDIN or self.path.is_fifo()

    def with_texts(self) -> InputFile:
        """The same with its texts, all read now.

        Raises:
            CorpusError: as `read_texts`.
        """
        return replace(self, read=tuple(self._whole()))

    def opened(self, *, again: bool = False) -> TextsBehind:
        """What reads its texts behind a place.

        Args:
            again: what there is to note of it was noted before.

        Raises:
            CorpusError: it cannot be read; so does what is given.
        """
        if again:  # perhaps on another machine
            fetched(self.name)
        if self.read is None and self.path.suffix.lower() in ROWS and is_read_in_parts(self.path):
            reader = RowReader(self.path, only=("text", "id"))
            return lambda place: map(self._row, reader.after(place))

        def texts(place: Place) -> Iterator[tuple[Place, Text]]:
            with unnoted() if again else nullcontext():
                whole = list(self._whole()) if self.read is None else self.read
            for number, text in enumerate(whole[place.rows :], place.rows + 1):
                yield Place(number), text

        return texts

    def _row(self, read: tuple[Place, Mapping[str, Any]]) -> tuple[Place, Text]:
        place, row = read
        text = row_text(row, f"{self.name}, row {place.rows}")
        return place, (_id(row, self._place(place.rows)), text)

    def _place(self, number: int | None) -> str:
        if number is None:
            return self.name
        return str(number) if self.is_alone else f"{self.name}:{number}"

    def _whole(self) -> Iterator[Text]:
        if self.name == STDIN:
            yield from _stream()
            return
        for reading in read_file(self.path, advice=ADVICE):
            yield _id(reading.row, self._place(reading.number)), reading.text


def input_files(places: Sequence[str], *, out: Path | None = None) -> list[InputFile]:
    """The files of these places, as `read_texts` takes them.

    Raises:
        CorpusError: as `text_files`.
    """
    names = [
        f"{file}"
        for place in places
        for file in ([STDIN] if place == STDIN else text_files(place, but=out))
    ]
    return [InputFile(name, len(names) == 1) for name in names]


def read_texts(places: Sequence[str], *, out: Path | None = None) -> Iterator[Text]:
    """(id, text) of everything that stands at these places, in a fixed order.

    Args:
        places: files, and folders of files, as `text_files` takes them: a file with rows has a text
            a row, with an "id" or else its row number (behind the file's name where several are
            read), any other file is one text, its id its path or URL; `-` is standard input, one
            text, or rows where its first character is `{`. A text may be empty, so that every row
            is answered.
        out: the file that the results go to, which is left out of a folder.

    Raises:
        CorpusError: nothing there, no text in it, a bad row, named by its number, or files that are
            not as `read_text` takes them; all of these are looked at first.
    """
    empty = True
    files = input_files(places, out=out)
    for _, text in first_fault_last(files, lambda file: file.opened()(Place())):
        empty = False
        yield text
    if empty:
        raise nothing_to_judge(places)


def nothing_to_judge(places: Sequence[str]) -> CorpusError:
    """What is said of places without a row."""
    return CorpusError(f"{', '.join(places)}: holds no row, so there is nothing to judge")


def _stream() -> Iterator[Text]:
    where, text = "standard input", read_text(STDIN, advice=ADVICE)
    if not text.lstrip().startswith("{"):
        yield STDIN, text
        return
    for number, row in json_lines(text.split("\n"), where):
        yield _id(row, str(number)), row_text(row, f"{where}, row {number}")


def _id(row: Mapping[str, Any], otherwise: str) -> str:
    return writable(otherwise if row.get("id") is None else str(row["id"]))
