"""Text as packed tokens, in files that are mapped and never read whole: for corpora of gigabytes.

    tokens.json    what the files hold (`PackedTokens`)
    pretrain.bin   token ids, two bytes each (four where a vocabulary needs them), little-endian:
    valid.bin      documents one after another, joined by the end of text
    texts.txt      a digest of each document of `pretrain`, a line each

A row is n_ctx + 1 tokens from a multiple of n_ctx: every token but the first is a target once, and
rows begin and end anywhere in a document. What a model's context is need not be known when tokens
are packed. `staged tokenize` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from staged.corpus.learned import Learned, merged, model_learned
from staged.errors import ArtifactError, PlanError
from staged.model.checkpoints import model_folder
from staged.model.training.objectives import Task
from staged.model.training.plan import TrainSettings
from staged.model.training.rows.contract import Taught
from staged.model.training.rows.order import step_positions
from staged.storage.digests import sha256_file
from staged.storage.marks import MANIFEST
from staged.storage.records import read_record

TOKENS = "tokens.json"
TEXTS = "texts.txt"
SPLITS = ("pretrain", "valid")
PROBE = "It's 1,024 rivers' café:\n\n  x=10. 你好 \U0001f642"
"""A text whose tokens tell one tokenizer from another."""


@dataclass(frozen=True)
class PackedTokens:
    """What a folder of packed tokens holds.

    Attributes:
        tokenizer: the name of the model whose tokenizer it was.
        dtype: of the files: `uint16`, or `uint32` for more than 65,536 tokens.
        probe: the ids of `PROBE` as a row.
        documents: split → how many.
        tokens: split → how many, the ends of texts among them.
    """

    tokenizer: str
    dtype: str
    probe: tuple[int, ...]
    documents: dict[str, int]
    tokens: dict[str, int]


def token_file(folder: Path, split: str) -> Path:
    """The file of a split."""
    return folder / f"{split}.bin"


def stored_as(dtype: str) -> np.dtype[Any]:
    """The type of the files, whatever the machine's order of bytes."""
    return np.dtype(dtype).newbyteorder("<")


def is_packed(folder: Path) -> bool:
    """Whether a folder holds packed tokens."""
    return (folder / TOKENS).is_file() and (folder / MANIFEST).is_file()


@dataclass(frozen=True)
class PackedRows:
    """Rows of n_ctx + 1 tokens of a file.

    Attributes:
        tokens: in the file.
    """

    path: Path
    dtype: str
    n_ctx: int
    tokens: int

    def __len__(self) -> int:
        return (self.tokens - 1) // self.n_ctx

    def __getitem__(self, index: int) -> list[int]:
        """A row's token ids. Its pages are mapped for as long as they are copied, so that what a
        process holds does not grow with what it has read.
        """
        dtype = stored_as(self.dtype)
        shape, offset = (self.n_ctx + 1,), index * self.n_ctx * dtype.itemsize
        row = np.memmap(self.path, dtype, mode="r", offset=offset, shape=shape)
        ids: list[int] = row.tolist()
        return ids

    def of_step(self, step: int, *, batch: int, seed: int) -> list[list[int]]:
        """The rows that a step sees: each once an epoch, in an order of its own every epoch."""
        return [self[i] for i in step_positions(step, rows=len(self), batch=batch, seed=seed)]


class PackedText:
    """A folder of packed tokens, as the text of a run.

    Raises:
        PlanError: the run has no tokenizer, or masks tokens.
        ArtifactError: the folder is damaged.
    """

    def __init__(self, folder: Path, settings: TrainSettings) -> None:
        self.folder, self.packed = folder, read_record(folder / TOKENS, PackedTokens)
        if settings.objective == "masked":
            raise PlanError(f"{folder}: packed tokens are for a causal objective; give text")
        if not (settings.init or settings.tokenizer):
            raise PlanError(
                f"{folder}: its tokens are those of {self.packed.tokenizer}; say so in the plan,"
                " as `tokenizer`"
            )
        for split, tokens in self.packed.tokens.items():
            path = token_file(folder, split)
            size = path.stat().st_size if path.is_file() else 0
            if size != tokens * stored_as(self.packed.dtype).itemsize:
                raise ArtifactError(f"{path}: is cut short or missing; pack the tokens again")

    @cached_property
    def digest(self) -> str:
        """Of the manifest, which has the sums of the files."""
        return sha256_file(self.folder / MANIFEST)

    def tokenizer_texts(self) -> Iterable[str]:
        """None: there is a tokenizer already."""
        return ()

    def taught(self, task: Task, settings: TrainSettings) -> Taught:
        if list(task.rows([PROBE])[0]) != list(self.packed.probe[: task.n_ctx + 1]):
            raise PlanError(
                f"{self.folder}: its tokens are those of {self.packed.tokenizer}, and the model has"
                " another tokenizer; pack them again with that"
            )
        rows, valid = (self._rows(split, task.n_ctx) for split in SPLITS)
        few = range(min(settings.valid_rows, len(valid)))
        counts = {"documents": self.packed.documents, "tokens": self.packed.tokens}
        return Taught(rows, [valid[i] for i in few], counts, lambda: self._learned(settings.init))

    def _rows(self, split: str, n_ctx: int) -> PackedRows:
        tokens = self.packed.tokens[split]
        if tokens <= n_ctx:
            raise PlanError(
                f"{self.folder}: {split} has {tokens:,} tokens, fewer than a row of {n_ctx:,} and"
                " its next; pack more text"
            )
        return PackedRows(token_file(self.folder, split), self.packed.dtype, n_ctx, tokens)

    def _learned(self, init: str) -> Learned:
        """The texts, known by their digests; their sources have no names here."""
        texts = frozenset(_lines(self.folder / TEXTS))
        return merged([Learned(texts=texts), model_learned(model_folder(init)) if init else None])


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="ascii") as file:
        for line in file:
            yield line.rstrip("\n")
