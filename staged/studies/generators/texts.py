"""Machine texts of a study: one model's by one method, however they came to be."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from staged.pipeline.stage import Inputs, Stage, unrecorded
from staged.records import MACHINE, Document
from staged.samples.dataset import read_samples


@dataclass(frozen=True, kw_only=True)
class MachineTexts(Stage):
    """One model's texts by one method, a file a split.

    Attributes:
        model: its name; a folder goes by the folder's.
        counts: split → texts.
        given: the model as the plan names it.
    """

    model: str
    method: str
    counts: dict[str, int]
    given: str = unrecorded()

    @property
    def name(self) -> str:
        return f"samples/{self.model}/{self.method}"

    @property
    @abstractmethod
    def folder(self) -> Path | None:
        """The model's own; None where its weights are not here."""

    def texts(self, inputs: Inputs, split: str) -> list[Document]:
        """The texts of a split, as they came."""
        rows = read_samples(inputs[self.name] / f"{split}.parquet", ["id", "text"])
        source = f"{self.model}/{self.method}/{split}"
        return [
            Document(f"{source}/{row['id']}", row["text"], MACHINE, source, split) for row in rows
        ]
