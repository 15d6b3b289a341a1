"""The texts of a study: which human passages and which samples make up each split, at each length.

Sample i of a split draws the same random numbers, and the same top-p, for every model: so texts of
two models pair by number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from staged.corpus.build import read_documents
from staged.errors import PlanError
from staged.model.bpe import BPE, REPLACEMENT, load_bpe
from staged.model.checkpoints import model_folder
from staged.records import MACHINE, Document
from staged.samples.dataset import read_samples
from staged.studies.detection.plan import MIX, StudySettings


def counts(settings: StudySettings) -> dict[str, int]:
    """split → texts per class."""
    return {"train": settings.n_train, "valid": settings.n_valid, "test": settings.n_test}


def samples_folder(root: Path, model: str, method: str) -> Path:
    """Where a model's samples by one method stand; a model given as a folder goes by the folder's
    name.
    """
    return root / "samples" / Path(model).name / method


def tokenizer(settings: StudySettings) -> BPE:
    """The one by which the study counts tokens: the first model's."""
    return load_bpe(model_folder(settings.models[0]))


def human(root: Path, settings: StudySettings, split: str) -> list[Document]:
    """The human passages of a split: a seeded draw of as many as the plan asks for.

    Raises:
        PlanError: the corpus has fewer.
    """
    passages = root / "corpus" / "passages.parquet"
    return drawn(passages, split, counts(settings)[split], seed=settings.seed, table="corpus")


def drawn(passages: Path, split: str, wanted: int, *, seed: int, table: str) -> list[Document]:
    """A seeded draw of passages of one split.

    Args:
        table: where the plan sets the corpus's shares, for the sentence of the error.

    Raises:
        PlanError: there are fewer than wanted.
    """
    found = read_documents(passages, split=split)
    if len(found) < wanted:
        raise PlanError(
            f"study: the corpus has {len(found)} human passages for {split}, the plan asks for"
            f" {wanted}; lower n_{split}, give more text, or raise {table}.shares.{split}"
        )
    return random.Random(f"{seed} {split}").sample(found, wanted)


def machine(
    root: Path, settings: StudySettings, model: str, method: str, split: str
) -> list[Document]:
    """A model's samples of a split by one method, or an equal mix of all: of `mix`, text i is
    sample i of method i mod m.
    """
    if method == MIX:
        parts = [machine(root, settings, model, name, split) for name in settings.methods]
        return [parts[i % len(parts)][i] for i in range(counts(settings)[split])]
    rows = read_samples(samples_folder(root, model, method) / f"{split}.parquet")
    name = f"{Path(model).name}/{method}/{split}"
    return [
        Document(
            id=f"{name}/{row['id']}", text=row["text"], label=MACHINE, source=name, split=split
        )
        for row in rows
    ]


def cut_to(documents: Sequence[Document], bpe: BPE, tokens: int) -> list[Document]:
    """The documents' first `tokens` tokens, both classes by the same cut."""
    texts = bpe.truncate([document.text for document in documents], tokens)
    return [
        replace(document, text=text.rstrip(REPLACEMENT))
        for document, text in zip(documents, texts, strict=True)
    ]
