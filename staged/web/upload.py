"""A form → its text and files; a file's bytes → its text: plain text here, Word and PDF in a child
process (extract.py). Never on disk, never unpickled.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePath

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

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
FORM = "multipart/form-data"


@dataclass(frozen=True)
class Form:
    """What the page's form holds.

    Attributes:
        text: what was typed or pasted, its lines ended as in a text file.
        name, data: of the file; empty where none was chosen.
        manifest: the file that stands beside the text or file.
    """

    text: str = field(repr=False)
    name: str = ""
    data: bytes = field(default=b"", repr=False)
    manifest: bytes = field(default=b"", repr=False)


async def read_form(request: Request) -> Form:
    """The page's form, in memory from end to end.

    Raises:
        RefusedError: 415 for another content type, 400 for a damaged form or a text that is not
            UTF-8.
    """
    _check_content_type(request)
    body = await request.body()
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=2, max_fields=4, max_part_size=len(body) + 1
    )
    parser.spool_max_size = len(body) + 1  # else a file above 1 MiB would go to disk
    try:
        form = await parser.parse()
    except MultiPartException:
        raise RefusedError(400, "The form arrived damaged; send it again.") from None
    text = form.get("text", "")
    if not isinstance(text, str):
        raise RefusedError(400, "The form's text arrived as a file; send it again.")
    if text.encode("utf-8", "replace") not in body:  # the parser reads what is not UTF-8 as Latin-1
        raise RefusedError(400, "The text is not UTF-8; encode it as UTF-8, or choose a file.")
    name, data = await _file(form.get("file"))
    _, manifest = await _file(form.get("manifest"))
    return Form(text.replace("\r\n", "\n"), name, data, manifest)  # browsers send \r\n for each


async def _file(sent: UploadFile | str | None) -> tuple[str, bytes]:
    """(name, bytes) of a file in a form; empty where none was chosen."""
    if not isinstance(sent, UploadFile):
        return "", b""
    try:
        return sent.filename or "", await sent.read()
    finally:
        await sent.close()


def _check_content_type(request: Request) -> None:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if (
        kind.decode("latin-1").lower() != FORM
        or options.get(b"charset", b"utf-8").lower() != b"utf-8"
    ):
        raise RefusedError(
            415,
            f"The page's form is sent as {FORM} in UTF-8; programs should use POST /api/detect.",
        )


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
