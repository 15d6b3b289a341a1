"""`pytorch_model.bin`, and a training's checkpoint: pickles, opened only by PyTorch's unpickler
that runs no code.

The archive's tensors are located, not loaded: under fake tensors `torch.load` notes where each
storage lies in the file. Files from before PyTorch 1.6 are no archive; their tensors are loaded,
and let go one by one.
"""

from __future__ import annotations

import argparse
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import safe_globals

from staged.errors import CheckpointError
from staged.model.formats.file_tensor import AnyTensor, HeldTensor, StoredTensor, refuse_foreign

ARCHIVE = b"PK\x03\x04"
# nanoGPT's, Lightning's, many tutorials', DeepSpeed's
ENTRIES = ("model", "state_dict", "model_state_dict", "module")
SHOWN = 6  # entries in a sentence


def read_pickled(path: Path) -> dict[str, AnyTensor]:
    """What one file holds.

    Raises:
        CheckpointError: not such a file, truncated, damaged, with something else than tensors in
            it, or with code.
    """
    return _read(path, lambda content: _tensors(path, content))


def read_pickled_entry(path: Path, entry: str) -> dict[str, AnyTensor]:
    """The tensors under one entry of a training's checkpoint, such as `model_state_dict`; the rest
    of it is not kept.

    What else may stand beside them is plain values, tensors, and the options of a command line
    (`argparse.Namespace`).

    Raises:
        CheckpointError: as `read_pickled`; or no such entry.
    """

    def under(content: Any) -> dict[str, Tensor]:
        if not isinstance(content, dict) or entry not in content:
            raise CheckpointError(
                f"{path}: has no entry {entry!r}; it is not a checkpoint of this training"
            )
        return _tensors(path, content[entry])

    return _read(path, under)


def _read(path: Path, choose: Callable[[Any], dict[str, Tensor]]) -> dict[str, AnyTensor]:
    refuse_foreign(path)
    with open(path, "rb") as file:
        archive = file.read(4) == ARCHIVE
    if archive:
        # slow to import, and rarely needed
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode():
            located = {
                name: _located(path, name, tensor) for name, tensor in choose(_load(path)).items()
            }
        if all(tensor is not None for tensor in located.values()):
            return {name: tensor for name, tensor in located.items() if tensor is not None}
    return {
        name: HeldTensor(path, name, tensor)
        for name, tensor in choose(_load(path, mmap=archive)).items()
    }


def _located(path: Path, name: str, tensor: Tensor) -> StoredTensor | None:
    """None where the tensor does not lie in one piece, or this PyTorch does not say where."""
    start = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
    if start is None or not tensor.is_contiguous():
        return None
    offset = start + tensor.storage_offset() * tensor.dtype.itemsize
    return StoredTensor(path, name, offset, tuple(tensor.shape), tensor.dtype)


def _load(path: Path, *, mmap: bool = False) -> Any:
    try:
        with warnings.catch_warnings(), safe_globals([argparse.Namespace]):
            # of other versions of the pickle protocol, of which the errors below say enough
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error):
            raise CheckpointError(
                f"{path}: holds something else than tensors, which could run code when loaded; ask"
                " for a safetensors file"
            ) from None
        raise CheckpointError(
            f"{path}: not a readable PyTorch file, or damaged; download it again"
        ) from None
    except Exception:  # a damaged archive shows as any of a dozen kinds
        raise CheckpointError(
            f"{path}: not a readable PyTorch file, truncated or damaged; download it again"
        ) from None


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    """Names and tensors, or those under the one entry of a training's checkpoint that has them."""
    if _is_state(content):
        return content
    nested = (
        [content[name] for name in ENTRIES if name in content and _is_state(content[name])]
        if isinstance(content, dict)
        else []
    )
    if len(nested) == 1 and nested[0]:
        return nested[0]
    holds = (
        f"a dictionary of {', '.join(repr(name) for name in list(content)[:SHOWN])}"
        if isinstance(content, dict)
        else type(content).__name__
    )
    raise CheckpointError(
        f"{path}: does not hold names and tensors alone, but {holds}; save the model's state_dict"
        " by itself"
    )


def _is_state(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )
