"""Kinds of stage that studies share: human text, a detector trained on texts, its scores of others.

A study's own kinds say which texts these are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from staged.corpus.build import (
    PASSAGES,
    CorpusSettings,
    read_documents,
    recorded,
    text_digest,
    write_corpus,
)
from staged.corpus.learned import write_learned
from staged.detectors.catalog import load_detector
from staged.errors import PlanError
from staged.model.causal import TextTokenizer, load_tokenizer
from staged.model.checkpoints import MINIS, model_folder, own_folder
from staged.model.devices import chosen_device
from staged.model.formats.layouts import as_stage_inputs, tokenizer_files, weight_files
from staged.model.training import distributed
from staged.pipeline.stage import Inputs, SplitStage, Stage, unrecorded
from staged.pipeline.tables import TableRow, write_table
from staged.progress import Progress
from staged.records import HUMAN, Document
from staged.settings import determining
from staged.storage.marks import CHECKPOINT
from staged.studies.computed import record_device
from staged.studies.texts import cut_to, drawn, parted
from staged.training.roberta import COMPUTATION, RobertaSettings

TEXTS_AT_ONCE = 16_384  # that are scored as one block


@dataclass(frozen=True, kw_only=True)
class Corpus(Stage):
    """Human text in passages, their lengths counted in a model's tokens.

    Attributes:
        corpus: which text, and how it is cut and dealt to splits.
        model: whose tokenizer counts.
        parent: the folder, below the study's, that it stands in.
        table: where the plan sets its shares, as errors call it.
        opening_words: of each passage that models are given to continue; what is drawn is what
            follows them. Its own bytes don't depend on it; who reads it says so.
    """

    corpus: CorpusSettings
    model: str = unrecorded("")
    parent: str = unrecorded("")
    table: str = unrecorded("corpus")
    opening_words: int = unrecorded(0)

    @property
    def name(self) -> str:
        return (Path(self.parent) / "corpus").as_posix()

    @property
    def cost(self) -> float:
        return 15.0

    @property
    def files(self) -> Inputs:
        return as_stage_inputs("tokenizer", tokenizer_files(model_folder(self.model)))

    @property
    def settings(self) -> dict[str, Any]:
        """Its plan's keys, and the text itself, which may be anywhere."""
        return recorded(self.corpus) | {"text": text_digest(self.corpus)}

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        write_corpus(folder, self.corpus, self.tokenizer().count)

    def tokenizer(self) -> TextTokenizer:
        return load_tokenizer(self.model)

    def drawn(self, inputs: Inputs, split: str, count: int, *, seed: int) -> list[Document]:
        """A seeded draw of passages, without their openings.

        Raises:
            PlanError: there are fewer, or one is no longer than its opening.
        """
        passages = self._passages(inputs, split, count, seed)
        if not self.opening_words:
            return passages
        rests = [parted(passage.text, self.opening_words)[1] for passage in passages]
        short = [passage.id for passage, rest in zip(passages, rests, strict=True) if not rest]
        if short:
            raise PlanError(
                f"study: {len(short)} passages of the corpus, such as {short[0]!r}, have no more"
                f" than opening_words {self.opening_words}; lower it, or raise"
                f" {self.table}.minimum_tokens"
            )
        return [replace(old, text=rest) for old, rest in zip(passages, rests, strict=True)]

    def openings(self, inputs: Inputs, split: str, count: int, *, seed: int) -> list[str]:
        """The openings of the passages that `drawn` gives."""
        passages = self._passages(inputs, split, count, seed)
        return [parted(passage.text, self.opening_words)[0] for passage in passages]

    def cut(self, inputs: Inputs, documents: Sequence[Document], tokens: int) -> list[Document]:
        """The documents' first `tokens` tokens."""
        return cut_to(documents, self.tokenizer(), tokens)

    def _passages(self, inputs: Inputs, split: str, count: int, seed: int) -> list[Document]:
        passages = inputs[self.name] / PASSAGES
        return drawn(passages, split, count, seed=seed, table=self.table)


@dataclass(frozen=True, kw_only=True)
class TrainedDetector(Stage):
    """A detector that learns from `train` texts and chooses on `valid` ones.

    Attributes:
        kind: `tfidf` or `roberta`.
        n_train, n_valid: texts per class.
        roberta: how the encoder learns; None for the other kind.
        device: where an encoder learns and scores, as `chosen_device` takes it.
    """

    kind: str
    n_train: int
    n_valid: int
    seed: int
    roberta: RobertaSettings | None
    device: str = unrecorded("cpu")

    @property
    def computes_on(self) -> str:
        """`cpu` or `cuda`, on the machine where this is asked; words are counted by processors.

        Raises:
            SamplingError: a GPU that is not there.
        """
        return "cpu" if self.roberta is None else chosen_device(self.device)

    @property
    def cost(self) -> float:
        return 6.0 if self.roberta is None else 25.0

    @property
    def learner(self) -> str:
        """What learns and reads, as efforts name it."""
        return self.kind if self.roberta is None else self.roberta.base

    @property
    @abstractmethod
    def corpora(self) -> tuple[Corpus, ...]:
        """Where its human texts come from."""

    @abstractmethod
    def documents(self, inputs: Inputs, split: str) -> list[Document]:
        """What it learns from, or chooses on."""

    @abstractmethod
    def sampled(self, inputs: Inputs) -> list[Document]:
        """The machine texts that it learns from, whole, as they were sampled."""

    @property
    def files(self) -> Inputs:
        return {} if self.roberta is None else encoder_files(self.roberta.base)

    @property
    def settings(self) -> dict[str, Any]:
        """Its fields; of the encoder's keys those that decide its bytes, and how it is computed."""
        if self.roberta is None:
            return super().settings
        decides = {"roberta": determining(self.roberta), "computation": COMPUTATION}
        return super().settings | decides

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        train, valid = (self.documents(inputs, split) for split in ("train", "valid"))
        device = self.computes_on
        train_detector(train, valid, folder, roberta=self.roberta, device=device, progress=progress)
        if distributed.rank() > 0:
            return
        record_device(folder, device)
        corpora = {inputs[stage.name]: stage.corpus.source for stage in self.corpora}
        taught = [*_passages(corpora, train), *self.sampled(inputs)]
        chose = _passages(corpora, valid)
        write_learned(folder, taught, corpora, chose=chose, with_texts=True)


def _passages(corpora: Iterable[Path], documents: Sequence[Document]) -> list[Document]:
    """All passages, whole, of the sources of the human documents."""
    sources = {document.source for document in documents if document.label == HUMAN}
    passages = (text for place in corpora for text in read_documents(place / PASSAGES))
    return [passage for passage in passages if passage.source in sources]


def train_detector(
    train: Sequence[Document],
    valid: Sequence[Document],
    folder: Path,
    *,
    roberta: RobertaSettings | None,
    device: str = "cpu",
    progress: Progress,
) -> None:
    """Train a detector and save it into a stage's folder: RoBERTa, or without it TF-IDF. Of several
    processes the first one saves.
    """
    if roberta is None:
        from staged.detectors.kinds.tfidf import train_tfidf

        train_tfidf(train, valid).save(folder)
        return
    from staged.training.roberta import train_roberta

    trained = train_roberta(
        train, valid, roberta, checkpoint=folder / CHECKPOINT, device=device, progress=progress
    )
    if distributed.rank() == 0:
        trained.save(folder)


def encoder_files(base: str) -> Inputs:
    """The weights that a detector starts from; none where they are not on this machine."""
    if not (base.lower() in MINIS or own_folder(base)):  # a name on the hub
        return {}
    return as_stage_inputs("base", weight_files(model_folder(base)))


@dataclass(frozen=True, kw_only=True)
class Scores(SplitStage):
    """A trained detector's scores, a row a text in `scores.parquet`.

    Attributes:
        n_valid, n_test: texts per class and set.
    """

    n_valid: int
    n_test: int
    seed: int
    detector: TrainedDetector

    @property
    def cost(self) -> float:
        return self.detector.cost

    @property
    @abstractmethod
    def set_sizes(self) -> Sequence[int]:
        """How many texts each set has."""

    @abstractmethod
    def texts_of(self, inputs: Inputs, number: int) -> tuple[list[str], list[TableRow]]:
        """The texts of a set, and of each its row but for the score."""

    @property
    def blocks(self) -> Sequence[str]:
        return tuple(f"{number:03d}-{first:09d}.json" for number, first in self._firsts)

    @property
    def _firsts(self) -> list[tuple[int, int]]:
        """Of each block its set, and the first text of it that it scores."""
        return [
            (number, first)
            for number, size in enumerate(self.set_sizes)
            for first in range(0, size, TEXTS_AT_ONCE)
        ]

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], list[TableRow]]]:
        device = self.detector.computes_on
        detector = load_detector(inputs[self.detector.name], bulk=True, device=device)
        texts_of = lru_cache(1)(partial(self.texts_of, inputs))

        def make(number: int) -> list[TableRow]:
            of_set, first = self._firsts[number]
            texts, about = texts_of(of_set)
            taken = slice(first, first + TEXTS_AT_ONCE)
            scores = detector.score(texts[taken])
            rows = zip(about[taken], scores, strict=True)
            return [row | {"score": score} for row, score in rows]

        yield make

    def join(self, folder: Path, values: Iterator[list[TableRow]], inputs: Inputs) -> None:
        write_table(folder / "scores.parquet", [row for rows in values for row in rows])
        record_device(folder, self.detector.computes_on)
