"""Fine-tunes the encoder of `kinds/readers/encoder.py` on crops; killed, it continues from its last
snapshot with the same result.

The word embeddings stay as they are: they are half of a small encoder's numbers, and what is rare
among the training texts would drift. Weights are updated in float32 and read in bfloat16 where the
processor has it. Dropout stays off, as the encoder was loaded: crops and dropped tokens do what it
is for.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from staged.detectors.kinds.readers.encoder import (
    PADDING,
    UNKNOWN,
    TokenOdds,
    mean_odds,
    padded,
    token_id,
)
from staged.errors import CheckpointError, PlanError
from staged.model.devices import best_dtype
from staged.model.training.snapshots import opened_snapshot, save_snapshot
from staged.progress import Progress, silent
from staged.records import MACHINE
from staged.training.readers.crops import Crop, Crops

WARM_UP = 0.05  # of all steps
KEEP_EVERY = 200  # steps between two snapshots


@dataclass(frozen=True)
class EncoderSettings:
    """How the encoder is fine-tuned.

    Attributes:
        base: the encoder: `minilm`, a local folder or a hub name such as `roberta-base`.
        steps: batches; the learning rate falls to 0 over them.
        learning_rate: at its peak.
        weight_decay: of AdamW.
        batch_tokens: words and marks a batch.
        token_dropout: share of training tokens that are replaced by the unknown one.
        max_tokens: longest input, marks counted.
        seed: of the new weights and of token dropout.
    """

    base: str = "minilm"
    learning_rate: float = 2e-4
    steps: int = 3000
    batch_tokens: int = 3000
    token_dropout: float = 0.05
    weight_decay: float = 0.01
    max_tokens: int = 512
    seed: int = 1

    def __post_init__(self) -> None:
        if (
            min(self.steps, self.batch_tokens, self.max_tokens) < 1
            or not 0 <= self.token_dropout < 1
            or self.learning_rate <= 0
        ):
            raise PlanError(
                "encoder: steps, batch_tokens and max_tokens must be at least 1, learning_rate"
                " above 0, token_dropout in [0, 1)"
            )

    def of_steps(self, steps: int) -> EncoderSettings:
        """The same for so many steps."""
        return replace(self, steps=steps)


def train_encoder(
    model: TokenOdds,
    tokenizer: Any,
    crops: Crops,
    settings: EncoderSettings,
    *,
    checkpoint: Path,
    device: str = "cpu",
    progress: Progress = silent,
) -> TokenOdds:
    """Fine-tune in place; what a step reads does not depend on the device.

    Args:
        tokenizer: a `tokenizers.Tokenizer` that puts its marks around a text.
        checkpoint: file that holds the state; a killed run continues from it.
        device: where it computes, `cpu` or `cuda`; the model comes back to the processor.
        progress: called with (steps done, all).

    Raises:
        CheckpointError: the loss stopped being finite.
    """
    model.to(device).encoder.embeddings.requires_grad_(False)
    masters = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    reading = copy.deepcopy(model).to(best_dtype(device))
    copies = dict(reading.named_parameters())
    optimizer = torch.optim.AdamW(
        masters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    done = _resumed(checkpoint, model, optimizer) if checkpoint.is_file() else 0
    _synchronise(masters, copies)
    for step in range(done, settings.steps):
        torch.manual_seed(settings.seed * 1_000_003 + step)
        batch = crops.batch(step, tokens=settings.batch_tokens)
        loss = _loss(reading, tokenizer, batch, settings)
        if not torch.isfinite(loss):
            raise CheckpointError(
                f"encoder: the loss is {float(loss)} at step {step}; lower learning_rate"
            )
        loss.backward()
        _take_gradients(masters, copies)
        torch.nn.utils.clip_grad_norm_(masters.values(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate(step, settings.steps)
        optimizer.step()
        _synchronise(masters, copies)
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == settings.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save_snapshot(checkpoint, state | {"steps": step + 1})
        progress(step + 1, settings.steps)
    return model.to("cpu").eval()


def rate(step: int, steps: int) -> float:
    """Share of the learning rate: up in the first steps, then down along half a cosine."""
    warm = max(1, round(WARM_UP * steps))
    return min(1.0, (step + 1) / warm) * (1 + math.cos(math.pi * step / steps)) / 2


def _resumed(checkpoint: Path, model: TokenOdds, optimizer: torch.optim.Optimizer) -> int:
    """Steps that a killed run has done, whose state is put back."""
    with opened_snapshot(checkpoint) as state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        steps: int = state["steps"]
    return steps


def _take_gradients(masters: Mapping[str, Tensor], copies: Mapping[str, Tensor]) -> None:
    """Move the gradients of the copies that read to the float32 weights that are updated."""
    for name, master in masters.items():
        gradient, copies[name].grad = copies[name].grad, None
        master.grad = None if gradient is None else gradient.float()


@torch.no_grad()
def _synchronise(masters: Mapping[str, Tensor], copies: Mapping[str, Tensor]) -> None:
    for name, master in masters.items():
        copies[name].copy_(master)


def _loss(model: TokenOdds, tokenizer: Any, batch: list[Crop], settings: EncoderSettings) -> Tensor:
    encodings = tokenizer.encode_batch([crop.text for crop in batch])
    rows = [encoding.ids[: settings.max_tokens] for encoding in encodings]
    ids_BT, mask_BT = padded(rows, token_id(tokenizer, PADDING))
    if settings.token_dropout:
        dropped = (torch.rand(ids_BT.shape) < settings.token_dropout) & (mask_BT == 1)
        dropped[:, 0] = False
        ids_BT = ids_BT.masked_fill(dropped, token_id(tokenizer, UNKNOWN))
    labels = torch.tensor([float(crop.example.label == MACHINE) for crop in batch])
    device = model.unit.weight.device
    ids_BT, mask_BT = ids_BT.to(device), mask_BT.to(device)
    odds_B = mean_odds(model(ids_BT, mask_BT), mask_BT)
    return F.binary_cross_entropy_with_logits(odds_B, labels.to(device))
