"""What training needs of a causal language model, whatever its family.

Axes: B rows · T tokens · C hidden width · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from staged.model.causal import TextTokenizer
from staged.model.shape import ModelShape


class Trainable(Protocol):
    """A causal language model that training changes in place: `TrainableGPT2` is one,
    `TrainableOutside` another.
    """

    @property
    def module(self) -> nn.Module:
        """Its weights, in float32."""

    @property
    def tokenizer(self) -> TextTokenizer:
        """Text ↔ token ids."""

    @property
    def shape(self) -> ModelShape:
        """Its width and its context, among others."""

    @property
    def blocks(self) -> Iterable[nn.Module]:
        """Its layers, without embeddings and head: what LoRA adapts, and what checkpointing
        computes again.
        """

    @property
    def head(self) -> Tensor:
        """(V, C), hidden state → logits. A padded head has more rows than there are tokens; all of
        them take part, so that training keeps the unused ones unlikely.
        """

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """Final hidden states (B, T, C); padding stands at the right, where no token sees it."""

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Write the hub's layout, weights in `dtype`.

        Raises:
            OSError: the disk is full.
        """
