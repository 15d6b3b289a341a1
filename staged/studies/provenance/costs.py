"""The stage that reads texts for what their marks cost: how likely a judge finds them, and how
often they repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from staged.model.causal import load_causal
from staged.model.devices import chosen_device
from staged.model.reading.token_statistics import token_statistics
from staged.pipeline.stage import Inputs, SplitStage
from staged.pipeline.tables import TableRow, table_of, write_tables
from staged.studies.computed import record_device
from staged.studies.provenance.marked import MarkedTexts
from staged.studies.provenance.tested import FILE, TEXTS_AT_ONCE


@dataclass(frozen=True, kw_only=True)
class Costs(SplitStage):
    """What the texts of one stage cost the judge, and how often they repeat: a row a text of `id`,
    `nats` and `judged` (its sum, and over how many of the judge's tokens), `length`, `reason`,
    `repeated` (the share of its 4-token runs that it had before).

    Attributes:
        judge: a model by name or folder.
    """

    judge: str
    texts: MarkedTexts

    @property
    def name(self) -> str:
        return f"costs/{self.texts.model}/{self.texts.method}/{self.texts.scheme}"

    @property
    def cost(self) -> float:
        return 10.0

    @property
    def blocks(self) -> Sequence[str]:
        return tuple(f"{first:09d}.json" for first in self._firsts)

    @property
    def _firsts(self) -> range:
        return range(0, self.texts.n_texts, TEXTS_AT_ONCE)

    @property
    def _computes_on(self) -> str:
        return chosen_device(self.texts.device)

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], list[TableRow]]]:
        part_of = self.texts.parts_of(inputs)
        judge = load_causal(self.judge, device=self._computes_on)

        def make(number: int) -> list[TableRow]:
            first = self._firsts[number]
            rows = part_of(range(first, min(first + TEXTS_AT_ONCE, self.texts.n_texts)))
            read = [
                judge.tokenizer.encode_batch([row["prompt"], row["prompt"] + row["text"]])
                for row in rows
            ]
            judged = token_statistics(judge, [whole for _, whole in read])
            return [
                _cost(row, len(prompt), statistics.logprob)
                for row, (prompt, _), statistics in zip(rows, read, judged, strict=True)
            ]

        yield make

    def join(self, folder: Path, values: Iterator[list[TableRow]], inputs: Inputs) -> None:
        write_tables(folder / FILE, map(table_of, values))
        record_device(folder, self._computes_on, precision="fp32")


def _cost(row: TableRow, prompt: int, logprob: np.ndarray) -> TableRow:
    own = logprob[max(prompt - 1, 0) :]
    return {
        "id": row["id"],
        "nats": float(-own.sum()),
        "judged": len(own),
        "length": len(row["tokens"]),
        "reason": row["reason"],
        "repeated": repeated(row["tokens"]),
    }


def repeated(tokens: Sequence[int], width: int = 4) -> float:
    """The share of a text's runs of so many tokens that stood in it before."""
    runs = [tuple(tokens[i : i + width]) for i in range(len(tokens) - width + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
