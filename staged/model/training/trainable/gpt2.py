"""Our GPT-2 as training sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from staged.model.bpe import BPE
from staged.model.checkpoints import load_model, save_model
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.model.training.plan import TrainSettings


@dataclass(frozen=True)
class TrainableGPT2:
    """A GPT-2 and its tokenizer; a `Trainable`."""

    module: GPT2
    tokenizer: BPE

    @property
    def shape(self) -> GPT2Config:
        return self.module.config

    @property
    def blocks(self) -> Iterable[nn.Module]:
        return self.module.h

    @property
    def head(self) -> Tensor:
        return self.module.wte.weight

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        return self.module.hidden(tokens_BT)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        save_model(folder, self.module, self.tokenizer, dtype=dtype)


def new_gpt2(settings: TrainSettings, bpe: BPE) -> TrainableGPT2:
    """Fresh weights, drawn by the seed."""
    shape = {name: getattr(settings, name) for name in ("n_ctx", "n_embd", "n_head", "n_layer")}
    model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, **shape), dropout=settings.dropout)
    initialise(model, torch.Generator().manual_seed(settings.seed))
    return TrainableGPT2(model, bpe)


def pretrained_gpt2(settings: TrainSettings) -> TrainableGPT2:
    """The model that `init` names.

    Raises:
        CheckpointError: as `load_model`.
    """
    pretrained, bpe = load_model(settings.init)
    with torch.device("meta"):
        model = GPT2(pretrained.config, dropout=settings.dropout)
    # the same memory: never two copies
    model.load_state_dict(pretrained.state_dict(), assign=True)
    return TrainableGPT2(model, bpe)
