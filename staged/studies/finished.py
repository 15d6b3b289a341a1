"""A finished study's folder, as its user reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged.cells import Cell, load_cells
from staged.errors import ArtifactError


@dataclass(frozen=True)
class FinishedStudy:
    """A finished study's folder."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))

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
            ArtifactError: missing, or damaged; a fine-tuning study, which has others.
        """
        if self.is_finetune:
            raise ArtifactError(
                f"{self.folder}: a fine-tuning study has no cells.json; its own are in"
                " finetune.json"
            )
        return load_cells(self.folder / "cells.json")
