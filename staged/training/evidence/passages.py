"""The human texts that `evidence` learns from: passages of several corpora, some of them once more
under attacks.

    human ──► passages.parquet ──┬──► machine texts, which begin like them (`generated.py`)
                                 └──► attacked

Sources never straddle a split: `train`, `valid` (which calibrates), `test`; held-out corpora are
only `test`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from staged.attacks.kinds import attack
from staged.corpus.build import documents_digest, read_documents, write_documents
from staged.corpus.files import read_corpus
from staged.corpus.learned import DOCUMENTS, digests_by_source
from staged.corpus.passages import cut, word_counts
from staged.corpus.splits import assign
from staged.records import HUMAN, Document
from staged.storage.json_files import write_json
from staged.storage.stage_folders import build
from staged.streams import derive
from staged.training.evidence.plan import SHORTEST, UNDER, EvidenceSettings


@dataclass(frozen=True)
class Role:
    """What a corpus of human text is for.

    Attributes:
        splits: the shares of its sources; `valid` calibrates.
        begins: whether machine texts begin like its passages.
        attacked: whether those that do not calibrate are read once more under the plan's attacks.
    """

    splits: dict[str, float]
    begins: bool
    attacked: bool


TEACHES = Role({"train": 0.5, "valid": 0.4, "test": 0.1}, begins=True, attacked=True)
# half as much of it as of another corpus
CALIBRATES = Role({"valid": 0.2, "test": 0.8}, begins=False, attacked=False)
TESTS = Role({"test": 1.0}, begins=False, attacked=True)


def roles(settings: EvidenceSettings) -> dict[str, Role]:
    """Of every corpus of human text, by the name or path that the plan gives."""
    return (
        dict.fromkeys(settings.human, TEACHES)
        | dict.fromkeys(settings.also_calibrate, CALIBRATES)
        | dict.fromkeys(settings.held_out, TESTS)
    )


def in_role(
    human: Sequence[Document], settings: EvidenceSettings, wanted: Callable[[Role], bool]
) -> list[Document]:
    """The passages of those corpora whose role is wanted."""
    names = {Path(corpus).name for corpus, role in roles(settings).items() if wanted(role)}
    return [document for document in human if corpus_of(document) in names]


def human_passages(
    settings: EvidenceSettings, corpora: Mapping[str, Sequence[Document]]
) -> list[Document]:
    """Passages of every corpus, marked with their split; a passage's length class is the `@words`
    at its id's end.

    Raises:
        CorpusError: a corpus with fewer sources than splits.
    """
    passages: list[Document] = []
    for corpus, role in roles(settings).items():
        documents, name = corpora[corpus], Path(corpus).name
        splits = assign(documents, role.splits, seed=settings.seed)
        marked = [
            replace(document, split=splits[document.source], source=f"{name}:{document.source}")
            for document in documents
        ]
        stream = random.Random(derive(settings.seed, "passages", name))
        number = settings.n_held_out if corpus in settings.held_out else settings.n_human
        passages += _chosen(marked, settings.words, number // len(settings.words), stream)
    return passages


def _chosen(
    documents: Sequence[Document], lengths: Sequence[int], want: int, stream: random.Random
) -> list[Document]:
    """Equal numbers of every length, dealt out one passage a document among shuffled documents."""
    by_length: dict[int, list[Document]] = defaultdict(list)
    for words in lengths:
        piles = [list(_passages(document, words)) for document in documents]
        for pile in piles:
            stream.shuffle(pile)
        stream.shuffle(piles)
        while any(piles) and len(by_length[words]) < want:
            by_length[words] += [pile.pop() for pile in piles if pile]
            piles = [pile for pile in piles if pile]
    return [passage for words in lengths for passage in by_length[words][:want]]


def _passages(document: Document, words: int) -> Iterator[Document]:
    for passage in cut(document, word_counts, budget=words, minimum=int(SHORTEST * words)):
        yield replace(passage, id=f"{passage.id}@{words}")


def build_human(folder: Path, settings: EvidenceSettings) -> list[Document]:
    """The human passages, kept in a stage's folder; made again where a corpus has changed.

    Raises:
        CorpusError: a corpus that cannot be read, or has fewer sources than splits.
        ArtifactError: the place cannot be written.
    """
    corpora = {corpus: read_corpus(corpus, generated=False) for corpus in roles(settings)}
    fingerprint = {
        "human": settings.human,
        "also_calibrate": settings.also_calibrate,
        "held_out": settings.held_out,
        "words": settings.words,
        "n_human": settings.n_human,
        "n_held_out": settings.n_held_out,
        "seed": settings.seed,
        "text": {corpus: documents_digest(documents) for corpus, documents in corpora.items()},
    }

    def write(partial: Path) -> None:
        write_documents(partial / "passages.parquet", human_passages(settings, corpora))
        named = (
            replace(document, source=f"{Path(name).name}:{document.source}")
            for name, documents in corpora.items()
            for document in documents
        )
        write_json(partial / DOCUMENTS, digests_by_source(named))

    build(folder, write, settings=fingerprint)
    return read_documents(folder / "passages.parquet")


def attacked(human: Sequence[Document], settings: EvidenceSettings) -> list[Document]:
    """The human texts that train and test once more under each of the plan's attacks, each attack a
    corpus of its own.
    """
    clean = in_role(human, settings, lambda role: role.attacked)
    return [
        _under(name, document, seed=settings.seed)
        for name in settings.attacks
        for document in clean
        if document.split != "valid"
    ]


def _under(name: str, clean: Document, *, seed: int) -> Document:
    corpus, _, rest = clean.source.partition(":")
    return replace(
        clean,
        id=f"{clean.id}~{name}",
        text=attack(name, clean.text, seed=seed, id=clean.id),
        source=f"{corpus}{UNDER}{name}:{rest}",
    )


def is_clean(document: Document) -> bool:
    """Whether a person wrote it and no attack changed it."""
    return document.label == HUMAN and UNDER not in corpus_of(document)


def corpus_of(document: Document) -> str:
    """The corpus that a text is from, or that its first words are from."""
    return document.source.split(":")[0]
