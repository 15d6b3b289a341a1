"""A finished study's folder, as its user reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged.cells import Cell, load_cells
from staged.errors import ArtifactError
from staged.places.mirror import place

# by the file that only such a study has
KINDS = {"finetune.json": "fine-tuning study", "provenance.json": "watermark study"}


@dataclass(frozen=True)
class FinishedStudy:
    """A finished study's folder."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", place(self.folder))

    @property
    def kind(self) -> str:
        """`release study`, `fine-tuning study` or `watermark study`."""
        return next(
            (kind for file, kind in KINDS.items() if (self.folder / file).is_file()),
            "release study",
        )

    @property
    def is_finetune(self) -> bool:
        """Whether it is a fine-tuning study."""
        return self.kind == "fine-tuning study"

    @property
    def report(self) -> Path:
        """The page that shows it."""
        return self.folder / "report.html"

    def cells(self) -> list[Cell]:
        """Every detector on every set of machine texts; of a release study.

        Raises:
            ArtifactError: missing, or damaged; another study, which has others.
        """
        if self.kind != "release study":
            file = next(file for file, kind in KINDS.items() if kind == self.kind)
            raise ArtifactError(
                f"{self.folder}: a {self.kind} has no cells.json; its own are in {file}"
            )
        return load_cells(self.folder / "cells.json")
