"""How the processes of a training share its weights: each has all of them, and gradients are
averaged (DDP), or each has its share of every layer and gathers a layer's when it computes (FSDP2).

Both see the same micro-batches and sum the same gradients, so their losses are the same up to
rounding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]  # inputs and targets of a micro-batch, both (B, T)


class Sharing(Protocol):
    """A task's loss as all processes compute it together: `Whole` is one way, `Sharded` another."""

    @property
    def loss(self) -> nn.Module: ...

    @property
    def is_sharded(self) -> bool:
        """Whether each process has but a share of the weights."""

    def own(self, batches: list[Batch]) -> list[Batch]:
        """This process's of a step's micro-batches."""

    def adding_up(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Around a micro-batch's pass: only behind the step's last one do gradients go from process
        to process; until then each adds up its own.
        """

    def settle(self) -> None:
        """After passes without gradients."""

    def gather(self) -> None:
        """Let the first process have the trained model as a plain one; every process calls this."""
