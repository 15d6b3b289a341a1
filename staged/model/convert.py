"""`staged convert`: a GPT-2 in any layout, written as a folder of the hub's or as a GGUF file.

Tensor by tensor: a 1558M in float32 is converted in the memory of its largest tensor.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from staged.errors import CheckpointError, PlanError
from staged.model.bpe import BPE
from staged.model.causal import is_outside
from staged.model.checkpoints import hub_config, model_folder, open_folder
from staged.model.formats.file_tensor import AnyTensor
from staged.model.formats.layouts import SAFETENSORS, model_files
from staged.model.formats.safetensors import write_safetensors
from staged.model.gguf import gguf_mark, write_gguf
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.weights import shapes
from staged.progress import Progress, silent
from staged.storage.digests import digest
from staged.storage.json_files import write_json
from staged.storage.marks import MANIFEST
from staged.storage.stage_folders import build, fingerprint, is_complete
from staged.storage.writing import disk_errors

KEEP = "keep"
WEIGHTS = (".safetensors", ".bin")  # of a folder's files, which no folder should be called by
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CARRIED = ("training.json",)  # what the model learned from: the study asks for it


def convert(source: str, target: Path, *, dtype: str = KEEP, progress: Progress = silent) -> bool:
    """Write `source` as `target`: a GGUF file where that is its ending, else a folder in the hub's
    layout.

    Args:
        source: a GPT-2, as `model_folder` takes it.
        dtype: float32, bfloat16 or float16 (GGUF also q8_0); `keep` takes what the source has.
        progress: called with (tensors written, tensors).

    Returns:
        False when the target was already there, made from the same files with the same settings.

    Raises:
        CheckpointError: the source is of another family, or no whole GPT-2, or a value does not fit
            the type.
        PlanError: an unknown type, or something else stands at the target.
        ArtifactError: the disk is full, or another process writes the same.
    """
    gguf = target.suffix.lower() == ".gguf"
    if target.suffix.lower() in WEIGHTS:
        raise PlanError(
            f"{target}: a model is written as a folder or as a .gguf file; give a name without"
            f" {target.suffix}"
        )
    if dtype not in (KEEP, *DTYPES) and not gguf:
        raise PlanError(
            f"--dtype {dtype!r}: a model folder is written as {', '.join(DTYPES)}, or {KEEP}s what"
            " the source has"
        )
    folder = model_folder(source)
    if is_outside(folder):
        raise CheckpointError(
            f"{source}: already in the hub's layout, which transformers and the other commands"
            " read; convert writes GPT-2s, and this is of another family (of which llama.cpp's own"
            " convert_hf_to_gguf.py makes a GGUF file)"
        )
    config, bpe, weights = open_folder(folder)
    kind = _stored_as(weights) if dtype == KEEP else dtype
    if gguf:
        return _to_gguf(folder, target, config, bpe, weights, kind, progress)
    return _to_folder(folder, target, config, bpe, weights, kind, progress)


def _to_gguf(
    source: Path,
    target: Path,
    config: GPT2Config,
    bpe: BPE,
    weights: dict[str, AnyTensor],
    dtype: str,
    progress: Progress,
) -> bool:
    wanted = fingerprint({"convert": {"dtype": dtype, "layout": "gguf"}}, model_files(source))
    made_of = digest([json.dumps(wanted, sort_keys=True)])
    if target.exists():
        if target.is_file() and gguf_mark(target) == made_of:
            return False
        raise PlanError(
            f"{target}: already there, and not made from {source.name} as {dtype}; move it, or"
            " choose another name"
        )
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_gguf(target, config, bpe, weights, dtype=dtype, mark=made_of, progress=progress)
    return True


def _stored_as(weights: dict[str, AnyTensor]) -> str:
    """The type to keep: the token embedding's, but float32 for float64, which no GPT-2 has."""
    names = {value: name for name, value in DTYPES.items()}
    return names.get(weights["wte.weight"].dtype or torch.float32, "float32")


def _to_folder(
    source: Path,
    target: Path,
    config: GPT2Config,
    bpe: BPE,
    weights: dict[str, AnyTensor],
    dtype: str,
    progress: Progress,
) -> bool:
    inputs, settings = model_files(source), {"convert": {"dtype": dtype, "layout": "hub"}}
    if target.exists() and not target.is_dir():
        raise PlanError(f"{target}: a file stands there; choose another name")
    if target.is_dir() and any(target.iterdir()):
        if (target / MANIFEST).is_file() and is_complete(target, fingerprint(settings, inputs)):
            return False
        raise PlanError(f"{target}: holds other files; choose a new folder, or delete this one")

    def write(partial: Path) -> None:
        write_json(partial / "config.json", hub_config(config, DTYPES[dtype]))
        bpe.save(partial)
        for name in CARRIED:
            if (source / name).is_file():
                shutil.copyfile(source / name, partial / name)
        if not (partial / SAFETENSORS).is_file():
            write_safetensors(
                partial / SAFETENSORS,
                shapes(config),
                DTYPES[dtype],
                _reader(weights, DTYPES[dtype], progress),
            )

    return build(target, write, settings=settings, inputs=inputs)


def _reader(
    weights: dict[str, AnyTensor], dtype: torch.dtype, progress: Progress
) -> Callable[[str], Tensor]:
    done: list[Any] = []

    def read(name: str) -> Tensor:
        done.append(name)
        progress(len(done), len(weights))
        return weights[name].read(dtype)

    return read
