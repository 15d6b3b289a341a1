"""A file's bytes → its text: plain text here, Word and PDF in a child process (extract.py). Never on disk, never unpickled."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import PurePath

from staged.texts import utf_text
from staged.web.extract import NAMES, REFUSED
from staged.web.limits import RefusedError

PLAIN = ("", ".txt", ".text", ".md")
SUFFIXES = (*PLAIN, ".docx", ".pdf")
OPENING_S = 20.0
OPENERS = 2


class Opener:
    """Opens files, at most two Word and PDF files at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(OPENERS)

    async def text_of(self, name: str, data: bytes) -> str:
        """The text of a .txt, .md, .docx or .pdf file.

        Raises:
            RefusedError: 415 for another kind of file, 422 for one that cannot be opened, 400 for plain text that is not UTF-8.
        """
        kind = kind_of(name, data)
        if kind == "txt":
            return plain_text(data)
        async with self._places:
            return await _open(kind, data)


def kind_of(name: str, data: bytes) -> str:
    """`txt`, `docx` or `pdf`, where name and first bytes agree.

    Raises:
        RefusedError: 415.
    """
    suffix = PurePath(name).suffix.lower()
    head = "docx" if data.startswith(b"PK\x03\x04") else "pdf" if b"%PDF-" in data[:1024] else "txt"
    named = "txt" if suffix in PLAIN else suffix[1:]
    if suffix not in SUFFIXES or named != head:
        raise RefusedError(415, "This is not a text, Word or PDF file: choose a .txt, .md, .docx or .pdf, or paste the text.")
    return head


def plain_text(data: bytes) -> str:
    """As `utf_text` reads it.

    Raises:
        RefusedError: 400 for what is not text.
    """
    try:
        return utf_text(data)
    except UnicodeDecodeError as error:
        raise RefusedError(
            400, f"This file is not text in UTF-8 (byte {error.start:,}); save it as UTF-8, or paste the text."
        ) from None


async def _open(kind: str, data: bytes) -> str:
    command = (sys.executable, "-P", "-m", "staged.web.extract", kind)
    child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(OPENING_S):
            text, sentence = await child.communicate(data)
    except TimeoutError:
        raise RefusedError(422, f"This {NAMES[kind]} takes too long to open; save its text as .txt.") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == REFUSED:
        raise RefusedError(422, sentence.decode())
    if child.returncode != 0:  # the system ended it at one of its limits
        raise RefusedError(422, f"This {NAMES[kind]} takes too much to open; save its text as .txt.")
    return text.decode()
