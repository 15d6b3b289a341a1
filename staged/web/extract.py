"""Opens Word and PDF files, in a process of its own: `python -m staged.web.extract docx|pdf < FILE > TEXT`.

Files of strangers meet large parsers here, so the process has little memory, little time, and no way to touch the server.
Exit code 0: the text stands on standard output, UTF-8. Exit code 3: one sentence stands on standard error.
"""

from __future__ import annotations

import io
import logging
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress

from staged.errors import ServeError

MEMORY_BYTES = 2**30
PROCESSOR_S = 15
UNPACKED_BYTES = 64 * 2**20
MEMBERS = 2_000
PAGES = 500
REFUSED = 3


def docx_text(data: bytes) -> str:
    """Paragraphs and table cells of a Word file, in reading order.

    Raises:
        ServeError: not a Word file, or one that unpacks to too much.
    """
    import docx

    _check_archive(data)
    document = docx.Document(io.BytesIO(data))
    return "\n\n".join(_blocks(document))


def _check_archive(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > UNPACKED_BYTES or len(members) > MEMBERS:
            raise ServeError(f"This Word file unpacks to more than {UNPACKED_BYTES >> 20} MiB; save its text as .txt.")
        if "word/document.xml" not in archive.namelist():
            raise ServeError("This is an archive, but not a Word file (.docx); save the text as .txt, .docx or .pdf.")


def _blocks(container: object) -> Iterator[str]:
    for block in container.iter_inner_content():  # type: ignore[attr-defined]
        if hasattr(block, "rows"):
            for row in block.rows:
                for cell in row.cells:
                    yield from _blocks(cell)
        elif block.text.strip():
            yield block.text


def pdf_text(data: bytes) -> str:
    """The text layer of a PDF, page by page.

    Raises:
        ServeError: locked, scanned, or too many pages.
    """
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not _opens_without_password(reader):
        raise ServeError("This PDF is locked with a password; remove it, or paste the text.")
    if len(reader.pages) > PAGES:
        raise ServeError(f"This PDF has {len(reader.pages):,} pages; at most {PAGES} are read. Paste the part in question.")
    text = "\n\n".join(page.extract_text() for page in reader.pages)
    if not text.strip():
        raise ServeError("This PDF holds no text: it is probably a scan. Run text recognition on it, or paste the text.")
    return text


def _opens_without_password(reader: object) -> bool:
    with suppress(Exception):  # an algorithm that is not installed counts as locked
        return bool(reader.decrypt(""))  # type: ignore[attr-defined]
    return False


READERS: dict[str, Callable[[bytes], str]] = {"docx": docx_text, "pdf": pdf_text}
NAMES = {"docx": "Word file", "pdf": "PDF"}


def main() -> int:
    """One file from standard input; returns the exit code."""
    logging.disable()
    _confine()
    kind = sys.argv[1]
    try:
        text = READERS[kind](sys.stdin.buffer.read())
    except ServeError as error:
        sentence = str(error)
    except MemoryError:
        sentence = f"This {NAMES[kind]} needs too much memory to open; save its text as .txt."
    except Exception:
        sentence = f"This {NAMES[kind]} is damaged and cannot be opened; save it again, or paste the text."
    else:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        return 0
    sys.stderr.write(sentence)
    return REFUSED


def _confine() -> None:
    for what, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, PROCESSOR_S), (resource.RLIMIT_FSIZE, 0)):
        with suppress(ValueError, OSError):  # a system that knows no such limit
            resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
