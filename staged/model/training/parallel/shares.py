"""A checkpoint that many processes write together: a folder in which each has its share of the
tensors (`torch.distributed.checkpoint`), which any number of processes can read.

    checkpoint-120/            after step 120: .metadata, a .distcp file a process, counters.json
    .checkpoint-120.staged-tmp under construction; renamed when all is on the disk
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from staged.errors import ArtifactError
from staged.model.training.distributed import barrier, rank, world
from staged.model.training.snapshots import refusal
from staged.storage.json_files import read_json, write_json
from staged.storage.marks import temporary_of
from staged.storage.writing import disk_errors

NAME = "checkpoint-"
COUNTERS = "counters.json"


def share_folders(folder: Path) -> list[Path]:
    """The whole ones in a folder under construction, the newest last."""
    named = [path for path in folder.glob(f"{NAME}*") if path.name[len(NAME) :].isdecimal()]
    return sorted(named, key=share_step)


def share_step(path: Path) -> int:
    """The step after which it was written."""
    return int(path.name[len(NAME) :])


def save_shares(folder: Path, step: int, state: dict[str, Any], counters: dict[str, Any]) -> None:
    """Write a step's checkpoint, whole or not at all; older ones go. Every process calls this.

    Args:
        state: tensors, those of which a process has a share as `DTensor`.
        counters: JSON values, the same on every process.

    Raises:
        ArtifactError: no space, or no permission.
    """
    path = folder / f"{NAME}{step}"
    temporary = temporary_of(path)
    older = share_folders(folder)
    if rank() == 0:
        shutil.rmtree(temporary, ignore_errors=True)
    barrier()
    with disk_errors(path):
        try:
            save(state, checkpoint_id=temporary)
        except CheckpointException as error:
            raise _first(error) from error
        if rank() == 0:
            write_json(temporary / COUNTERS, counters)
            temporary.replace(path)
            for each in older:
                _remove(each)
    barrier()


def load_shares(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint into tensors, whole ones or shares of any number of processes, each of
    which calls this; its counters.

    Raises:
        CheckpointError: damaged, unreadable, or larger than the memory that is free.
    """
    with warnings.catch_warnings():  # it says that there is a single process
        warnings.simplefilter("ignore")
        try:
            load(state, checkpoint_id=path, no_dist=world() == 1)
        except CheckpointException as error:
            raise refusal(path, _first(error)) from None
    try:
        counters: dict[str, Any] = read_json(path / COUNTERS)
    except ArtifactError as error:
        raise refusal(path, error) from None
    return counters


def remove_shares(folder: Path) -> None:
    """Remove all of a folder's, those that a kill cut short as well."""
    for path in share_folders(folder):
        _remove(path)
    for path in folder.glob(f".{NAME}*"):
        shutil.rmtree(path)


def _remove(path: Path) -> None:
    """Killed meanwhile, it no longer counts as whole."""
    going = temporary_of(path)
    shutil.rmtree(going, ignore_errors=True)
    path.replace(going)
    shutil.rmtree(going)


def _first(error: CheckpointException) -> Exception:
    """What went wrong on the first process where anything did."""
    reason = next(iter(error.failures.values()))[0]
    return reason if isinstance(reason, Exception) else RuntimeError(str(reason))
