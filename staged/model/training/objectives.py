"""The two objectives: next-token prediction by our GPT-2, masked by transformers' RoBERTa."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from staged.errors import PlanError
from staged.model.bpe import BPE
from staged.model.checkpoints import save_model
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.model.training import data
from staged.model.training.lora import add_low_rank, merge_low_rank
from staged.model.training.loss import chunked_cross_entropy
from staged.model.training.plan import TrainSettings


class Task(Protocol):
    """What differs between the objectives; `loss` sums cross-entropy over a micro-batch."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def loss(self) -> nn.Module: ...

    @property
    def rows(self) -> list[list[int]]: ...

    @property
    def valid_rows(self) -> list[list[int]]: ...

    def batch(self, rows: Sequence[Sequence[int]], key: Sequence[int]) -> tuple[Tensor, Tensor]: ...

    def save(self, folder: Path) -> None: ...


def recompute(blocks: Iterable[nn.Module]) -> None:
    """Gradient checkpointing: a block keeps only its input and computes the rest again in the
    backward pass, same dropout.
    """
    for block in blocks:
        block.forward = partial(
            checkpoint, block.forward, use_reentrant=False, preserve_rng_state=True
        )


class CausalLoss(nn.Module):
    """Summed next-token cross-entropy in nats; logits only where there is a target, and only for
    some rows at a time.
    """

    def __init__(self, model: GPT2) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        seen = targets_BT != data.IGNORED
        return chunked_cross_entropy(
            self.model.hidden(inputs_BT)[seen], self.model.wte.weight, targets_BT[seen]
        )


class CausalTask:
    """Next-token prediction by our GPT-2, fresh or from the model that `init` names."""

    def __init__(
        self,
        settings: TrainSettings,
        bpe: BPE,
        texts: Sequence[str],
        valid: Sequence[str],
        pretrained: GPT2 | None = None,
    ) -> None:
        self.bpe = bpe
        self.saved_dtype = torch.float32 if settings.saved_precision == "fp32" else torch.bfloat16
        self.model = _causal_model(settings, bpe, pretrained)
        self.loss = CausalLoss(self.model)
        n_ctx = self.model.config.n_ctx
        self.rows = data.causal_rows(texts, bpe, n_ctx)
        self.valid_rows = data.causal_rows(valid, bpe, n_ctx)

    def batch(self, rows: Sequence[Sequence[int]], key: Sequence[int]) -> tuple[Tensor, Tensor]:
        return data.causal_batch(rows, self.bpe.end_of_text)

    def save(self, folder: Path) -> None:
        merge_low_rank(self.model)
        save_model(folder, self.model, self.bpe, dtype=self.saved_dtype)


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
    """Masked-token prediction by transformers' RoBERTa."""

    def __init__(
        self,
        settings: TrainSettings,
        bpe: BPE,
        texts: Sequence[str],
        valid: Sequence[str],
        pretrained: GPT2 | None = None,
    ) -> None:
        # transformers takes seconds to import; only this objective needs it
        from staged.model.training import encoder

        self.tokenizer = encoder.encoder_tokenizer(bpe, settings.n_ctx)
        shape = {
            "width": settings.n_embd,
            "heads": settings.n_head,
            "layers": settings.n_layer,
            "n_ctx": settings.n_ctx,
        }
        self.model = encoder.new_encoder(self.tokenizer, **shape)
        if settings.checkpointing:
            recompute(self.model.base_model.encoder.layer)
        self.loss = MaskedLoss(self.model)
        self.mask_share = settings.mask_share
        self.rows, self.valid_rows = (
            [
                list(ids)
                for ids in self.tokenizer(list(part), truncation=True, max_length=settings.n_ctx)[
                    "input_ids"
                ]
            ]
            for part in (texts, valid)
        )

    def batch(self, rows: Sequence[Sequence[int]], key: Sequence[int]) -> tuple[Tensor, Tensor]:
        pad, mask = self.tokenizer.pad_token_id, self.tokenizer.mask_token_id
        sizes = {"first_plain": mask + 1, "n_vocab": len(self.tokenizer)}
        return data.masked_batch(rows, share=self.mask_share, pad=pad, mask=mask, key=key, **sizes)

    def save(self, folder: Path) -> None:
        from staged.model.training import encoder

        encoder.save_pretrained(folder, self.model.to(torch.bfloat16), self.tokenizer)


def _causal_model(settings: TrainSettings, bpe: BPE, pretrained: GPT2 | None) -> GPT2:
    streams = torch.Generator().manual_seed(settings.seed)
    if pretrained is not None:
        with torch.device("meta"):
            model = GPT2(pretrained.config, dropout=settings.dropout)
        # the same memory: never two copies
        model.load_state_dict(pretrained.state_dict(), assign=True)
    else:
        shape = {name: getattr(settings, name) for name in ("n_ctx", "n_embd", "n_head", "n_layer")}
        model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, **shape), dropout=settings.dropout)
        initialise(model, streams)
    if settings.lora_rank:
        if settings.lora_rank > model.config.n_embd:
            raise PlanError(
                f"train: lora_rank {settings.lora_rank} is more than the model's width,"
                f" {model.config.n_embd}"
            )
        add_low_rank(model, rank=settings.lora_rank, alpha=settings.lora_alpha, generator=streams)
    if settings.checkpointing:
        recompute(model.h)
    return model
