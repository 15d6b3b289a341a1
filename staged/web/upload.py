"""A file's bytes → its text: plain text here, Word and PDF in a child process (extract.py). Never
on disk, never unpickled.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath

from staged.errors import CorpusError
from staged.files import extract, places, word
from staged.files.extracted import Extract
from staged.files.texts import utf_text
from staged.web.limits import RefusedError

PLAIN = ("", *places.PLAIN)
KINDS = (
    dict.fromkeys(PLAIN, "txt")
    | dict.fromkeys(word.SUFFIXES + word.OTHERS, "docx")
    | {".pdf": "pdf"}
)
CHOSEN = (*PLAIN[1:], *word.SUFFIXES, ".pdf")  # what the page offers to choose from
OPENERS = 2


class Opener:
    """Opens files, at most two of Word and PDF at a time, counting those nobody waits for."""

    def __init__(self) -> None:
        self._places = ThreadPoolExecutor(OPENERS, "opener")

    async def open(self, name: str, data: bytes) -> Extract:
        """The text of a plain, Word or PDF file, and what of it is not read; cancelled, one that
        waits for its place is not opened.

        Raises:
            RefusedError: 415 for another kind of file, 422 for one that cannot be opened, 400 for
                plain text that is not UTF-8.
        """
        kind = kind_of(name, data)
        if kind == "txt":
            return Extract(plain_text(data))
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._places, extract.opened, kind, data
            )
        except CorpusError as error:
            sentence = str(error)
            raise RefusedError(422, f"{sentence[0].upper()}{sentence[1:]}.") from None


def kind_of(name: str, data: bytes) -> str:
    """`txt`, `docx` or `pdf`, where name and first bytes agree.

    Raises:
        RefusedError: 415.
    """
    kind = extract.kind_of(name, data)
    if KINDS.get(PurePath(name).suffix.lower()) != kind:
        raise RefusedError(
            415,
            "This is not a text, Word or PDF file: choose a .txt, .md, .docx or .pdf, or paste the"
            " text.",
        )
    return kind


def plain_text(data: bytes) -> str:
    """As `utf_text` reads it.

    Raises:
        RefusedError: 400 for what is not text.
    """
    try:
        return utf_text(data)
    except UnicodeDecodeError as error:
        raise RefusedError(
            400,
            f"This file is not text in UTF-8 (byte {error.start:,}); save it as UTF-8, or paste the"
            " text.",
        ) from None
