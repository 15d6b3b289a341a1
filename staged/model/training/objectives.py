"""The two objectives: next-token prediction by a causal model of any family, masked by
transformers' RoBERTa.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from staged.errors import PlanError
from staged.model.bpe import BPE
from staged.model.training import data
from staged.model.training.lora import add_low_rank, merge_low_rank
from staged.model.training.loss import chunked_cross_entropy
from staged.model.training.plan import TrainSettings
from staged.model.training.trainable.contract import Trainable
from staged.model.training.trainable.start import own_tokenizer, start


class Task(Protocol):
    """What differs between the objectives; `loss` sums cross-entropy over a micro-batch.

    Attributes:
        blocks: the model's layers, without embeddings and head.
        n_ctx: the longest passage in tokens.
    """

    @property
    def model(self) -> nn.Module: ...

    @property
    def loss(self) -> nn.Module: ...

    @property
    def blocks(self) -> Iterable[nn.Module]: ...

    @property
    def n_ctx(self) -> int: ...

    def count(self, texts: Sequence[str]) -> list[int]: ...

    def rows(self, texts: Sequence[str]) -> list[list[int]]: ...

    def batch(self, rows: Sequence[Sequence[int]], key: Sequence[int]) -> tuple[Tensor, Tensor]: ...

    def save(self, folder: Path) -> None: ...


def new_task(settings: TrainSettings, texts: Iterable[str]) -> Task:
    """What a run trains, at its start.

    Args:
        texts: what a tokenizer is learned from, where one is.

    Raises:
        CheckpointError, PlanError: what the settings name is missing or does not fit.
    """
    if settings.objective == "masked":
        return MaskedTask(settings, own_tokenizer(settings, texts))
    return CausalTask(settings, start(settings, texts))


def recompute(blocks: Iterable[nn.Module]) -> None:
    """Gradient checkpointing: a block keeps only its input and computes the rest again in the
    backward pass, same dropout.
    """
    for block in blocks:
        block.forward = partial(
            checkpoint, block.forward, use_reentrant=False, preserve_rng_state=True
        )


def fuse(blocks: Iterable[nn.Module]) -> None:
    """Let `torch.compile` make one program of each block; blocks of one shape share it."""
    for block in blocks:
        block.forward = torch.compile(block.forward)


def _prepare(blocks: Iterable[nn.Module], settings: TrainSettings) -> None:
    """How blocks compute, as the settings say."""
    if settings.compile:
        fuse(blocks)
    if settings.checkpointing:
        recompute(blocks)


class CausalLoss(nn.Module):
    """Summed next-token cross-entropy in nats; logits only where there is a target, and only for
    some rows at a time.

    Args:
        model: the weights, so that they move along.
        hidden: token ids (B, T) → its final hidden states (B, T, C).
        head: its head (V, C).
    """

    def __init__(
        self, model: nn.Module, hidden: Callable[[Tensor], Tensor], head: Callable[[], Tensor]
    ) -> None:
        super().__init__()
        self.model, self.hidden, self.head = model, hidden, head

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        seen = targets_BT != data.IGNORED
        return chunked_cross_entropy(self.hidden(inputs_BT)[seen], self.head(), targets_BT[seen])


class CausalTask:
    """Next-token prediction by a model of any family."""

    def __init__(self, settings: TrainSettings, trained: Trainable) -> None:
        self.trained, self.model = trained, trained.module
        self.n_ctx, self.count = trained.shape.n_ctx, trained.tokenizer.count
        self.saved_dtype = torch.float32 if settings.saved_precision == "fp32" else torch.bfloat16
        if settings.lora_rank:
            _adapt(settings, trained)
        self.blocks = trained.blocks
        _prepare(self.blocks, settings)
        self.loss = CausalLoss(trained.module, trained.hidden, lambda: trained.head)

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        return data.causal_rows(texts, self.trained.tokenizer, self.n_ctx)

    def batch(self, rows: Sequence[Sequence[int]], key: Sequence[int]) -> tuple[Tensor, Tensor]:
        return data.causal_batch(rows, self.trained.tokenizer.end_of_text)

    def save(self, folder: Path) -> None:
        merge_low_rank(self.model)
        self.trained.save(folder, self.saved_dtype)


def _adapt(settings: TrainSettings, trained: Trainable) -> None:
    width = trained.shape.n_embd
    if settings.lora_rank > width:
        raise PlanError(
            f"train: lora_rank {settings.lora_rank} is more than the model's width, {width}"
        )
    generator = torch.Generator().manual_seed(settings.seed)
    rank, alpha = settings.lora_rank, settings.lora_alpha
    add_low_rank(trained.module, trained.blocks, rank=rank, alpha=alpha, generator=generator)


class MaskedLoss(nn.Module):
    """Summed masked-token cross-entropy in nats; the head runs only where there is a target."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        seen = targets_BT != data.IGNORED
        attended = (inputs_BT != self.model.config.pad_token_id).long()
        hidden = self.model.base_model(inputs_BT, attention_mask=attended).last_hidden_state
        return F.cross_entropy(self.model.lm_head(hidden[seen]), targets_BT[seen], reduction="sum")


class MaskedTask:
    """Masked-token prediction by transformers' RoBERTa, from scratch."""

    def __init__(self, settings: TrainSettings, bpe: BPE) -> None:
        # transformers takes seconds to import; only this objective needs it
        from staged.model.training import encoder

        self.n_ctx, self.count, self.mask_share = settings.n_ctx, bpe.count, settings.mask_share
        self.tokenizer = encoder.encoder_tokenizer(bpe, settings.n_ctx)
        shape = {
            "width": settings.n_embd,
            "heads": settings.n_head,
            "layers": settings.n_layer,
            "n_ctx": settings.n_ctx,
        }
        self.model = encoder.new_encoder(self.tokenizer, **shape)
        self.blocks: Iterable[nn.Module] = self.model.base_model.encoder.layer
        _prepare(self.blocks, settings)
        self.loss = MaskedLoss(self.model)

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self.tokenizer(list(texts), truncation=True, max_length=self.n_ctx)
        return [list(ids) for ids in encoded["input_ids"]]

    def batch(self, rows: Sequence[Sequence[int]], key: Sequence[int]) -> tuple[Tensor, Tensor]:
        pad, mask = self.tokenizer.pad_token_id, self.tokenizer.mask_token_id
        sizes = {"first_plain": mask + 1, "n_vocab": len(self.tokenizer)}
        return data.masked_batch(rows, share=self.mask_share, pad=pad, mask=mask, key=key, **sizes)

    def save(self, folder: Path) -> None:
        from staged.model.training import encoder

        encoder.save_pretrained(folder, self.model.to(torch.bfloat16), self.tokenizer)
