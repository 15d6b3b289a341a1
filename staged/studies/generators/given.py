"""Texts that somebody has, as the samples of a study: dealt to splits, checked and counted."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from staged.corpus.build import read_documents
from staged.corpus.learned import text_words_digest
from staged.errors import PlanError
from staged.pipeline.stage import Inputs, unrecorded
from staged.pipeline.tables import write_table
from staged.progress import Progress
from staged.storage.digests import sha256_file
from staged.storage.records import read_record, write_record
from staged.studies.generators.given_files import GivenFile, GivenText, named_alike, rows_of
from staged.studies.generators.texts import MachineTexts
from staged.studies.stages import Corpus

CHECKS = "given.json"


@dataclass(frozen=True)
class GivenChecks:
    """What was seen of the texts that were given for one model and method.

    Attributes:
        files: name → SHA-256.
        rows: in the files.
        taken: by the study, in all splits.
        empty, repeated: rows that were left out: without a text, or with one that came up before.
        human: left out, because the same text stands among the human passages.
        prompts_cut: rows whose text began with their prompt, which was cut off.
    """

    model: str
    method: str
    files: dict[str, str]
    rows: int
    taken: int
    empty: int
    repeated: int
    human: int
    prompts_cut: int


@dataclass(frozen=True, kw_only=True)
class GivenSamples(MachineTexts):
    """One model's texts by one method that somebody has.

    Attributes:
        seed: of the draw of rows, and of how those that say no split are dealt.
        corpus: human text, of which no copy may be among them.
        found: the files that hold them.
    """

    seed: int
    corpus: Corpus
    found: tuple[GivenFile, ...] = unrecorded()

    @property
    def folder(self) -> Path | None:
        return None

    @property
    def files(self) -> Inputs:
        return {f"given {number}": file.path for number, file in enumerate(self.found)}

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        passages = read_documents(inputs[self.corpus.name] / "passages.parquet")
        human = {text_words_digest(passage.text) for passage in passages}
        texts = self._texts()
        kept, left_out = _checked(texts, human)
        for split, chosen in self._dealt(kept).items():
            rows = [{"id": number, "text": text.text} for number, text in enumerate(chosen)]
            write_table(folder / f"{split}.parquet", rows)
        checks = GivenChecks(
            self.model,
            self.method,
            {file.path.name: sha256_file(file.path) for file in self.found},
            rows=len(texts),
            taken=sum(self.counts.values()),
            **left_out,
            prompts_cut=sum(text.prompt_cut for text in texts),
        )
        write_record(folder / CHECKS, checks)

    def checks(self, inputs: Inputs) -> GivenChecks:
        """What was seen of them."""
        return read_record(inputs[self.name] / CHECKS, GivenChecks)

    def _texts(self) -> list[GivenText]:
        return [
            text
            for file in self.found
            for model, method, text in rows_of(file)
            if method == self.method and named_alike(self.model, model)
        ]

    def _dealt(self, texts: Sequence[GivenText]) -> dict[str, list[GivenText]]:
        """As many texts a split as the plan asks for; texts of one group stay in one split.

        Raises:
            PlanError: there are too few.
        """
        stream = random.Random(f"{self.seed} {self.model} {self.method}")
        splits: dict[str, list[GivenText]] = {split: [] for split in self.counts}
        groups: dict[str, list[GivenText]] = defaultdict(list)
        for text in texts:
            (splits[text.split] if text.split in splits else groups[text.group]).append(text)
        order = sorted(groups)
        stream.shuffle(order)
        for split, count in self.counts.items():
            while len(splits[split]) < count and order:
                splits[split] += groups[order.pop()]
            if len(splits[split]) < count:
                raise PlanError(
                    f"study: samples hold {len(splits[split])} texts of {self.model} by"
                    f" {self.method} for {split}, the plan asks for {count}; lower n_{split} or"
                    " give more"
                )
        return {split: stream.sample(splits[split], count) for split, count in self.counts.items()}


def _checked(texts: Sequence[GivenText], human: set[str]) -> tuple[list[GivenText], dict[str, int]]:
    """The texts that are fit to judge by, each once, and how many are not."""
    left_out = {"empty": 0, "repeated": 0, "human": 0}
    kept: dict[str, GivenText] = {}
    for text in texts:
        digest = text_words_digest(text.text)
        why = (
            "empty"
            if not text.text.strip()
            else "repeated"
            if digest in kept
            else "human"
            if digest in human
            else None
        )
        if why:
            left_out[why] += 1
        else:
            kept[digest] = text
    return list(kept.values()), left_out
