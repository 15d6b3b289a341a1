"""A GPT-2's tensors in a folder of any published layout: located, checked, named as on the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch

from staged.errors import CheckpointError
from staged.model.formats.file_tensor import AnyTensor, HeldTensor, Transposed, same_values
from staged.model.formats.layouts import INDEX, config_file, weight_files
from staged.model.formats.pickled import read_pickled
from staged.model.formats.safetensors import read_safetensors
from staged.model.formats.tensor_names import HEAD, described, plain_name
from staged.model.formats.tensorflow import read_tensorflow
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2
from staged.notes import note

# the causal mask, which early versions of transformers stored
MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
EMBEDDING, FIRST = "wte.weight", "h.0.attn.c_attn.weight"
# rows without a token that an embedding may have: a multiple of 64 or 128, on as many as 8 devices
PADDING = 1024


def open_weights(folder: Path, config: GPT2Config) -> dict[str, AnyTensor]:
    """The model's tensors by our names, located and checked but not read.

    Rows of the embedding beyond the vocabulary are left out, and said; projections stored as (out,
    in) are turned when read.

    Raises:
        CheckpointError: a file that is not what its name says; a tensor that is missing, misshapen,
            there twice, or not a GPT-2's; an output head that is not tied.
    """
    paths = weight_files(folder)
    stored, wanted = plain_tensors(paths), shapes(config)
    _check_tied(stored)
    tensors = {
        name: tensor for name, tensor in stored.items() if not MASK.fullmatch(name) and name != HEAD
    }
    # of a tied pair some programs save the head alone
    if EMBEDDING not in tensors and HEAD in stored:
        tensors[EMBEDDING] = stored[HEAD]
    tensors = _cut(_turned(tensors, wanted), config.n_vocab)
    for key, shape in wanted.items():
        if key not in tensors:
            raise CheckpointError(
                f"{paths[0]}: tensor {key!r} is missing; it holds"
                f" {described([t.name for t in stored.values()])}"
            )
        if tensors[key].shape != shape:
            raise CheckpointError(
                f"{tensors[key].path}: tensor {key!r} has shape {list(tensors[key].shape)},"
                f" {config_file(folder).name} says {list(shape)}"
            )
    foreign = {key: tensor for key, tensor in tensors.items() if key not in wanted}
    for key, tensor in foreign.items():
        raise CheckpointError(
            f"{tensor.path}: tensor {key!r} is not in a GPT-2 of the shape that"
            f" {config_file(folder).name} says; beyond it there are"
            f" {described([other.name for other in foreign.values()])}"
        )
    return {key: tensors[key] for key in wanted}


def shapes(config: GPT2Config) -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor of a model, in the hub's layout."""
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in GPT2(config).state_dict().items()}


def plain_tensors(paths: list[Path]) -> dict[str, AnyTensor]:
    """Everything that weight files hold, as `weight_files` lists them, by names without what wraps
    a model.

    Raises:
        CheckpointError: a damaged or foreign file, or two tensors of one name.
    """
    stored: dict[str, AnyTensor] = {}
    for path, tensors in _opened(paths):
        for name, tensor in tensors.items():
            plain = plain_name(name)
            if plain in stored:
                first = stored[plain]
                raise CheckpointError(
                    f"{path}: tensor {plain!r} is there twice, as {first.name!r} in"
                    f" {first.path.name} and as {name!r}"
                )
            stored[plain] = tensor
    return stored


def _opened(paths: list[Path]) -> list[tuple[Path, Mapping[str, AnyTensor]]]:
    if paths[0].suffix == ".index":
        return [(paths[0], read_tensorflow(paths[0].with_suffix("")))]
    shards = paths[1:] if paths[0].name.endswith(INDEX) else paths
    return [
        (path, read_safetensors(path) if path.suffix == ".safetensors" else read_pickled(path))
        for path in shards
    ]


def _check_tied(stored: Mapping[str, AnyTensor]) -> None:
    if HEAD in stored and EMBEDDING in stored and not same_values(stored[HEAD], stored[EMBEDDING]):
        raise CheckpointError(
            f"{stored[HEAD].path}: tensor {HEAD!r} is not the same as {EMBEDDING!r}; GPT-2's output"
            " head is tied to its embedding, so a model that was trained with a head of its own is"
            " another"
        )


def _cut(tensors: dict[str, AnyTensor], n_vocab: int) -> dict[str, AnyTensor]:
    """Without the embedding's rows that no token has, which were put there to make its height a
    round number.
    """
    whole = tensors.get(EMBEDDING)
    if whole is None or len(whole.shape) != 2 or not 0 < whole.shape[0] - n_vocab < PADDING:
        return tensors
    note(
        f"{whole.path}: the last {whole.shape[0] - n_vocab} of {whole.shape[0]:,} rows of"
        f" {EMBEDDING!r} left out: no token has them"
    )
    return tensors | {EMBEDDING: whole.beginning((n_vocab, whole.shape[1]))}


def _turned(
    tensors: dict[str, AnyTensor], wanted: Mapping[str, tuple[int, ...]]
) -> dict[str, AnyTensor]:
    """As nanoGPT and its kin store a GPT-2: projections as (out, in), and perhaps no biases, which
    are then 0.
    """
    if FIRST not in tensors or tensors[FIRST].shape != wanted[FIRST][::-1]:
        return tensors
    where = tensors[FIRST].path
    note(
        f"{where}: stored as by nanoGPT, whose exact GELU is computed here by GPT-2's"
        " approximation: figures differ slightly"
    )
    turned = {key: _axes_exchanged(key, tensor) for key, tensor in tensors.items()}
    biases = [key for key in wanted if key.endswith(".bias")]
    if any(key in tensors for key in biases):
        return turned
    return turned | {key: HeldTensor(where, key, torch.zeros(wanted[key])) for key in biases}


def _axes_exchanged(key: str, tensor: AnyTensor) -> AnyTensor:
    return (
        Transposed(tensor)
        if key.startswith("h.") and len(tensor.shape) == 2 and not isinstance(tensor, Transposed)
        else tensor
    )
