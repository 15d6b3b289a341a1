"""The worlds of a fine-tuning study, the untuned model's and every style's: human text, a model
and its answers.

All answers start from one opening phrase, and each later round continues the model's own answer.

    STYLE/corpus ─► STYLE/tuned ─► STYLE/answers
    base/corpus                    base/answers      by the model as it was
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from staged.corpus.build import recorded
from staged.model.bpe import REPLACEMENT
from staged.model.checkpoints import model_folder
from staged.model.devices import chosen_device
from staged.model.formats.layouts import model_files
from staged.model.training import distributed
from staged.model.training.plan import TrainSettings
from staged.model.training.train import train
from staged.pipeline.stage import Inputs, SplitStage, Stage, unrecorded
from staged.pipeline.tables import table_of, write_tables
from staged.progress import Progress
from staged.records import MACHINE, Document
from staged.samples.columns import SCHEMA
from staged.samples.dataset import SampleSettings, read_samples
from staged.samples.methods import method
from staged.samples.writers.contract import Row
from staged.samples.writers.local import LocalWriter, open_local
from staged.streams import derive
from staged.studies.computed import record_device
from staged.studies.finetune.texts import Pairs, paired
from staged.studies.stages import Corpus
from staged.studies.texts import SPLITS


@dataclass(frozen=True, kw_only=True)
class Tuned(Stage):
    """The model, fine-tuned on a style's `pretrain` passages: the folder `model`.

    Attributes:
        training: with the model to start from and the style's corpus.
        device: where it learns, as `train` takes it.
    """

    training: TrainSettings
    corpus: Corpus
    style: str = unrecorded()
    device: str = unrecorded("cpu")

    @property
    def name(self) -> str:
        return f"{self.style}/tuned"

    @property
    def cost(self) -> float:
        return self.training.steps * self.training.batch / 16

    @property
    def files(self) -> Inputs:
        return model_files(model_folder(self.training.init))

    @property
    def settings(self) -> dict[str, Any]:
        """The keys of its training."""
        return recorded(self.training) | {"init": Path(self.training.init).name}

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        train(
            folder / "model",
            self.training,
            device=self.device,
            report=lambda at: progress(at.step, at.steps),
        )
        device = distributed.place(self.device).type
        record_device(folder, device, precision=self.training.precision)


@dataclass(frozen=True, kw_only=True)
class Answers(SplitStage):
    """What a model writes after the opening: a file a split and round.

    Attributes:
        counts: split → texts.
        tuned: the model; None for the one that the plan names, `given`.
        device: where it writes, as `chosen_device` takes it.
    """

    opening: str
    rounds: int
    round_tokens: int
    method: str
    seed: int
    batch: int
    precision: str
    counts: dict[str, int]
    tuned: Tuned | None
    world: str = unrecorded()
    given: str = unrecorded()
    device: str = unrecorded("cpu")

    @property
    def name(self) -> str:
        return f"{self.world}/answers"

    @property
    def cost(self) -> float:
        return sum(self.counts.values()) * self.rounds * self.round_tokens / 3000

    @property
    def files(self) -> Inputs:
        return model_files(model_folder(self.given)) if self.tuned is None else {}

    @property
    def blocks(self) -> Sequence[str]:
        """A split's texts by the batch, through all rounds."""
        return tuple(f"{split}-{first:09d}.json" for split, first in self._firsts)

    @property
    def _firsts(self) -> list[tuple[str, int]]:
        """Of each block its split, and the first text of it that it makes."""
        return [
            (split, first) for split in SPLITS for first in range(0, self.counts[split], self.batch)
        ]

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], list[list[Row]]]]:
        model = str(inputs[self.tuned.name] / "model") if self.tuned else self.given
        loaded = lru_cache(1)(partial(self._loaded, model))

        def make(number: int) -> list[list[Row]]:
            split, first = self._firsts[number]
            writer = loaded(min(self.batch, self.counts[split]))
            return list(self._all_rounds(writer, split, first))

        yield make

    def _loaded(self, model: str, rows: int) -> LocalWriter:
        """A model that writes, at most so many texts at once."""
        return open_local(
            SampleSettings(
                model=model,
                method=method(self.method),
                count=rows,
                length=self.round_tokens,
                batch=self.batch,
                precision=self.precision,
                device=self._computes_on,
                context="slide",
            )
        )

    def _all_rounds(self, writer: LocalWriter, split: str, first: int) -> Iterator[list[Row]]:
        """The rows of each round of a batch of texts, of which each continues itself."""
        prompts: tuple[str, ...] = (self.opening,)
        for number in range(1, self.rounds + 1):
            settings = replace(
                writer.settings,
                count=self.counts[split],
                seed=derive(self.seed, split, str(number)),  # the same numbers for every world
                prompts=prompts,
            )
            rows = replace(writer, settings=settings).block(first)
            yield rows
            written = [_whole(row).rstrip(REPLACEMENT) for row in rows]
            # text i continues prompt i modulo their number
            prompts = (*written, *[""] * (self.batch - len(written)))

    def join(self, folder: Path, values: Iterator[list[list[Row]]], inputs: Inputs) -> None:
        for split, of_split in groupby(self._firsts, key=itemgetter(0)):
            blocks = [[table_of(rows, SCHEMA) for rows in next(values)] for _ in of_split]
            for number, tables in enumerate(zip(*blocks, strict=True), 1):
                write_tables(folder / f"{split}-{number}.parquet", tables)
        record_device(folder, self._computes_on, precision=self.precision)

    @property
    def _computes_on(self) -> str:
        return chosen_device(self.device, self.precision)

    def texts(self, inputs: Inputs, split: str, *, only_round: int = 0) -> list[Document]:
        """What was written after the opening, in all rounds or in one of them alone."""
        rows = read_samples(inputs[self.name] / f"{split}-{only_round or self.rounds}.parquet")
        if only_round:
            texts = [row["text"] for row in rows]
        else:
            texts = [_whole(row).removeprefix(self.opening) for row in rows]
        return [
            Document(
                f"{self.world}/{split}/{i}",
                text.rstrip(REPLACEMENT).strip(),
                MACHINE,
                self.world,
                split,
            )
            for i, text in enumerate(texts)
        ]


def _whole(row: dict[str, Any]) -> str:
    return str(row["prompt"]) + str(row["text"])


@dataclass(frozen=True)
class World:
    """Human text and the answers that stand beside it."""

    corpus: Corpus
    answers: Answers

    @property
    def name(self) -> str:
        """`base`, or the style's."""
        return self.answers.world

    def human(self, inputs: Inputs, split: str) -> list[Document]:
        """As many human passages as there are answers, a seeded draw.

        Raises:
            PlanError: there are fewer; the sentence names the style.
        """
        count = self.answers.counts[split]
        return self.corpus.drawn(inputs, split, count, seed=self.answers.seed)

    def pairs(self, inputs: Inputs, split: str, limits: list[int] | None = None) -> Pairs:
        """Passage i and answer i, as `paired` cuts them."""
        human, machine = self.human(inputs, split), self.answers.texts(inputs, split)
        return paired(human, machine, self.corpus.tokenizer(), limits or ())
