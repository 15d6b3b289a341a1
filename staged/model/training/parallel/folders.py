"""Where checkpoints stand that many processes write together: a folder each, of which only whole
ones have their name.

    checkpoint-120/              after step 120
    .checkpoint-120.staged-tmp/  under construction, or on its way out
"""

from __future__ import annotations

import shutil
from pathlib import Path

from staged.storage.marks import temporary_of

NAME = "checkpoint-"


def share_folders(folder: Path) -> list[Path]:
    """The whole ones in a run's folder under construction, the newest last."""
    named = [path for path in folder.glob(f"{NAME}*") if path.name[len(NAME) :].isdecimal()]
    return sorted(named, key=share_step)


def share_step(path: Path) -> int:
    """The step after which it was written."""
    return int(path.name[len(NAME) :])


def remove_shares(folder: Path, *, but: Path | None = None) -> None:
    """Remove all of a run's, those that a kill cut short as well; killed meanwhile, what is no
    longer whole has no name.
    """
    for path in share_folders(folder):
        if path != but:
            shutil.rmtree(temporary_of(path), ignore_errors=True)
            path.replace(temporary_of(path))
    for path in folder.glob(f".{NAME}*"):
        shutil.rmtree(path)
