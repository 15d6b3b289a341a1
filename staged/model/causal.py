"""Any causal language model by name, to read texts with: our GPT-2, or another of transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from staged.errors import CheckpointError
from staged.model.bpe import load_bpe
from staged.model.checkpoints import load_model, model_folder, read_config
from staged.model.formats.layouts import is_gpt2
from staged.model.gpt2.model import GPT2
from staged.model.outside_tokenizer import hub_config, load_outside_tokenizer
from staged.model.shape import ModelShape
from staged.model.transformers_lm import Outside, load_outside, shape_of, weights_of


class TextTokenizer(Protocol):
    """What reading and generating need of a tokenizer: `BPE` is one, `OutsideTokenizer` another."""

    n_vocab: int
    end_of_text: int
    before: list[int]

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def encode_spans(
        self, texts: Sequence[str]
    ) -> list[tuple[list[int], list[tuple[int, int]]]]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def count(self, texts: Sequence[str]) -> list[int]: ...

    def truncate(self, texts: Sequence[str], tokens: int) -> list[str]: ...

    def vocabulary(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class CausalLM:
    """A language model as scores see it.

    Attributes:
        name: as it was asked for.
        tokenizer: text ↔ ids.
        n_ctx: tokens it reads at once.
        hidden: token ids (B, T) → final hidden states (B, T, C).
        head: (V, C), hidden state → logits over the tokenizer's vocabulary.
    """

    name: str
    tokenizer: TextTokenizer
    n_ctx: int
    hidden: Callable[[Tensor], Tensor]
    head: Tensor


Network = GPT2 | Outside  # both read texts and generate


def causal_of(name: str, network: Network, tokenizer: TextTokenizer) -> CausalLM:
    """A loaded network as scores see it."""
    head = network.wte.weight if isinstance(network, GPT2) else network.head_VC
    return CausalLM(name, tokenizer, network.config.n_ctx, network.hidden, head)


def is_outside(folder: Path) -> bool:
    """Whether a folder's model is of another family than GPT-2."""
    return not is_gpt2(folder)


def load_tokenizer(name: str) -> TextTokenizer:
    """A model's tokenizer, without its weights.

    Args:
        name: as `model_folder` takes it, of any family.

    Raises:
        CheckpointError: unknown name; files missing or damaged.
    """
    folder = model_folder(name)
    return load_outside_tokenizer(folder) if is_outside(folder) else load_bpe(folder)


def load_shape(name: str) -> ModelShape:
    """A model's shape, without its weights; its vocabulary is the tokenizer's.

    Raises:
        CheckpointError: as `load_tokenizer`, or a config that lacks a number.
    """
    folder = model_folder(name)
    if not is_outside(folder):
        return replace(read_config(folder), n_vocab=load_bpe(folder).n_vocab)
    config = hub_config(folder)
    return shape_of(config, load_outside_tokenizer(folder).n_vocab, where=str(folder))


def count_parameters(name: str) -> int:
    """How many weights a model has, tied ones once, without reading them.

    Raises:
        CheckpointError: as `load_shape`.
    """
    folder = model_folder(name)
    return weights_of(hub_config(folder)) if is_outside(folder) else read_config(folder).parameters


def load_network(
    name: str, *, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> tuple[Network, TextTokenizer]:
    """A model by name, and its tokenizer: our GPT-2 where it is one, else transformers' model.

    Args:
        name: as `model_folder` takes it, of any family: `mini-s`, `gpt2`, `smollm2-135m`, a folder,
            a hub name.
        dtype: of its weights.
        device: where it reads, `cpu` or `cuda`.

    Raises:
        CheckpointError: as `load_model` and `load_outside`.
    """
    folder = model_folder(name)
    if is_outside(folder):
        other = load_outside(folder, dtype=dtype, device=device)
        return other, other.tokenizer
    model, bpe = load_model(name, dtype=dtype)
    return model.to(device), bpe


def load_causal(name: str, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> CausalLM:
    """A model by name, as scores see it; arguments and errors as of `load_network`."""
    return causal_of(name, *load_network(name, dtype=dtype, device=device))


def same_tokenizer(a: CausalLM, b: CausalLM) -> None:
    """Refuse two models whose token ids mean different things.

    Raises:
        CheckpointError: they have different vocabularies.
    """
    first, second = a.tokenizer.vocabulary(), b.tokenizer.vocabulary()
    if first != second:
        raise CheckpointError(
            f"{a.name} and {b.name}: their tokenizers differ ({len(first)} and {len(second)}"
            " entries); this score compares two models token by token, so choose two of one family"
        )
