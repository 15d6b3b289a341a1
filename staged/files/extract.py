"""Word and PDF files as text, each opened in a process of its own: `python -m staged.files.extract docx|pdf < FILE > TEXT`.

Files of strangers meet large parsers here, so that process has little memory, little time, and no way to touch the caller.
Exit code 0: the text stands on standard output, UTF-8. Exit code 3: one sentence stands on standard error.
"""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import PurePath

from staged.errors import CorpusError

MEMORY_BYTES = 2**30
PROCESSOR_S = 15
OPENING_S = 20.0
UNPACKED_BYTES = 64 * 2**20
MEMBERS = 2_000
PAGES = 500
REFUSED = 3
NAMES = {"docx": "Word file", "pdf": "PDF"}
INSTEAD = "save its text as .txt"
CUT_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_A-Z])")


def kind_of(name: str, data: bytes) -> str:
    """`docx`, `pdf` or `txt`, by a file's first bytes; a PDF may begin with other bytes when its name says what it is."""
    if data.startswith(b"PK\x03\x04"):
        return "docx"
    named = PurePath(name).suffix.lower() == ".pdf"
    return "pdf" if data.startswith(b"%PDF-") or (named and b"%PDF-" in data[:1024]) else "txt"


def opened(kind: str, data: bytes) -> str:
    """The text of a Word file or a PDF.

    Raises:
        CorpusError: it cannot be opened, holds no text, or takes too much time or memory.
    """
    command = (sys.executable, "-P", "-m", "staged.files.extract", kind)
    try:
        child = subprocess.run(command, input=data, capture_output=True, timeout=OPENING_S, check=False)
    except subprocess.TimeoutExpired:
        raise CorpusError(f"this {NAMES[kind]} takes too long to open; {INSTEAD}") from None
    if child.returncode == REFUSED:
        raise CorpusError(child.stderr.decode())
    if child.returncode != 0:  # the system ended it at one of its limits
        raise CorpusError(f"this {NAMES[kind]} takes too much to open; {INSTEAD}")
    return child.stdout.decode()


def docx_text(data: bytes) -> str:
    """Paragraphs and table cells of a Word file, in reading order.

    Raises:
        CorpusError: not a Word file, or one that unpacks to too much.
    """
    import docx

    _check_archive(data)
    document = docx.Document(io.BytesIO(data))
    return "\n\n".join(_blocks(document))


def _check_archive(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > UNPACKED_BYTES or len(members) > MEMBERS:
            raise CorpusError(f"this Word file unpacks to more than {UNPACKED_BYTES >> 20} MiB; {INSTEAD}")
        if "word/document.xml" not in archive.namelist():
            raise CorpusError(f"this is an archive, but not a Word file (.docx); {INSTEAD}, .docx or .pdf")


def _blocks(container: object) -> Iterator[str]:
    for block in container.iter_inner_content():  # type: ignore[attr-defined]
        if hasattr(block, "rows"):
            for row in block.rows:
                for cell in row.cells:
                    yield from _blocks(cell)
        elif block.text.strip():
            yield block.text


def pdf_text(data: bytes) -> str:
    """The text layer of a PDF, page by page; a word cut at the end of a line is made whole.

    Raises:
        CorpusError: locked, scanned, or too many pages.
    """
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not _opens_without_password(reader):
        raise CorpusError(f"this PDF is locked with a password; remove it, or {INSTEAD}")
    if len(reader.pages) > PAGES:
        raise CorpusError(f"this PDF has {len(reader.pages):,} pages; at most {PAGES} are read; save the part in question as .txt")
    text = "\n\n".join(page.extract_text() for page in reader.pages)
    if not text.strip():
        raise CorpusError(f"this PDF holds no text: it is probably a scan; run text recognition on it, or {INSTEAD}")
    return CUT_WORD.sub("", text)


def _opens_without_password(reader: object) -> bool:
    with suppress(Exception):  # an algorithm that is not installed counts as locked
        return bool(reader.decrypt(""))  # type: ignore[attr-defined]
    return False


READERS: dict[str, Callable[[bytes], str]] = {"docx": docx_text, "pdf": pdf_text}


def main() -> int:
    """One file from standard input; returns the exit code."""
    logging.disable()
    _confine()
    kind = sys.argv[1]
    try:
        text = READERS[kind](sys.stdin.buffer.read())
    except CorpusError as error:
        sentence = str(error)
    except MemoryError:
        sentence = f"this {NAMES[kind]} needs too much memory to open; {INSTEAD}"
    except Exception:
        sentence = f"this {NAMES[kind]} is damaged and cannot be opened; save it again, or {INSTEAD}"
    else:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        return 0
    sys.stderr.write(sentence)
    return REFUSED


def _confine() -> None:
    import resource

    for what, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, PROCESSOR_S), (resource.RLIMIT_FSIZE, 0)):
        with suppress(ValueError, OSError):  # a system that knows no such limit
            resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
