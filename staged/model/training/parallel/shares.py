"""A checkpoint of many processes, each with its share of the tensors, which any number of processes
reads (`torch.distributed.checkpoint`): `.metadata`, a `.distcp` file a process, `counters.json`.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor, distribute_tensor

from staged.errors import ArtifactError
from staged.model.training.distributed import barrier, rank, world
from staged.model.training.parallel.folders import NAME, remove_shares
from staged.model.training.snapshots import refusal
from staged.storage.json_files import read_json, write_json
from staged.storage.marks import temporary_of
from staged.storage.writing import disk_errors

COUNTERS = "counters.json"


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
            remove_shares(folder, but=path)
    barrier()


def load_shares(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint into tensors, whole ones or shares of any number of processes, each of
    which calls this; its counters.

    Raises:
        CheckpointError: damaged, unreadable, or larger than the memory that is free.
    """
    try:
        with warnings.catch_warnings():  # it says that there is a single process
            warnings.simplefilter("ignore")
            load(state, checkpoint_id=path, no_dist=world() == 1)
        counters: dict[str, Any] = read_json(path / COUNTERS)
    except CheckpointException as error:
        raise refusal(path, _first(error)) from None
    except ArtifactError as error:
        raise refusal(path, error) from None
    return counters


def copy_share(share: Tensor, whole: Tensor) -> None:
    """This process's share of a whole tensor; all of it where nothing is shared."""
    if isinstance(share, DTensor):
        there = whole.to(share.device)
        mesh, placements = share.device_mesh, share.placements
        whole = distribute_tensor(there, mesh, placements, src_data_rank=None)
    share.copy_(whole)


def _first(error: CheckpointException) -> Exception:
    """What went wrong on the first process where anything did."""
    reason = next(iter(error.failures.values()))[0]
    return reason if isinstance(reason, Exception) else RuntimeError(str(reason))
