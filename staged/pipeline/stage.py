"""One unit of a study's work: a folder in, a folder out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.progress import Progress


@dataclass(frozen=True)
class Stage:
    """One unit of work.

    Attributes:
        name: its folder below the study's.
        write: fills the folder it is given, reporting (done, total).
        settings: what determines its bytes besides its inputs.
        needs: names of the stages it reads.
        files: other files it reads, by name.
        cost: expected seconds on one core, for scheduling and the progress bar only.
    """

    name: str
    write: Callable[[Path, Progress], None]
    settings: dict[str, Any]
    needs: tuple[str, ...] = ()
    files: tuple[tuple[str, Path], ...] = ()
    cost: float = 1.0
