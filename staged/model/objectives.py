"""The two objectives: next-token prediction by our GPT-2, masked-token prediction by transformers' RoBERTa."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from staged.model import data
from staged.model.bpe import BPE
from staged.model.checkpoints import load_model, save_model
from staged.model.config import GPT2Config
from staged.model.gpt2 import GPT2, initialise
from staged.model.plan import TrainSettings


class Task(Protocol):
    """What differs between the objectives. `loss` sums cross-entropy over a micro-batch's targets."""

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


class CausalLoss(nn.Module):
    """Summed next-token cross-entropy in nats; logits only where there is a target."""

    def __init__(self, model: GPT2) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        seen = targets_BT != data.IGNORED
        logits = F.linear(self.model.hidden(inputs_BT)[seen], self.model.wte.weight)
        return F.cross_entropy(logits, targets_BT[seen], reduction="sum")


class CausalTask:
    """Next-token prediction by our GPT-2, fresh or from `init`."""

    def __init__(self, settings: TrainSettings, bpe: BPE, texts: Sequence[str], valid: Sequence[str]) -> None:
        self.bpe = bpe
        self.model = _causal_model(settings, bpe)
        self.loss = CausalLoss(self.model)
        n_ctx = self.model.config.n_ctx
        self.rows, self.valid_rows = data.causal_rows(texts, bpe, n_ctx), data.causal_rows(valid, bpe, n_ctx)

    def batch(self, rows: Sequence[Sequence[int]], key: Sequence[int]) -> tuple[Tensor, Tensor]:
        return data.causal_batch(rows, self.bpe.end_of_text)

    def save(self, folder: Path) -> None:
        save_model(folder, self.model, self.bpe)


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

    def __init__(self, settings: TrainSettings, bpe: BPE, texts: Sequence[str], valid: Sequence[str]) -> None:
        from staged.model import encoder  # transformers takes seconds to import; only this objective needs it

        self.tokenizer = encoder.encoder_tokenizer(bpe, settings.n_ctx)
        shape = {"width": settings.n_embd, "heads": settings.n_head, "layers": settings.n_layer, "n_ctx": settings.n_ctx}
        self.model = encoder.new_encoder(self.tokenizer, **shape)
        self.loss = MaskedLoss(self.model)
        self.mask_share = settings.mask_share
        self.rows, self.valid_rows = (
            [list(ids) for ids in self.tokenizer(list(part), truncation=True, max_length=settings.n_ctx)["input_ids"]]
            for part in (texts, valid)
        )

    def batch(self, rows: Sequence[Sequence[int]], key: Sequence[int]) -> tuple[Tensor, Tensor]:
        pad, mask = self.tokenizer.pad_token_id, self.tokenizer.mask_token_id
        sizes = {"first_plain": mask + 1, "n_vocab": len(self.tokenizer)}
        return data.masked_batch(rows, share=self.mask_share, pad=pad, mask=mask, key=key, **sizes)

    def save(self, folder: Path) -> None:
        from staged.model import encoder

        encoder.save_pretrained(folder, self.model.to(torch.bfloat16), self.tokenizer)


def _causal_model(settings: TrainSettings, bpe: BPE) -> GPT2:
    if settings.init:
        pretrained = load_model(settings.init)[0]
        model = GPT2(pretrained.config, dropout=settings.dropout)
        model.load_state_dict(pretrained.state_dict())
        return model
    shape = {name: getattr(settings, name) for name in ("n_ctx", "n_embd", "n_head", "n_layer")}
    model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, **shape), dropout=settings.dropout)
    initialise(model, torch.Generator().manual_seed(settings.seed))
    return model
