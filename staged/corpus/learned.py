"""What a model or a detector learned from: its sources, and a digest of each text, so that a copy
of a text is known again.

Digests are of words, case and punctuation left out, so that the same text as another kind of file,
in another folder or under another name counts as the same. A record may be older than they are: it
has names alone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from staged.corpus.duplicates import WORD
from staged.corpus.embedded import EMBEDDED
from staged.errors import ArtifactError, CorpusError
from staged.notes import note
from staged.records import Document
from staged.storage.json_files import read_json, write_json

__all__ = [
    "Learned",
    "digests_by_source",
    "merged",
    "model_learned",
    "read_learned",
    "text_words_digest",
    "write_learned",
]

FILE = "learned.json"  # in a detector's folder
DOCUMENTS = "documents.json"  # beside a stage's passages: source → digests of its documents


@dataclass(frozen=True)
class Learned:
    """What something learned from.

    Attributes:
        corpus: as its plan named it; empty where that is several.
        sources: the `source` of its documents.
        texts: their `text_words_digest`; none in an older record.
        chose: those of all this that only chose a setting or an epoch (`valid`); None where the
            record does not tell them from what taught.
    """

    corpus: str = ""
    sources: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    chose: Learned | None = None

    @property
    def taught(self) -> Learned:
        """The same without what only chose, as far as the record tells."""
        if self.chose is None:
            return self
        sources, texts = self.sources - self.chose.sources, self.texts - self.chose.texts
        return Learned(self.corpus, sources, texts)

    def among(self, documents: Sequence[Document], corpus: str = "") -> list[Document]:
        """Those of a corpus's documents that this was learned from.

        A document is known by its text; by its source's name where the corpus is the same, where
        its row gives the source a name of its own, and, by a record without texts, where the corpus
        has all of the names.

        Args:
            documents: all of the corpus's.
            corpus: as its plan names it.
        """
        is_same = _same_corpus(self.corpus, corpus)
        texts = self.texts if self.texts or is_same else _embedded_texts(self.corpus, self.sources)
        all_names = (
            bool(self.sources)
            and not self.texts
            and self.sources <= {document.source for document in documents}
        )
        return [
            document
            for document in documents
            if (document.source in self.sources and (is_same or all_names or _is_named(document)))
            or (texts and text_words_digest(document.text) in texts)
        ]

    def record(self) -> dict[str, Any]:
        """JSON values that `read_learned` takes."""
        record = {
            "corpus": self.corpus,
            "sources": sorted(self.sources),
            "texts": sorted(self.texts),
        }
        return record if self.chose is None else record | {"chose": self.chose.record()}


def text_words_digest(text: str) -> str:
    """16 hexadecimal digits of SHA-256 over a text's words in their order, whatever stands between
    them.
    """
    words = WORD.findall(text.lower()) or text.split()
    return hashlib.sha256(" ".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def digests_by_source(documents: Iterable[Document]) -> dict[str, list[str]]:
    """Source → digests of its documents, as `DOCUMENTS` holds them."""
    digests: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        digests[document.source].append(text_words_digest(document.text))
    return dict(digests)


def merged(several: Iterable[Learned | None]) -> Learned:
    """All that several learned from, what only chose among it; of one without a record nothing is
    known.
    """
    known = [learned for learned in several if learned is not None]
    corpora = {learned.corpus for learned in known}
    return Learned(
        corpora.pop() if len(corpora) == 1 else "",
        frozenset().union(*(learned.sources for learned in known)),
        frozenset().union(*(learned.texts for learned in known)),
    )


def read_learned(folder: Path) -> Learned | None:
    """What a detector's folder says that it learned from, or None.

    Raises:
        ArtifactError: the record is ours, and damaged.
    """
    path = folder / FILE
    return _learned(read_json(path), path) if path.is_file() else None


def model_learned(folder: Path) -> Learned | None:
    """What a model's `training.json` says that it learned from, or None.

    Raises:
        ArtifactError: the record is ours, and damaged.
    """
    path = folder / "training.json"
    if not path.is_file():
        return None
    record = read_json(path)
    try:
        corpus = record["settings"]["corpus"]["source"]
    except (KeyError, TypeError):
        if isinstance(record, dict) and record.keys() & {"settings", "sources"}:
            raise ArtifactError(
                f"{path}: does not say which corpus the model learned from; remove it or train"
                " again"
            ) from None
        note(f"{path}: is no record of `staged train`, so what the model learned from is not known")
        return None
    return _learned({"sources": [], "texts": []} | record | {"corpus": corpus}, path)


def _learned(record: Any, path: Path) -> Learned:
    try:
        chose = record.get("chose")
        return Learned(
            str(record["corpus"]),
            frozenset(record["sources"]),
            frozenset(record["texts"]),
            None if chose is None else _learned(chose, path),
        )
    except (KeyError, TypeError, AttributeError):
        raise ArtifactError(
            f"{path}: does not say what was learned from; remove it or train again"
        ) from None


def write_learned(
    folder: Path,
    documents: Sequence[Document],
    corpora: Mapping[Path, str],
    *,
    also: Iterable[Learned | None] = (),
    chose: Sequence[Document] | None = None,
    with_texts: bool = False,
) -> None:
    """Into a detector's folder what it learned from.

    Args:
        documents: human texts, cut as they may be; their sources count.
        corpora: folder of a corpus's stage → its name; a folder made before there was `DOCUMENTS`
            gives names alone.
        also: what parts of it learned from.
        chose: human texts that only chose an epoch or a setting, told apart in the record; None
            where they are among the documents.
        with_texts: the documents' own texts count too, beside those of their sources: passages that
            somebody cut out are then known as well.
    """
    taught = merged([*_known(documents, corpora, with_texts), *also])
    if chose is None:
        write_json(folder / FILE, taught.record())
        return
    known = merged(_known(chose, corpora, with_texts))
    only = Learned(known.corpus, known.sources - taught.sources, known.texts - taught.texts)
    write_json(folder / FILE, replace(merged([taught, known]), chose=only).record())


def _known(
    documents: Sequence[Document], corpora: Mapping[Path, str], with_texts: bool
) -> list[Learned]:
    """What the stages of each corpus know of these documents' sources."""
    sources = frozenset(document.source for document in documents)
    own = {text_words_digest(document.text) for document in documents if with_texts}
    parts = []
    for place, name in corpora.items():
        known: Mapping[str, Sequence[str]] = (
            read_json(place / DOCUMENTS) if (place / DOCUMENTS).is_file() else {}
        )
        texts = frozenset(
            text for source, texts in known.items() if source in sources for text in texts
        )
        parts.append(Learned(name, sources, texts | own))
    return parts


def _same_corpus(corpus: str, other: str) -> bool:
    if corpus in EMBEDDED or other in EMBEDDED:
        return corpus == other
    return bool(corpus and other) and Path(corpus).resolve() == Path(other).resolve()


def _is_named(document: Document) -> bool:
    """Whether a row gave its source a name; else it is the document's own, as files' are."""
    return document.id.partition("#")[0] != document.source


@cache
def _embedded_texts(corpus: str, sources: frozenset[str]) -> frozenset[str]:
    """Digests for a record without any, where the corpus comes with a package that is installed."""
    documents: list[Document] = []
    with suppress(CorpusError):
        documents = EMBEDDED[corpus]() if corpus in EMBEDDED else []
    return frozenset(
        text_words_digest(document.text) for document in documents if document.source in sources
    )
