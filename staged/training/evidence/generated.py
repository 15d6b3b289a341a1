"""The machine texts that `evidence` learns from: what models write from the first words of human
passages.

    passages ──► prompts ──► samples, a file per model, method and length

A machine text begins with the first words of a human passage and is cut to that passage's number of
words, so neither topic nor length tells the two apart. It belongs to the passage's split.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.engines.choice import HERE, Engine
from staged.errors import PlanError, SamplingError
from staged.progress import Progress, shifted
from staged.records import MACHINE, Document, count_words
from staged.samples.columns import is_samples
from staged.samples.dataset import SampleSettings, read_samples, write_samples
from staged.samples.sample_stage import own_weights
from staged.storage.digests import sha256_file
from staged.storage.gate import check_replaceable
from staged.storage.json_files import read_json, write_json
from staged.streams import derive
from staged.training.evidence.passages import in_role
from staged.training.evidence.plan import PENALISED, EvidenceSettings, generator_name, sampling

TOKENS_A_WORD = 1.6  # generous: what a sample has too much is cut off


@dataclass(frozen=True)
class SampleBatch:
    """Samples of a generator, a method and a length in words."""

    model: str
    method: str
    words: int
    count: int

    @property
    def name(self) -> str:
        return f"{generator_name(self.model)}.{self.method}.{self.words}"


def cells(settings: EvidenceSettings) -> list[SampleBatch]:
    """All that is to be generated."""
    total = sum(settings.methods.values())
    return [
        SampleBatch(
            model, name, words, max(1, round(number * weight / total / len(settings.words)))
        )
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
    engine: Engine = HERE,
    progress: Progress,
) -> list[Document]:
    """Every cell's texts; a killed run continues with the first block that is missing.

    Args:
        folder: receives one sample file a cell, and beside it the digests of the weights that made
            it, where they are a user's; samples of a model that was trained again since are made
            anew.
        device: where texts are generated, `cpu` or `cuda`.
        engine: what computes.
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
        further = shifted(progress, before, total)
        rows = _rows(out, wanted, digests[cell.model], engine=engine, progress=further)
        before += cell.count
        progress(before, total)
        texts += [_machine(cell, source, row) for source, row in zip(sources, rows, strict=True)]
    return texts


def _rows(
    out: Path,
    wanted: SampleSettings,
    weights: Sequence[str],
    *,
    engine: Engine,
    progress: Progress,
) -> list[dict[str, Any]]:
    """A cell's samples, generated where they are missing or a model's before it was trained again.

    Raises:
        SamplingError: they are of another plan.
    """
    record = out.with_suffix(".weights.json")
    if not out.is_file() or not _is_of(record, weights):
        check_replaceable(out, is_samples)
        # before the record: a kill between them must not make old samples new ones
        out.unlink(missing_ok=True)
        write_json(record, {"weights": weights})
        write_samples(out, wanted, engine=engine, progress=progress)
    rows = read_samples(out)
    keys = ("prompt", "model", "method", "repetition_penalty")
    of_cell = (wanted.model, wanted.method.name, wanted.repetition_penalty)
    expected = [(prompt, *of_cell) for prompt in wanted.prompts]
    if [tuple(row[key] for key in keys) for row in rows] != expected:
        raise SamplingError(
            f"{out}: holds samples of another plan; choose another --out, or remove the file"
        )
    return rows


def _is_of(record: Path, weights: Sequence[str]) -> bool:
    """Whether samples are a model's as it is now, not of before it was trained again. Without a
    record, or a model's folder to compare with, they are taken as they stand.
    """
    return not weights or not record.is_file() or read_json(record) == {"weights": weights}


def _prompted(
    human: Sequence[Document], cell: SampleBatch, settings: EvidenceSettings
) -> list[Document]:
    """The human passages that a cell's texts begin like: others for every model and method, as long
    as there are some.
    """
    beginnings = in_role(human, settings, lambda role: role.begins)
    passages = [passage for passage in beginnings if passage.id.endswith(f"@{cell.words}")]
    if len(passages) < cell.count:
        raise PlanError(
            f"plan: {cell.count} texts of {cell.words} words are to be written by {cell.model}"
            f" ({cell.method}), each after the first words of a passage of its own, and `human`"
            f" gives {len(passages)} of that length; give more text, or ask for fewer"
        )
    return random.Random(derive(settings.seed, cell.name)).sample(passages, cell.count)


def _sampling(
    cell: SampleBatch, sources: Sequence[Document], settings: EvidenceSettings, device: str
) -> SampleSettings:
    prompts = tuple(
        " ".join(document.text.split()[: settings.prompt_words]) for document in sources
    )
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


def _machine(cell: SampleBatch, source: Document, row: dict[str, object]) -> Document:
    """Prompt and continuation, cut to the source's words; what ended early stays as it is."""
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


def generator_of(machine: Document) -> str:
    """The generator of a machine text of the plan, from its id `generator.method.words.number`."""
    return machine.id.rsplit(".", 2)[0].partition(".")[0] if machine.label == MACHINE else ""


def method_of(machine: Document) -> str:
    """The sampling method, likewise; empty for a human text."""
    return machine.id.rsplit(".", 2)[0].partition(".")[2] if machine.label == MACHINE else ""
