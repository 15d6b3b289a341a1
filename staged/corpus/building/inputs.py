"""Which files hold pages, in which order, and what of a place is none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from staged.errors import CorpusError
from staged.files.places import files_below, name_in

ARCHIVES = (".warc", ".warc.gz")
PAGES = (".html", ".htm", ".xhtml")
LOOKED_AT = 1 << 16  # bytes at either end of a file that tell whether it is another


@dataclass(frozen=True)
class Input:
    """A file of pages: its name, in ids, and its place."""

    name: str
    path: str

    @property
    def is_archive(self) -> bool:
        """Whether it is a WARC file; else a page."""
        return self.name.lower().endswith(ARCHIVES)


def find_inputs(places: Sequence[str]) -> tuple[list[Input], list[str]]:
    """Files of pages, in the order of the places and of their names; and the names of the files
    that are none.

    Raises:
        CorpusError: a place that is not there, or none with a page.
    """
    inputs: list[Input] = []
    others: list[str] = []
    for number, place in enumerate(places, start=1):
        prefix = f"{number}/" if len(places) > 1 else ""
        for name, path in _files(Path(place)):
            if name.lower().endswith((*ARCHIVES, *PAGES)):
                inputs.append(Input(prefix + name, str(path)))
            else:
                others.append(prefix + name)
    if not inputs:
        raise CorpusError(
            f"{', '.join(places)}: no page there; give WARC files or HTML files"
            f" ({', '.join((*ARCHIVES, *PAGES))}), or folders of such"
        )
    return inputs, others


def _files(place: Path) -> list[tuple[str, Path]]:
    if not place.exists():
        raise CorpusError(
            f"{place}: no such file or folder; give WARC files or a folder of HTML, which staged"
            " does not download"
        )
    if not place.is_dir():
        return [(place.name, place.absolute())]
    try:
        return [(name_in(place, path), path.absolute()) for path in files_below(place)]
    except OSError as error:
        raise CorpusError(f"{error.filename or place}: cannot be read: {error.strerror}") from None


def inputs_digest(inputs: Sequence[Input]) -> str:
    """SHA-256 over the files' names, sizes, and the first and last 64 KiB of each: a crawl is not
    read whole to see whether it is the same.

    Raises:
        CorpusError: a file that cannot be read.
    """
    digest = hashlib.sha256()
    for item in inputs:
        try:
            with open(item.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest.update(f"{item.name}\0{size}\0".encode("utf-8", "surrogatepass"))
                digest.update(file.read(LOOKED_AT))
                file.seek(max(LOOKED_AT, size - LOOKED_AT))
                digest.update(file.read())
        except OSError as error:
            raise CorpusError(f"{item.path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def part_of(inputs: Sequence[Input], rank: int, tasks: int) -> Sequence[Input]:
    """A task's files: neighbours, so that the order of all documents does not depend on the number
    of tasks.
    """
    return inputs[len(inputs) * rank // tasks : len(inputs) * (rank + 1) // tasks]
