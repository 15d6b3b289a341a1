"""A model of another family, through transformers, as training sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from staged.errors import CheckpointError
from staged.model.formats.layouts import BESIDE
from staged.model.formats.safetensors import library_disk_errors
from staged.model.outside_tokenizer import OutsideTokenizer
from staged.model.shape import ModelShape
from staged.model.sources.packaged import quiet
from staged.model.transformers_lm import Outside, load_outside
from staged.storage.writing import write_atomic


@dataclass(frozen=True)
class TrainableOutside:
    """A transformers model, its tokenizer, and the files that are saved beside its weights; a
    `Trainable`.

    Attributes:
        outside: in float32, every weight trained, weights that are tied tied.
        carried: file name → content, saved as it is.
        blocks: the model's layers.
    """

    outside: Outside
    carried: Mapping[str, bytes]
    blocks: Iterable[nn.Module]

    @property
    def module(self) -> nn.Module:
        module: nn.Module = self.outside.model
        return module

    @property
    def tokenizer(self) -> OutsideTokenizer:
        return self.outside.tokenizer

    @property
    def shape(self) -> ModelShape:
        return self.outside.config

    @property
    def head(self) -> Tensor:
        weight: Tensor = self.outside.model.get_output_embeddings().weight
        return weight

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        return self.outside.hidden(tokens_BT)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        _save_weights(folder, self.outside.model.to(dtype))
        for name, content in self.carried.items():
            write_atomic(folder / name, content)


def trainable(outside: Outside, carried: Mapping[str, bytes], *, where: str) -> TrainableOutside:
    """A model that was loaded to be read, made ready to be trained.

    Args:
        where: how the error calls it.

    Raises:
        CheckpointError: it is not made of layers.
    """
    outside.model.requires_grad_(True).train()
    layers = (
        module
        for module in outside.model.modules()
        if isinstance(module, nn.ModuleList) and len(module) == outside.config.n_layer
    )
    blocks = next(layers, None)
    if blocks is None:
        raise CheckpointError(
            f"{where}: has no list of {outside.config.n_layer} layers, as its config.json says;"
            " choose another model"
        )
    return TrainableOutside(outside, carried, blocks)


def pretrained_outside(folder: Path) -> TrainableOutside:
    """A folder's model of another family.

    Raises:
        CheckpointError: as `load_outside`.
    """
    outside = load_outside(folder, dtype=torch.float32)
    carried = {name: path.read_bytes() for name, path in carried_files(folder).items()}
    return trainable(outside, carried, where=str(folder))


def carried_files(folder: Path) -> dict[str, Path]:
    """File name → path of what stands beside a folder's weights and is saved again as it is."""
    return {
        name: folder / name for name in ("tokenizer.json", *BESIDE) if (folder / name).is_file()
    }


def _save_weights(folder: Path, model: Any) -> None:
    """`config.json`, weights, and a `generation_config.json` that asks for nothing; without a bar.

    Raises:
        OSError: the disk is full.
    """
    from transformers import GenerationConfig

    # a published one may ask for what this version of transformers does not save
    model.generation_config = GenerationConfig.from_model_config(model.config)
    with quiet(), library_disk_errors():
        model.save_pretrained(folder)
