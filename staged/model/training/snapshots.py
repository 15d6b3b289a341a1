"""What a killed training run continues from: a file of tensors and numbers, whole or not there."""

from __future__ import annotations

import errno
import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from staged.errors import CheckpointError
from staged.model.memory import is_out_of_memory
from staged.storage.writing import replacing

DAMAGE = (
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
)


def save_snapshot(path: Path, state: dict[str, Any]) -> None:
    """`torch.save` straight to the disk: a copy in memory would be as large as model and optimizer.

    Raises:
        OSError: no space, or no permission.
    """
    with replacing(path, form=zipfile.is_zipfile) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # how torch.save tells of a disk that is full
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


@contextmanager
def opened_snapshot(
    path: Path, *, device: torch.device | str = "cpu", mapped: bool = False
) -> Iterator[dict[str, Any]]:
    """The saved state; what goes wrong while it is put to use is a damaged file's fault, too.

    Args:
        mapped: read from the disk only the tensors that are looked at.

    Raises:
        CheckpointError: damaged, unreadable, or larger than the memory that is free.
    """
    try:
        yield torch.load(path, map_location=device, weights_only=True, mmap=mapped)
    except (OSError, *DAMAGE, MemoryError) as error:
        raise refusal(path, error) from None


def refusal(path: Path, error: Exception) -> CheckpointError:
    """What is said of a checkpoint that cannot be continued from."""
    if isinstance(error, OSError):
        reason = error.strerror or error
        return CheckpointError(f"{path}: cannot be read: {reason}; the checkpoint stays as it is")
    if is_out_of_memory(error):
        return CheckpointError(
            f"{path}: not enough memory to continue from it; free some: the checkpoint is whole"
        )
    return CheckpointError(f"{path}: damaged checkpoint; delete it to train this model again")
