"""Models by name: shipped, downloaded, or a folder in any published layout; and saving in the
hub's.

`transformers` loads what we save, unchanged, and we load what it saves.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from staged.errors import CheckpointError
from staged.model.beside import note_beside
from staged.model.bpe import BPE, load_bpe
from staged.model.formats.file_tensor import AnyTensor
from staged.model.formats.layouts import config_file, read_object, read_shape
from staged.model.formats.safetensors import write_safetensors
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2
from staged.model.gpt2.weights import PADDING, open_weights
from staged.model.sources.packaged import PACKAGES, is_installed, packaged_folder
from staged.model.sources.places import (
    is_written_as_path,
    nearest_place,
    place_of,
    standing,
    why_not_there,
)
from staged.model.sources.releases import BUCKET, RELEASES, aliases, is_repository, released
from staged.model.sources.repositories import hub_folder, is_cached, openai_folder
from staged.model.sources.served import parse_served
from staged.settings import nearest
from staged.storage.json_files import write_json

MINIS = ("mini-s", "mini-m", "mini-l", "mini-xl", "roberta-mini")


def model_folder(name: str) -> Path:
    """The folder of a model, downloaded where it has to be.

    Args:
        name: one of ours that ships in the package; one that another package holds
            (staged.model.sources.packaged); a released size by any of its names
            (staged.model.sources.releases); `openai:SIZE` for OpenAI's own files; a local path; a
            hub repository `owner/model`.

    Raises:
        CheckpointError: none of these, one behind a server, or it cannot be downloaded.
    """
    refuse_served(name)
    small = name.lower()
    shipped = Path(str(files("staged") / "model" / "minis" / small))
    if small in MINIS:
        if not shipped.is_dir():
            raise CheckpointError(
                f"model {name!r}: not in this installation; reinstall, or train it with"
                " `staged train minis`"
            )
        return shipped
    if small in PACKAGES:
        return packaged_folder(small)
    release = released(name.removeprefix(BUCKET))
    if release is not None:
        return openai_folder(release) if name.startswith(BUCKET) else hub_folder(release.hub)
    place = place_of(name)
    if name and standing(place) == "folder":
        return place
    if is_repository(name) and not standing(place):
        return hub_folder(name)
    raise CheckpointError(f"model {name!r}: {_why_no_model(name, place)}")


def refuse_served(name: str) -> None:
    """Refuse a model behind a server where its files are needed.

    Raises:
        CheckpointError: it is one, or is written as one and wrongly.
    """
    if parse_served(name):
        raise CheckpointError(
            f"model {name!r}: a model behind a server has no files here, and what reads a model's"
            " weights or likelihoods needs them; give its folder, or let it write texts with"
            " staged sample, study, survey make or bias"
        )


def is_at_hand(name: str) -> bool:
    """Whether a model's files are on this machine, told without unpacking or downloading; those of
    a model behind a server are not.
    """
    small = name.lower()
    if small in PACKAGES:
        return is_installed(small)
    release = released(name)
    repository = release.hub if release else name
    return (
        small in MINIS
        or own_folder(name) is not None
        or (is_repository(repository) and is_cached(repository))
    )


def own_folder(name: str) -> Path | None:
    """The user's folder that a model's name means; None where it means another model, or none that
    is here.
    """
    if parse_served(name):
        return None
    shared = name.lower() in (*MINIS, *PACKAGES) or released(name.removeprefix(BUCKET)) is not None
    return place_of(name) if name and not shared and standing(place_of(name)) == "folder" else None


def _why_no_model(name: str, place: Path) -> str:
    if standing(place) == "file":
        unread = " (GGUF files are written, not read)" if place.suffix == ".gguf" else ""
        return (
            "is a file; give the folder that holds the model, such as"
            f" {str(place.parent)!r}{unread}"
        )
    if name.startswith(BUCKET):
        sizes = [f"{BUCKET}{release.size}" for release in RELEASES]
        return f"no released size; {nearest(name, sizes)}"
    known = (*MINIS, *PACKAGES, *aliases())
    if is_written_as_path(name):
        return why_not_there(name, known=known)
    sentence = nearest(name, known)
    near = None if sentence.startswith("did you mean") else nearest_place(name)
    return (
        "neither a shipped model nor a folder nor a released size;"
        f" {f'did you mean {near!r}?' if near else sentence}"
    )


def load_model(name: str, *, dtype: torch.dtype = torch.float32) -> tuple[GPT2, BPE]:
    """A GPT-2 in evaluation mode and its tokenizer; beyond the weights in `dtype`, memory holds one
    piece of a tensor.

    Args:
        name: as `model_folder` takes it.
        dtype: of the loaded weights.

    Raises:
        CheckpointError: as `open_model`; or a tensor that is truncated, damaged or not finite.
    """
    config, bpe, stored = open_model(name)
    with torch.device("meta"):
        model = GPT2(config)
    model.load_state_dict({key: stored.pop(key).read(dtype) for key in list(stored)}, assign=True)
    return model.eval().requires_grad_(False), bpe


def open_model(name: str) -> tuple[GPT2Config, BPE, dict[str, AnyTensor]]:
    """A model's shape, tokenizer and tensors, these located and checked but not read.

    Raises:
        CheckpointError: unknown name; a missing or foreign file; a tensor missing or misshapen; a
            tokenizer of another size. The sentence names the file and the tensor.
    """
    return open_folder(model_folder(name))


def open_folder(folder: Path) -> tuple[GPT2Config, BPE, dict[str, AnyTensor]]:
    """`open_model` of a folder.

    Raises:
        CheckpointError: as `open_model`.
    """
    config, bpe = read_config(folder), load_bpe(folder)
    if not (bpe.n_vocab == config.n_vocab or _is_padded(folder, config, bpe)):
        raise CheckpointError(
            f"{folder}: the tokenizer has {bpe.n_vocab} entries but the model {config.n_vocab}"
        )
    note_beside(folder)
    config = replace(config, n_vocab=bpe.n_vocab)
    return config, bpe, open_weights(folder, config)


def _is_padded(folder: Path, config: GPT2Config, bpe: BPE) -> bool:
    """Whether the model has a few rows more than tokens, and the config's end of text, where it
    says one, is the tokenizer's.
    """
    end = read_object(config_file(folder)).get("eos_token_id")
    return 0 < config.n_vocab - bpe.n_vocab < PADDING and end in (None, bpe.end_of_text)


def read_config(folder: Path) -> GPT2Config:
    """The shape of a folder's model, from `config.json` or `hparams.json`.

    Raises:
        CheckpointError: missing, damaged, or of another architecture.
    """
    path = config_file(folder)
    read = GPT2Config.from_hparams if path.name == "hparams.json" else GPT2Config.from_hub
    return read(read_shape(folder), where=str(path))


def save_model(folder: Path, model: GPT2, bpe: BPE, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the hub's layout, without the tied head, holding one tensor at a time in `dtype`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: tensor.detach() for key, tensor in model.state_dict().items()}
    write_json(folder / "config.json", hub_config(model.config, dtype))
    bpe.save(folder)
    sizes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    write_safetensors(folder / "model.safetensors", sizes, dtype, weights.__getitem__)


def hub_config(config: GPT2Config, dtype: torch.dtype) -> dict[str, Any]:
    """The `config.json` of weights stored in `dtype`."""
    return config.to_hub() | {"torch_dtype": str(dtype).removeprefix("torch.")}
