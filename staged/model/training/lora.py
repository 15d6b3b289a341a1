"""LoRA: the weights stand still; beside each projection of the blocks a product of two thin
matrices is trained.

Source: Hu et al. 2021, sections 4.1 and 4.2. Why not peft: docs/decisions/008-lora.md.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from staged.model.gpt2.model import GPT2, Projection

Kind = TypeVar("Kind", bound=nn.Module)


class LowRank(nn.Module):
    """x W + b + (α / r) x A B: W and b frozen, A random, B zero, so that training starts from the
    model as it was.

    Args:
        frozen: the projection (in, out) that this stands in for.
        rank: r, of A (in, r) and B (r, out).
        alpha: α; the product's weight is α / r.
        generator: draws A.
    """

    def __init__(
        self, frozen: Projection, rank: int, alpha: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        n_in, n_out = frozen.weight.shape
        self.frozen, self.scale = frozen, alpha / rank
        self.a = nn.Parameter(torch.randn(n_in, rank, generator=generator) / n_in**0.5)
        self.b = nn.Parameter(torch.zeros(rank, n_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.frozen(x) + (x @ self.a * self.scale) @ self.b

    @torch.no_grad()
    def merged(self) -> Projection:
        """The plain projection that computes the same."""
        self.frozen.weight.add_(self.scale * self.a @ self.b)
        return self.frozen


def add_low_rank(model: GPT2, *, rank: int, alpha: float, generator: torch.Generator) -> None:
    """Freeze the model and give every projection of its blocks a trained product of this rank."""
    model.requires_grad_(False)
    for part, name, child in _children(model, Projection):
        setattr(part, name, LowRank(child, rank, alpha, generator))


def merge_low_rank(model: GPT2) -> None:
    """Add the trained products to the weights, where there are any: a plain GPT-2 again."""
    for part, name, child in _children(model, LowRank):
        setattr(part, name, child.merged())


def _children(model: GPT2, kind: type[Kind]) -> list[tuple[nn.Module, str, Kind]]:
    """(parent, name, child) of every module of this kind in the blocks."""
    parents = [part for block in model.h for part in block.children()]
    return [
        (part, name, child)
        for part in parents
        for name, child in part.named_children()
        if isinstance(child, kind)
    ]
