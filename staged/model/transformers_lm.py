"""Causal language models of other families, through transformers: to read texts with, and to
generate.

Axes: B rows · T tokens · C hidden width · M positions · V vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from staged.errors import CheckpointError, first_line
from staged.model.beside import note_beside
from staged.model.formats.layouts import read_object
from staged.model.outside_tokenizer import OutsideTokenizer, load_outside_tokenizer
from staged.model.shape import ModelShape
from staged.model.sources.packaged import quiet


class OutsideCache:
    """Keys and values as transformers keeps them; `length` may be set back."""

    def __init__(self) -> None:
        from transformers import DynamicCache

        self.kept = DynamicCache()

    @property
    def length(self) -> int:
        return int(self.kept.get_seq_length())

    @length.setter
    def length(self, tokens: int) -> None:
        if tokens < self.length:
            self.kept.crop(tokens - self.length)  # how many to remove, as a negative number

    def keep(self, rows: Tensor) -> None:
        self.kept.batch_select_indices(rows.nonzero()[:, 0])


class Outside:
    """A transformers causal language model as generation and scoring see it.

    Args:
        model: loaded by `AutoModelForCausalLM`.
        tokenizer: its tokenizer.
        where: how errors call it.

    Attributes:
        config: the numbers that every model here has.
        head_VC: the output head, only as high as the tokenizer's vocabulary.

    Raises:
        CheckpointError: a tokenizer larger than the model's head, or logits that pass through more
            than a head (bias, scale, cap).
    """

    def __init__(self, model: Any, tokenizer: OutsideTokenizer, *, where: str) -> None:
        head = model.get_output_embeddings()
        if head is None or head.weight.size(0) < tokenizer.n_vocab:
            rows = 0 if head is None else head.weight.size(0)
            raise CheckpointError(
                f"{where}: the tokenizer has {tokenizer.n_vocab} entries but the output head {rows}"
            )
        capped = getattr(model.config, "final_logit_softcapping", None)
        if capped or getattr(head, "bias", None) is not None:
            raise CheckpointError(
                f"{where}: a head with a bias or capped logits is not supported; choose another"
                " model"
            )
        self.model, self.tokenizer = model, tokenizer
        self.config = shape_of(model.config, tokenizer.n_vocab, where=where)
        self.head_VC: Tensor = head.weight[: tokenizer.n_vocab]
        if not self._head_is_all():
            raise CheckpointError(
                f"{where}: its logits are not the head's product with the hidden states; choose"
                " another model"
            )

    @torch.inference_mode()
    def _head_is_all(self) -> bool:
        """Whether the model scales or caps its logits nowhere, seen on two tokens."""
        probe_BT = torch.arange(2, device=self.head_VC.device)[None] % self.config.n_vocab
        theirs = self.model(probe_BT, use_cache=False).logits[..., : self.config.n_vocab]
        return torch.allclose(
            F.linear(self.hidden(probe_BT), self.head_VC),
            theirs,
            rtol=0.02,
            atol=float(theirs.abs().max()) / 100,
        )

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head_VC.device

    def hidden(self, tokens_BT: Tensor, cache: OutsideCache | None = None) -> Tensor:
        """Final hidden states (B, T, C); appends to the cache when given one."""
        kept = None if cache is None else cache.kept
        hidden_BTC: Tensor = self.model.base_model(
            tokens_BT, past_key_values=kept, use_cache=kept is not None
        ).last_hidden_state
        return hidden_BTC

    def __call__(self, tokens_BT: Tensor, cache: OutsideCache) -> Tensor:
        """Logits (B, T, V) for the token after each position; appends to the cache."""
        return self._ending(F.linear(self.hidden(tokens_BT, cache), self.head_VC))

    def next_logits(self, tokens_BT: Tensor, cache: OutsideCache) -> Tensor:
        """Float32 logits (B, V) for the token after the last; appends to the cache."""
        return self._ending(F.linear(self.hidden(tokens_BT, cache)[:, -1], self.head_VC).float())

    def new_cache(self, batch: int, positions: int | None = None) -> OutsideCache:
        """An empty cache, which grows as it is filled."""
        return OutsideCache()

    def _ending(self, logits: Tensor) -> Tensor:
        """Every special token means the end: their mass goes to the one that is stopped at."""
        specials = self.tokenizer.specials
        if specials:
            end = logits[..., sorted({*specials, self.tokenizer.end_of_text})].logsumexp(-1)
            logits[..., specials] = -torch.inf
            logits[..., self.tokenizer.end_of_text] = end
        return logits


def shape_of(c: Any, n_vocab: int, *, where: str) -> ModelShape:
    """The shape that a transformers configuration describes.

    Raises:
        CheckpointError: it lacks a number.
    """
    try:
        return ModelShape(
            n_vocab=n_vocab,
            n_ctx=c.max_position_embeddings,
            n_embd=c.hidden_size,
            n_head=c.num_attention_heads,
            n_layer=c.num_hidden_layers,
        )
    except AttributeError as error:  # a family that calls it otherwise, or has no limit
        raise CheckpointError(
            f"{where}: its config.json lacks {error.name!r}, without which texts cannot be"
            " fitted in"
        ) from None


def weights_of(config: Any) -> int:
    """How many weights a model of a transformers configuration has, tied ones once."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), quiet():
        return int(AutoModelForCausalLM.from_config(config).num_parameters())


def load_outside(folder: Path, *, dtype: torch.dtype, device: str = "cpu") -> Outside:
    """A causal language model of any family that transformers knows, from a local folder in the
    hub's layout.

    Code that a folder brings along is never run.

    Raises:
        CheckpointError: not such a model, or damaged.
    """
    from transformers import AutoModelForCausalLM

    kind = read_object(folder / "config.json").get("architectures")
    if kind and "MaskedLM" in str(kind):
        raise CheckpointError(
            f"{folder}: {kind[0]} fills gaps and continues no text; choose a causal language model"
        )
    try:
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:
        # transformers raises many kinds for a folder that is not what it seems
        raise CheckpointError(
            f"{folder}: transformers cannot load it as a causal language model: {first_line(error)}"
        ) from None
    note_beside(folder)
    tokenizer = load_outside_tokenizer(folder)
    return Outside(model.to(device).eval().requires_grad_(False), tokenizer, where=str(folder))
