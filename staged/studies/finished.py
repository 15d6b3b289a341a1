"""A finished study's folder, as its user reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged.cells import Cell, load_cells


@dataclass(frozen=True)
class FinishedStudy:
    """A finished study's folder."""

    folder: Path

    @property
    def is_finetune(self) -> bool:
        """Whether it is a fine-tuning study."""
        return (self.folder / "finetune.json").is_file()

    @property
    def report(self) -> Path:
        """The page that shows it."""
        return self.folder / "report.html"

    def cells(self) -> list[Cell]:
        """Every detector on every set of machine texts; of a release study.

        Raises:
            ArtifactError: missing, or damaged.
        """
        return load_cells(self.folder / "cells.json")
