"""Texts that a study lets a model write, here or behind a server.

Sample i of a split draws the same random numbers, and the same top-p, for every model: so texts of
two models pair by number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

from staged.errors import SamplingError
from staged.model.devices import chosen_device
from staged.model.formats.layouts import model_files, weight_files
from staged.pipeline.stage import Effort, Inputs, SplitStage, unrecorded
from staged.progress import Progress, shifted
from staged.records import Document
from staged.samples.chat.template import template_of
from staged.samples.columns import write_rows
from staged.samples.dataset import SampleBlocks, SampleSettings, read_samples
from staged.samples.methods import method
from staged.samples.sample_stage import keep_file
from staged.storage.pieces import BYTES, Encoding
from staged.storage.writing import replacing
from staged.streams import derive
from staged.studies.computed import record_device
from staged.studies.generators.lengths import Tokenizers
from staged.studies.generators.prompts import Prompts, after_opening
from staged.studies.generators.texts import MachineTexts
from staged.studies.models import folder_of
from staged.studies.stages import Corpus

SECONDS_A_TEXT = 0.5  # of a server


@dataclass(frozen=True, kw_only=True)
class Samples(MachineTexts, SplitStage):
    """One model's samples by one method.

    Attributes:
        lengths: split → tokens that texts are needed of.
        tokenizers: the study's.
        batch, precision: of a model that is here; None of one behind a server, which has its own.
        server: the model's name behind its server; None of a model that is here.
        prompts: what it writes from; None where it begins by itself.
        corpus: of the openings; None without.
        device: where a model that is here writes, as `chosen_device` takes it.
    """

    lengths: dict[str, int]
    seed: int
    batch: int | None
    precision: str | None
    server: str | None = None
    prompts: Prompts | None = None
    corpus: Corpus | None = None
    tokenizers: Tokenizers = unrecorded()
    device: str = unrecorded("cpu")
    encoding: ClassVar[Encoding[Any]] = BYTES

    @property
    def folder(self) -> Path | None:
        return folder_of(self.given)

    @property
    def computes_on(self) -> str:
        """`cpu` or `cuda`, on the machine where this is asked; `cpu` of a model behind a server.

        Raises:
            SamplingError: a GPU that is not there, or that is asked for int8.
        """
        return "cpu" if self.folder is None else chosen_device(self.device, self.precision or "")

    @cached_property
    def cost(self) -> float:
        """By the size of the model's weights."""
        if self.folder is None:
            return SECONDS_A_TEXT * sum(self.counts.values())
        return sum(path.stat().st_size for path in weight_files(self.folder)) / 1e6 + 4

    @property
    def efforts(self) -> tuple[Effort, ...]:
        lengths = self.written_lengths if self.tokenizers.are_here else self.lengths
        return tuple(
            Effort("sample", self.given, count, lengths[split])
            for split, count in self.counts.items()
        )

    @property
    def files(self) -> Inputs:
        return {} if self.folder is None else model_files(self.folder)

    @property
    def settings(self) -> dict[str, Any]:
        """Its fields, and of an instruct model its template, which is not among its files."""
        fields = super().settings | {"lengths": self.written_lengths}
        is_template_here = self.is_asked and self.folder is not None
        return fields | ({"template": template_of(self.given)} if is_template_here else {})

    @property
    def is_asked(self) -> bool:
        """Whether it answers tasks."""
        return self.prompts is not None and self.prompts.tasks is not None

    @property
    def written_lengths(self) -> dict[str, int]:
        """split → tokens that are generated a text: where texts are cut to words, or an answer may
        repeat its opening, those that detectors learn from are written twice as long as needed.
        """
        is_loose = self.is_asked or self.tokenizers.are_several
        return self.lengths | ({"train": 2 * self.lengths["train"]} if is_loose else {})

    @property
    def blocks(self) -> tuple[str, ...]:
        """A split's samples by the batch; none of a server, whose answers are asked for and kept
        one by one.
        """
        return tuple(f"{split}-{number:06d}.jsonl" for split, number in self._numbers)

    @property
    def _numbers(self) -> list[tuple[str, int]]:
        """Of each block its split, and which of the split's it is."""
        return [
            (split, number)
            for split, count in self.counts.items()
            for number in range(-(-count // self.batch) if self.batch else 0)
        ]

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], bytes]]:
        with ExitStack() as stack:
            makers: dict[str, Callable[[int], bytes]] = {}  # of the split at hand: a model is large

            def make(number: int) -> bytes:
                split, within = self._numbers[number]
                if split not in makers:
                    makers.clear()
                    stack.close()
                    job = SampleBlocks(self._wanted(inputs, split))
                    makers[split] = stack.enter_context(job.opened())
                return makers[split](within)

            yield make

    def join(self, folder: Path, values: Iterator[bytes], inputs: Inputs) -> None:
        for split, numbers in groupby(self._numbers, key=itemgetter(0)):
            out = folder / f"{split}.parquet"
            blocks = (next(values) for _ in numbers)
            with replacing(out) as temporary:
                write_rows(temporary, blocks, out.suffix, logprobs=False, chat=self.is_asked)
            self._check_answers(out)
        record_device(folder, self.computes_on, precision=self.precision or "")

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        if self.blocks:
            super().write(folder, inputs, progress)
            return
        total, before = sum(self.counts.values()), 0
        for split, count in self.counts.items():
            out = folder / f"{split}.parquet"
            keep_file(out, self._wanted(inputs, split), progress=shifted(progress, before, total))
            self._check_answers(out)
            before += count

    def _wanted(self, inputs: Inputs, split: str) -> SampleSettings:
        return SampleSettings(
            model=self.given,
            method=method(self.method),
            count=self.counts[split],
            length=self.written_lengths[split],
            seed=derive(self.seed, self.method, split),
            precision=self.precision or "",
            device=self.computes_on,
            **self._asked(inputs, split),
        )

    def _check_answers(self, path: Path) -> None:
        """Refuse answers of which most say nothing: a detector would find these by that.

        Raises:
            SamplingError: more than half are empty.
        """
        rows = read_samples(path) if self.prompts else []
        empty = sum(not row["text"].strip() for row in rows)
        if 2 * empty > len(rows):
            raise SamplingError(
                f"study: {empty} of {len(rows)} texts that {self.model} wrote are empty; where it"
                " reasons before it answers, a larger length_tokens leaves room for both"
            )

    def _asked(self, inputs: Inputs, split: str) -> dict[str, Any]:
        """What sampling is told besides: how many at once, and what the model writes from."""
        asked: dict[str, Any] = {"batch": self.batch} if self.batch else {}
        if self.prompts is not None:
            asked["prompts"] = self.prompts.of(self.openings(inputs, split))
            if self.is_asked:
                asked |= {"chat": True, "system": self.prompts.system or ""}
        return asked

    def openings(self, inputs: Inputs, split: str) -> list[str]:
        """The opening of each text of a split; empty ones where it is given none."""
        count = self.counts[split]
        if self.corpus is None:
            return [""] * count
        return self.corpus.openings(inputs, split, count, seed=self.seed)

    def texts(self, inputs: Inputs, split: str) -> list[Document]:
        """The texts of a split: as they came, or what follows the opening."""
        texts = super().texts(inputs, split)
        if self.prompts is None:
            return texts
        return [
            replace(text, text=after_opening(text.text, opening))
            for text, opening in zip(texts, self.openings(inputs, split), strict=True)
        ]

    def answers(self, inputs: Inputs, split: str) -> list[dict[str, Any]]:
        """The rows of what an instruct model answered: `text`, whole, and whether it `refused`."""
        return read_samples(inputs[self.name] / f"{split}.parquet")
