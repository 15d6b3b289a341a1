"""Model folders in the hub's layout: config.json, model.safetensors, tokenizer.json.

`transformers` loads what we save, unchanged, and we load what it saves.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from staged.artifacts import read_json, write_atomic, write_json
from staged.errors import ArtifactError, CheckpointError
from staged.model.bpe import BPE, load_bpe
from staged.model.config import GPT2Config
from staged.model.gpt2 import GPT2
from staged.settings import nearest

MINIS = ("mini-s", "mini-m", "mini-l", "mini-xl", "roberta-mini")


def model_folder(name: str) -> Path:
    """The folder of a model: one of ours that ships in the package, or a local path.

    Raises:
        CheckpointError: neither.
    """
    shipped = Path(str(files("staged") / "model" / "minis" / name))
    if name in MINIS:
        if not shipped.is_dir():
            raise CheckpointError(f"model {name!r}: not in this installation; reinstall, or train it with plans/minis.toml")
        return shipped
    if Path(name).is_dir():
        return Path(name)
    raise CheckpointError(f"model {name!r}: neither a shipped model nor a folder; {nearest(name, MINIS)}")


def load_model(name: str, *, dtype: torch.dtype = torch.float32) -> tuple[GPT2, BPE]:
    """A GPT-2 in evaluation mode and its tokenizer.

    Args:
        name: `mini-s` … `mini-xl`, or a folder in the hub's layout.
        dtype: of the loaded weights.

    Raises:
        CheckpointError: unknown name; a missing, truncated or foreign file; a tensor missing, misshapen or not finite; a
            tokenizer of another size. The sentence names the file and the tensor.
    """
    folder = model_folder(name)
    try:
        config = GPT2Config.from_hub(read_json(folder / "config.json"), where=str(folder / "config.json"))
    except ArtifactError as error:
        raise CheckpointError(f"{error}; a model folder holds config.json, model.safetensors, tokenizer.json") from None
    bpe = load_bpe(folder)
    if bpe.n_vocab != config.n_vocab:
        raise CheckpointError(f"{folder}: the tokenizer has {bpe.n_vocab} entries but the model {config.n_vocab}")
    with torch.device("meta"):
        model = GPT2(config)
    wanted = {key: tensor.shape for key, tensor in model.state_dict().items()}
    model.load_state_dict(read_tensors(folder / "model.safetensors", wanted, dtype=dtype), assign=True)
    return model.eval().requires_grad_(False), bpe


def read_tensors(path: Path, wanted: dict[str, torch.Size], *, dtype: torch.dtype) -> dict[str, Tensor]:
    """The wanted tensors of a safetensors file, with or without the `transformer.` prefix; mask buffers are skipped.

    Raises:
        CheckpointError: as `load_model`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            stored = {key.removeprefix("transformer."): key for key in file.keys()}  # noqa: SIM118 (not a dict)
            tensors = {}
            for key, shape in wanted.items():
                if key not in stored:
                    raise CheckpointError(f"{path}: tensor {key!r} is missing")
                tensor = file.get_tensor(stored[key])
                if tensor.shape != shape:
                    raise CheckpointError(f"{path}: tensor {key!r} has shape {list(tensor.shape)}, config.json says {list(shape)}")
                if not torch.isfinite(tensor).all():
                    raise CheckpointError(f"{path}: tensor {key!r} holds NaN or infinity; the checkpoint is damaged")
                tensors[key] = tensor.to(dtype)
            return tensors
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file, or truncated: {error}") from None


def save_model(folder: Path, model: GPT2, bpe: BPE, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the three files of the hub's layout (the tied head is not stored twice)."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: tensor.detach().to(dtype).contiguous() for key, tensor in model.state_dict().items()}
    write_json(folder / "config.json", model.config.to_hub() | {"torch_dtype": str(dtype).removeprefix("torch.")})
    bpe.save(folder)
    write_atomic(folder / "model.safetensors", save(tensors, metadata={"format": "pt"}))
