"""The texts that `evidence` learns from: human passages of several corpora, and what models write
from their first words.

    human ──► passages.parquet ──┬──► prompts ──► samples (a file per model, method and length)
                                 └──► attacked

A machine text begins with the first words of a human passage and is cut to that passage's number of
words, so neither topic nor length tells the two apart. Sources never straddle a split: `train`,
`valid` (which calibrates), `test`; held-out corpora are only `test`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from staged.attacks.kinds import attack
from staged.corpus.build import documents_digest, read_documents, write_documents
from staged.corpus.files import read_corpus
from staged.corpus.learned import DOCUMENTS, digests_by_source
from staged.corpus.passages import cut, word_counts
from staged.corpus.splits import assign
from staged.errors import PlanError, SamplingError
from staged.progress import Progress, shifted
from staged.records import HUMAN, MACHINE, Document, count_words
from staged.samples.dataset import SampleSettings, is_samples, read_samples, write_samples
from staged.samples.sample_stage import own_weights
from staged.storage.digests import sha256_file
from staged.storage.gate import check_replaceable
from staged.storage.json_files import read_json, write_json
from staged.storage.stage_folders import build
from staged.streams import derive
from staged.training.evidence.plan import (
    PENALISED,
    SHORTEST,
    UNDER,
    EvidenceSettings,
    generator_name,
    sampling,
)

TOKENS_A_WORD = 1.6  # generous: what a sample has too much is cut off


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
CALIBRATES = Role(
    {"valid": 0.2, "test": 0.8}, begins=False, attacked=False
)  # half as much of it as of another corpus
TESTS = Role({"test": 1.0}, begins=False, attacked=True)


def roles(settings: EvidenceSettings) -> dict[str, Role]:
    """Of every corpus of human text, by the name or path that the plan gives."""
    said = (
        (settings.human, TEACHES),
        (settings.also_calibrate, CALIBRATES),
        (settings.held_out, TESTS),
    )
    return {corpus: role for corpora, role in said for corpus in corpora}


def _in_role(
    human: Sequence[Document], settings: EvidenceSettings, wanted: Callable[[Role], bool]
) -> list[Document]:
    names = {Path(corpus).name for corpus, role in roles(settings).items() if wanted(role)}
    return [one for one in human if corpus_of(one) in names]


def human_passages(
    settings: EvidenceSettings, corpora: Mapping[str, Sequence[Document]]
) -> list[Document]:
    """Passages of every corpus, marked with their split; a passage's length class is the `@words`
    at its id's end.

    Raises:
        CorpusError: a corpus with fewer sources than splits.
    """
    found: list[Document] = []
    for corpus, role in roles(settings).items():
        documents = corpora[corpus]
        splits = assign(documents, role.splits, seed=settings.seed)
        marked = [
            replace(one, split=splits[one.source], source=f"{Path(corpus).name}:{one.source}")
            for one in documents
        ]
        stream = random.Random(derive(settings.seed, "passages", Path(corpus).name))
        number = settings.n_held_out if corpus in settings.held_out else settings.n_human
        found += _chosen(marked, settings.words, number // len(settings.words), stream)
    return found


def _chosen(
    documents: Sequence[Document], lengths: Sequence[int], want: int, stream: random.Random
) -> list[Document]:
    """Equal numbers of every length, dealt out among a shuffled corpus's documents, one passage a
    document at a time.
    """
    by_length: dict[int, list[Document]] = defaultdict(list)
    for words in lengths:
        piles = [list(_passages(one, words)) for one in documents]
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
    made: dict[str, Any] = {
        "human": settings.human,
        "also_calibrate": settings.also_calibrate,
        "held_out": settings.held_out,
    }
    made |= {"words": settings.words}
    made |= {"n_human": settings.n_human, "n_held_out": settings.n_held_out, "seed": settings.seed}
    made |= {"text": {corpus: documents_digest(documents) for corpus, documents in corpora.items()}}

    def write(partial: Path) -> None:
        write_documents(partial / "passages.parquet", human_passages(settings, corpora))
        named = (
            replace(one, source=f"{Path(name).name}:{one.source}")
            for name, each in corpora.items()
            for one in each
        )
        write_json(partial / DOCUMENTS, digests_by_source(named))

    build(folder, write, settings=made)
    return read_documents(folder / "passages.parquet")


def attacked(human: Sequence[Document], settings: EvidenceSettings) -> list[Document]:
    """The human texts that train and test once more under each of the plan's attacks, each attack a
    corpus of its own.
    """
    found = []
    for name in settings.attacks:
        for one in _in_role(human, settings, lambda role: role.attacked):
            if one.split != "valid":
                corpus, _, rest = one.source.partition(":")
                text = attack(name, one.text, seed=settings.seed, id=one.id)
                found.append(
                    replace(
                        one,
                        id=f"{one.id}~{name}",
                        text=text,
                        source=f"{corpus}{UNDER}{name}:{rest}",
                    )
                )
    return found


@dataclass(frozen=True)
class Cell:
    """Samples of one generator, one method and one length."""

    model: str
    method: str
    words: int
    count: int

    @property
    def name(self) -> str:
        return f"{generator_name(self.model)}.{self.method}.{self.words}"


def cells(settings: EvidenceSettings) -> list[Cell]:
    """All that is to be generated."""
    total = sum(settings.methods.values())
    return [
        Cell(model, name, words, max(1, round(number * weight / total / len(settings.words))))
        for model, number in settings.generators.items()
        for name, weight in settings.methods.items()
        for words in settings.words
    ]


def build_machine(
    folder: Path,
    human: Sequence[Document],
    settings: EvidenceSettings,
    *,
    device: str = "cpu",
    progress: Progress,
) -> list[Document]:
    """Every cell's texts; a killed run continues with the first block that is missing.

    Args:
        folder: receives one sample file a cell, and beside it the digests of the weights that made
            it, where they are a user's; samples of a model that was trained again since are made
            anew.
        device: where texts are generated, `cpu` or `cuda`.
        progress: called with (texts written, all).

    Raises:
        SamplingError: a file there is of another plan.
        PlanError: the corpora have too few passages for the plan's prompts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    every = [(cell, _prompted(human, cell, settings)) for cell in cells(settings)]
    total, before, texts = sum(cell.count for cell, _ in every), 0, []
    models = dict.fromkeys(cell.model for cell, _ in every)
    digests = {
        model: [sha256_file(path) for path in own_weights(model).values()] for model in models
    }
    for cell, sources in every:
        wanted, out = _sampling(cell, sources, settings, device), folder / f"{cell.name}.jsonl"
        weights, record = digests[cell.model], folder / f"{cell.name}.weights.json"
        if not out.is_file() or not _is_of(record, weights):
            check_replaceable(out, is_samples)
            out.unlink(
                missing_ok=True
            )  # before the record: a kill between them must not make old samples new ones
            write_json(record, {"weights": weights})
            write_samples(out, wanted, progress=shifted(progress, before, total))
        rows = read_samples(out)
        asked = [
            (one, wanted.model, wanted.method.name, wanted.repetition_penalty)
            for one in wanted.prompts
        ]
        if [
            (row["prompt"], row["model"], row["method"], row["repetition_penalty"]) for row in rows
        ] != asked:
            raise SamplingError(
                f"{out}: holds samples of another plan; choose another --out, or remove the file"
            )
        before += cell.count
        progress(before, total)
        texts += [_machine(cell, source, row) for source, row in zip(sources, rows, strict=True)]
    return texts


def _is_of(record: Path, weights: Sequence[str]) -> bool:
    """Whether samples are a model's as it is now, not of before it was trained again. Without a
    record, or a model's folder to compare with, they are taken as they stand.
    """
    return not weights or not record.is_file() or read_json(record) == {"weights": weights}


def _prompted(human: Sequence[Document], cell: Cell, settings: EvidenceSettings) -> list[Document]:
    """The human passages that a cell's texts begin like: others for every model and method, as long
    as there are some.
    """
    own = [
        one
        for one in _in_role(human, settings, lambda role: role.begins)
        if one.id.endswith(f"@{cell.words}")
    ]
    if len(own) < cell.count:
        raise PlanError(
            f"plan: {cell.count} texts of {cell.words} words are to be written by {cell.model}"
            f" ({cell.method}), each after the first words of a passage of its own, and `human`"
            f" gives {len(own)} of that length; give more text, or ask for fewer"
        )
    return random.Random(derive(settings.seed, cell.name)).sample(own, cell.count)


def _sampling(
    cell: Cell, sources: Sequence[Document], settings: EvidenceSettings, device: str
) -> SampleSettings:
    prompts = tuple(" ".join(one.text.split()[: settings.prompt_words]) for one in sources)
    return SampleSettings(
        model=cell.model,
        method=sampling(cell.method),
        count=cell.count,
        length=round(TOKENS_A_WORD * cell.words),
        prompts=prompts,
        seed=derive(settings.seed, "evidence", cell.name),
        batch=64,
        repetition_penalty=settings.repetition_penalty if cell.method == PENALISED else 1.0,
        context="stop",
        device=device,
    )


def _machine(cell: Cell, source: Document, row: dict[str, object]) -> Document:
    """Prompt and continuation, cut to the source's number of words; what ended early stays as short
    as it is.
    """
    text = first_words(f"{row['prompt']}{row['text']}", count_words(source.text))
    return Document(f"{cell.name}.{row['id']}", text, MACHINE, source.source, source.split)


def first_words(text: str, words: int) -> str:
    """The text up to the end of its so-many-th word, white space inside as it stands."""
    end = 0
    for _ in range(words):
        start = end
        while start < len(text) and text[start].isspace():
            start += 1
        if start == len(text):
            break
        end = start
        while end < len(text) and not text[end].isspace():
            end += 1
    return text[:end]


def is_clean(document: Document) -> bool:
    """Whether a person wrote it and no attack changed it."""
    return document.label == HUMAN and UNDER not in corpus_of(document)


def corpus_of(document: Document) -> str:
    """The corpus that a text is from, or that its first words are from."""
    return document.source.split(":")[0]


def generator_of(machine: Document) -> str:
    """The generator of a machine text of the plan, from its id `generator.method.words.number`."""
    return machine.id.rsplit(".", 2)[0].partition(".")[0] if machine.label == MACHINE else ""


def method_of(machine: Document) -> str:
    """The sampling method, likewise; empty for a human text."""
    return machine.id.rsplit(".", 2)[0].partition(".")[2] if machine.label == MACHINE else ""
