"""The texts that `evidence` learns from: human passages of several corpora, and what models write from their first words.

    human ──► passages.parquet ──┬──► prompts ──► samples (a file per model, method and length)
                                 └──► attacked

A machine text begins with the first words of a human passage and is cut to that passage's number of words, so neither topic
nor length tells the two apart. Sources never straddle a split: `train`, `valid` (which calibrates), `test`; held-out corpora are
only `test`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from staged.artifacts import build
from staged.corpus.build import read_documents, write_documents
from staged.corpus.files import read_corpus
from staged.corpus.passages import cut
from staged.corpus.splits import assign
from staged.errors import PlanError
from staged.records import MACHINE, Document
from staged.samples.dataset import SampleSettings, read_samples, shifted, write_samples
from staged.samples.methods import method
from staged.samples.streams import derive
from staged.settings import from_table, nearest, read_toml
from staged.study.attacks import attack, check_attacks

SPLITS = {"train": 0.5, "valid": 0.4, "test": 0.1}  # `valid` calibrates
TOKENS_A_WORD = 1.6  # generous: what a sample has too much is cut off
PENALISED = "penalised"
UNDER = " under "  # between a corpus and the attack on it


@dataclass(frozen=True)
class EvidenceSettings:
    """What `evidence` learns from.

    Attributes:
        human: corpora of human text (names or paths) that are split into train, calibrate and test.
        held_out: corpora that only test.
        generators: language models that write, and how many texts each.
        methods: sampling method → its share of each generator's texts; `penalised` is temperature 1 with `repetition_penalty`.
        smooth: those methods whose texts are smoother than people write; of the others they are rougher.
        rough: those generators whose texts are rougher than people write by any method.
        attacks: human texts are also read under each of these (`attacks.py`): careless human text, which is not to count as rough.
        attacked_share: how much a corpus under an attack counts beside the clean one; more spares careless writers, and finds less.
        smooth_penalty, rough_penalty: ridge penalties of the regressions of the two ways.
        rarer: nats by which the rough way is taken to be rarer than the smooth one; odd honest text takes it too.
        words: lengths of the texts, in words; each an equal share.
        edges_words: the shortest length of each of the calibration's bins.
        n_human, n_held_out: passages a corpus, of all splits and lengths together.
        prompt_words: words of a human passage that a machine text begins with.
        repetition_penalty: of `penalised`.
        scorer: the model whose zero-shot features are used.
        seed: of all draws.
    """

    human: tuple[str, ...]
    held_out: tuple[str, ...]
    generators: dict[str, int]
    methods: dict[str, float]
    smooth: tuple[str, ...]
    rough: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    attacked_share: float = 0.1
    smooth_penalty: float = 1.0
    rough_penalty: float = 0.03
    rarer: float = 3.0
    words: tuple[int, ...] = (75, 150, 250, 400)
    edges_words: tuple[int, ...] = (50, 100, 200, 300)
    n_human: int = 1600
    n_held_out: int = 800
    prompt_words: int = 25
    repetition_penalty: float = 1.2
    scorer: str = "smollm2-135m"
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("human", "generators", "methods", "words"):
            if not getattr(self, name):
                raise PlanError(f"evidence: {name} must list at least one")
        for corpus in (*self.human, *self.held_out):
            for mark in (":", UNDER):
                if mark in Path(corpus).name:
                    raise PlanError(
                        f"evidence: corpus {corpus!r} has {mark!r} in its name, which ends a corpus's name in a source; rename it"
                    )
        for name in self.methods:
            _method(name)
        for name in self.smooth:
            if name not in self.methods:
                raise PlanError(f"evidence: smooth names {name!r}; {nearest(name, self.methods)}")
        for name in self.rough:
            if name not in self.generators:
                raise PlanError(f"evidence: rough names {name!r}; {nearest(name, self.generators)}")
        check_attacks(self.attacks)
        if min(self.smooth_penalty, self.rough_penalty, self.attacked_share) < 0:
            raise PlanError("evidence: smooth_penalty, rough_penalty and attacked_share must be at least 0")
        if min(*self.words, self.n_human, self.prompt_words) < 1:
            raise PlanError("evidence: words, n_human and prompt_words must be at least 1")
        if not self.edges_words or self.edges_words[0] < 1 or any(a >= b for a, b in pairwise(self.edges_words)):
            raise PlanError(f"evidence: edges_words must ascend from at least 1 word, not {list(self.edges_words)}")


def read_evidence(path: Path) -> EvidenceSettings:
    """Read a plan.

    Raises:
        PlanError: missing, not TOML, an unknown or wrong key.
    """
    return from_table(EvidenceSettings, read_toml(path), where=str(path))


def _method(name: str) -> str:
    return method("temperature-1" if name == PENALISED else name).name


def human_passages(settings: EvidenceSettings) -> list[Document]:
    """Passages of every corpus, marked with their split; a passage's length class is the `@words` at its id's end.

    Raises:
        CorpusError: a corpus that cannot be read.
    """
    found: list[Document] = []
    for corpus in (*settings.human, *settings.held_out):
        documents = read_corpus(corpus)
        splits = assign(documents, SPLITS, seed=settings.seed) if corpus in settings.human else {}
        marked = [
            replace(one, split=splits.get(one.source, "test"), source=f"{Path(corpus).name}:{one.source}") for one in documents
        ]
        stream = random.Random(derive(settings.seed, "passages", Path(corpus).name))
        number = settings.n_human if corpus in settings.human else settings.n_held_out
        found += _chosen(marked, settings.words, number // len(settings.words), stream)
    return found


def _chosen(documents: Sequence[Document], lengths: Sequence[int], want: int, stream: random.Random) -> list[Document]:
    """Equal numbers of every length, dealt out among a shuffled corpus's documents, one passage a document at a time."""
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
    for passage in cut(document, lambda texts: [len(text.split()) for text in texts], budget=words, minimum=int(0.7 * words)):
        yield replace(passage, id=f"{passage.id}@{words}")


def build_human(folder: Path, settings: EvidenceSettings) -> list[Document]:
    """The human passages, kept in a stage's folder."""
    made: dict[str, Any] = {"human": settings.human, "held_out": settings.held_out, "words": settings.words}
    made |= {"n_human": settings.n_human, "n_held_out": settings.n_held_out, "seed": settings.seed}
    build(folder, lambda partial: write_documents(partial / "passages.parquet", human_passages(settings)), settings=made)
    return read_documents(folder / "passages.parquet")


def attacked(human: Sequence[Document], settings: EvidenceSettings) -> list[Document]:
    """The human texts that train and test once more under each of the plan's attacks, each attack a corpus of its own."""
    found = []
    for name in settings.attacks:
        for one in human:
            if one.split != "valid":
                corpus, _, rest = one.source.partition(":")
                text = attack(name, one.text, seed=settings.seed, id=one.id)
                found.append(replace(one, id=f"{one.id}~{name}", text=text, source=f"{corpus}{UNDER}{name}:{rest}"))
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
        return f"{Path(self.model).name}.{self.method}.{self.words}"


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
    progress: Callable[[int, int], None],
) -> list[Document]:
    """Every cell's texts; a killed run continues with the first block that is missing.

    Args:
        folder: receives one sample file a cell.
        device: where texts are generated, `cpu` or `cuda`.
        progress: called with (texts written, all).
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = cells(settings)
    total, before, texts = sum(cell.count for cell in wanted), 0, []
    for cell in wanted:
        sources = _prompted(human, cell, settings)
        out = folder / f"{cell.name}.jsonl"
        if not out.is_file():
            write_samples(out, _sampling(cell, sources, settings, device), progress=shifted(progress, before, total))
        before += cell.count
        progress(before, total)
        texts += [_machine(cell, source, row) for source, row in zip(sources, read_samples(out), strict=True)]
    return texts


def _prompted(human: Sequence[Document], cell: Cell, settings: EvidenceSettings) -> list[Document]:
    """The human passages that a cell's texts begin like: others for every model and method, as long as there are some."""
    held_out = {Path(corpus).name for corpus in settings.held_out}
    own = [one for one in human if one.id.endswith(f"@{cell.words}") and one.source.split(":")[0] not in held_out]
    return random.Random(derive(settings.seed, cell.name)).sample(own, cell.count)


def _sampling(cell: Cell, sources: Sequence[Document], settings: EvidenceSettings, device: str) -> SampleSettings:
    prompts = tuple(" ".join(one.text.split()[: settings.prompt_words]) for one in sources)
    return SampleSettings(
        model=cell.model,
        method=method(_method(cell.method)),
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
    """Prompt and continuation, cut to the source's number of words; what ended early stays as short as it is."""
    text = first_words(f"{row['prompt']}{row['text']}", len(source.text.split()))
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
