"""LoRA: the weights stand still; beside each linear layer of the blocks a product of two thin
matrices is trained.

Source: Hu et al. 2021, sections 4.1 and 4.2. Why not peft: docs/decisions/008-lora.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

from staged.errors import CheckpointError
from staged.model.gpt2.model import Projection

Kind = TypeVar("Kind", bound=nn.Module)


class LowRank(nn.Module):
    """x W + b + (α / r) x A B: W and b frozen, A random, B zero, so that training starts from the
    model as it was.

    Args:
        frozen: the layer that this stands in for, a projection with W (in, out), or a
            `nn.Linear`, which stores W transposed.
        rank: r, of A (in, r) and B (r, out).
        alpha: α; the product's weight is α / r.
        generator: draws A.
    """

    def __init__(
        self, frozen: Projection | nn.Linear, rank: int, alpha: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.frozen, self.scale = frozen, alpha / rank
        n_in, n_out = self._weight().shape
        self.a = nn.Parameter(torch.randn(n_in, rank, generator=generator) / n_in**0.5)
        self.b = nn.Parameter(torch.zeros(rank, n_out))

    def _weight(self) -> Tensor:
        """W (in, out), in the frozen layer's memory."""
        weight: Tensor = self.frozen.weight
        return weight.t() if isinstance(self.frozen, nn.Linear) else weight

    def forward(self, x: Tensor) -> Tensor:
        return self.frozen(x) + (x @ self.a * self.scale) @ self.b

    @torch.no_grad()
    def merged(self) -> Projection | nn.Linear:
        """The plain layer that computes the same."""
        self._weight().add_(self.scale * self.a @ self.b)
        return self.frozen


def add_low_rank(
    model: nn.Module,
    blocks: Iterable[nn.Module],
    *,
    rank: int,
    alpha: float,
    generator: torch.Generator,
) -> None:
    """Freeze a model and give every linear layer of its blocks a trained product of this rank.

    Raises:
        CheckpointError: its blocks have no linear layer.
    """
    model.requires_grad_(False)
    linear: list[type[Projection | nn.Linear]] = [Projection, nn.Linear]
    places = [place for block in blocks for kind in linear for place in _children(block, kind)]
    if not places:
        raise CheckpointError(
            "train: the model's layers hold no linear layer that LoRA could adapt; leave lora_rank"
            " at 0"
        )
    for parent, name, child in places:
        setattr(parent, name, LowRank(child, rank, alpha, generator))


def merge_low_rank(model: nn.Module) -> None:
    """Add the trained products to the weights, where there are any: a plain model again."""
    for parent, name, child in _children(model, LowRank):
        setattr(parent, name, child.merged())


def _children(model: nn.Module, kind: type[Kind]) -> list[tuple[nn.Module, str, Kind]]:
    """(parent, name, child) of every module of this kind, in the model's order."""
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, kind)
    ]
