"""Texts that somebody has, as the samples of a study: dealt to splits, checked and counted."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from staged.corpus.build import PASSAGES, read_documents
from staged.corpus.learned import DOCUMENTS, text_words_digest
from staged.errors import PlanError
from staged.pipeline.stage import Inputs, unrecorded
from staged.pipeline.tables import write_table
from staged.progress import Progress
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json
from staged.storage.records import LATER, read_record, write_record
from staged.studies.generators.dealing import Kind, dealt
from staged.studies.generators.given_files import (
    GivenFile,
    GivenText,
    GivenTexts,
    named_alike,
    rows_of,
)
from staged.studies.generators.texts import MachineTexts
from staged.studies.stages import Corpus

CHECKS = "given.json"


@dataclass(frozen=True)
class GivenChecks:
    """What was seen of the texts that were given for one model and method.

    Attributes:
        files: name below the folder that was given → SHA-256.
        rows: in the files.
        taken: by the study, in all splits.
        empty, repeated: rows that were left out: without a text, or with one that came up before.
        human: left out, because the same text stands among the human passages.
        prompts_cut: rows whose text began with their prompt, which was cut off.
        whole: splits of the output dataset that were taken as they were published, with what would
            have been left out, as the plan asks for every row; None where there is none.
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
    whole: tuple[str, ...] | None = field(default=None, metadata=LATER)


@dataclass(frozen=True, kw_only=True)
class GivenSamples(MachineTexts):
    """One model's texts by one method that somebody has.

    Attributes:
        seed: of the draw of rows, and of how those that say no split are dealt.
        corpus: human text, of which no copy may be among them.
        all_given: every text that was given; those of one prompt stay in one split, whoever wrote
            them.
    """

    seed: int
    corpus: Corpus
    all_given: GivenTexts = unrecorded()

    @property
    def folder(self) -> Path | None:
        return None

    @property
    def found(self) -> tuple[GivenFile, ...]:
        """The files that hold its texts."""
        return self.all_given.of(self.given, self.method)

    @property
    def files(self) -> Inputs:
        read = dict.fromkeys((*self.found, *self.all_given.undealt))
        return {f"given {file.name}": file.path for file in read}

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        human = human_digests(inputs[self.corpus.name])
        texts = self._texts(self.found)[self.model, self.method]
        kept, left_out = _checked(texts, human)
        whole = self._whole(texts, kept)
        for split, chosen in self._chosen(kept, human, whole).items():
            rows = [{"id": number, "text": text.text} for number, text in enumerate(chosen)]
            write_table(folder / f"{split}.parquet", rows)
        checks = GivenChecks(
            self.model,
            self.method,
            {file.name: sha256_file(file.path) for file in self.found},
            rows=len(texts),
            taken=sum(self.counts.values()),
            **left_out,
            prompts_cut=sum(text.prompt_cut for text in texts),
            whole=tuple(whole) or None,
        )
        write_record(folder / CHECKS, checks)

    def checks(self, inputs: Inputs) -> GivenChecks:
        """What was seen of them."""
        return read_record(inputs[self.name] / CHECKS, GivenChecks)

    def _texts(self, files: Sequence[GivenFile]) -> dict[Kind, list[GivenText]]:
        """(model, method) → texts that files hold; its own by its own name."""
        texts: dict[Kind, list[GivenText]] = defaultdict(list)
        for file in files:
            for model, method, text in rows_of(file):
                name = self.model if named_alike(self.given, model) else model
                texts[name, method].append(text)
        return texts

    def _whole(
        self, texts: Sequence[GivenText], kept: Sequence[GivenText]
    ) -> dict[str, list[GivenText]]:
        """The splits of the output dataset of which the plan asks for every row, though some would
        be left out: these are compared as they were published.
        """
        if not all(file.is_published for file in self.found):
            return {}
        rows, fit = (_by_split(several, self.counts) for several in (texts, kept))
        return {
            split: rows[split]
            for split, count in self.counts.items()
            if len(fit[split]) < count == len(rows[split])
        }

    def _chosen(
        self, texts: Sequence[GivenText], human: set[str], whole: dict[str, list[GivenText]]
    ) -> dict[str, list[GivenText]]:
        """As many texts a split as the plan asks for.

        Args:
            whole: of a split, what is taken whatever is fit.

        Raises:
            PlanError: there are too few.
        """
        undealt = self._texts(self.all_given.undealt)
        fit = {kind: _checked(rows, human)[0] for kind, rows in undealt.items()}
        groups = ((kind, text.group) for kind, rows in fit.items() for text in rows)
        of_group = dealt(groups, self.counts, seed=self.seed)
        splits = _by_split(texts, self.counts, of_group) | whole
        for split, count in self.counts.items():
            if len(splits[split]) < count:
                self._refuse(texts, split, len(splits[split]), count)
        stream = random.Random(f"{self.seed} {self.model} {self.method}")
        return {split: stream.sample(splits[split], count) for split, count in self.counts.items()}

    def _refuse(self, texts: Sequence[GivenText], split: str, held: int, count: int) -> NoReturn:
        groups = len({text.group for text in texts})
        why = (
            f"all {len(texts)} come from {groups} prompts or sources, each of which stays in one"
            ' split: give texts of more, or a "split" a row'
            if groups < len(texts)
            else f"there are {len(texts)} in all: give more"
        )
        raise PlanError(
            f"study: samples hold {held} texts of {self.model} by {self.method} for {split}, the"
            f" plan asks for {count}; {why}, or lower n_{split}"
        )


def human_digests(corpus: Path) -> set[str]:
    """Of a corpus's passages, and of its documents whole."""
    passages = read_documents(corpus / PASSAGES)
    documents = read_json(corpus / DOCUMENTS) if (corpus / DOCUMENTS).is_file() else {}
    whole = {digest for digests in documents.values() for digest in digests}
    return whole | {text_words_digest(passage.text) for passage in passages}


def _by_split(
    texts: Sequence[GivenText],
    splits: Iterable[str],
    of_group: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[GivenText]]:
    """Texts by split: as their rows or files say it, else as their groups are dealt."""
    several: dict[str, list[GivenText]] = {split: [] for split in splits}
    for text in texts:
        split = text.split or of_group.get(text.group, "")
        if split in several:
            several[split].append(text)
    return several


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
