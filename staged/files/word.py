"""Word files: paragraphs and table cells, in reading order."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

from staged.errors import CorpusError
from staged.files.extracted import INSTEAD, Extract

UNPACKED_BYTES = 64 * 2**20
MEMBERS = 2_000


def read(data: bytes) -> Extract:
    """Paragraphs and table cells of a Word file, in reading order.

    Raises:
        CorpusError: not a Word file, or one that unpacks to too much.
    """
    import docx

    _check_archive(data)
    document = docx.Document(io.BytesIO(data))
    return Extract("\n\n".join(_blocks(document)))


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
