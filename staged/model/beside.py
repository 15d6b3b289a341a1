"""What lies beside a model's weights, or in their place: adapters, other copies, shards of a
training, files of other programs.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from staged.errors import CheckpointError
from staged.model.formats.file_tensor import FLOATS, AnyTensor
from staged.model.formats.layouts import INDEX, PICKLED, SAFETENSORS, weight_files
from staged.model.formats.tensor_names import HEAD
from staged.model.gpt2.weights import MASK, plain_tensors
from staged.notes import note

ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
COMPARED = 2**14  # elements at a tensor's beginning
CLOSE = 0.01  # relative: what rounding to bfloat16 may do


def note_beside(folder: Path) -> None:
    """Say what in a model's folder would make it another model, and is not read.

    Raises:
        CheckpointError: no weights.
    """
    read = weight_files(folder)[0].name
    for name in ADAPTERS:
        if (folder / name).is_file():
            note(
                f"{folder}: {name} is not read: a LoRA adapter counts once it is merged into the"
                " weights"
            )
            break
    for name in (SAFETENSORS, f"{SAFETENSORS}{INDEX}", PICKLED, f"{PICKLED}{INDEX}"):
        if name != read and (folder / name).is_file() and (why := _differs(folder, name)):
            note(f"{folder}: {name} is not read, {read} is: {why}")


def _differs(folder: Path, name: str) -> str:
    """In what other weights in the folder differ from those that are read; empty for none."""
    if name.endswith(INDEX):
        return "it lists other files"
    try:
        other, ours = (
            {
                key: tensor
                for key, tensor in plain_tensors(files).items()
                if key != HEAD and not MASK.fullmatch(key)
            }
            for files in ([folder / name], weight_files(folder))
        )
        same = other.keys() == ours.keys() and all(_is_alike(other[key], ours[key]) for key in ours)
    except CheckpointError as error:
        return str(error).removeprefix(f"{folder / name}: ")
    return "" if same else "their weights differ"


def _is_alike(tensor: AnyTensor, other: AnyTensor) -> bool:
    """Whether two tensors begin alike; in one type exactly, in two up to rounding."""
    # a mask, where not of floats
    if tensor.shape != other.shape or not {tensor.dtype, other.dtype} <= set(FLOATS):
        return tensor.shape == other.shape and tensor.dtype == other.dtype
    count = (min(math.prod(tensor.shape), COMPARED),)
    first = tensor.beginning(count).read(torch.float32)
    second = other.beginning(count).read(torch.float32)
    return (
        torch.equal(first, second)
        if tensor.dtype == other.dtype
        else torch.allclose(first, second, rtol=CLOSE, atol=1e-6)
    )
