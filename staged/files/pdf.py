"""PDFs: their text layer, page by page."""

from __future__ import annotations

import io
import re
from contextlib import suppress

from staged.errors import CorpusError
from staged.files.extracted import INSTEAD, Extract

PAGES = 500
CUT_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_A-Z])")


def read(data: bytes) -> Extract:
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
    return Extract(CUT_WORD.sub("", text))


def _opens_without_password(reader: object) -> bool:
    with suppress(Exception):  # an algorithm that is not installed counts as locked
        return bool(reader.decrypt(""))  # type: ignore[attr-defined]
    return False
