"""Which way the processes of a training share its weights; the plain way, in which each has them
all.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from staged.model.training.distributed import rank, world
from staged.model.training.objectives import Task
from staged.model.training.parallel.contract import Batch, Sharing
from staged.model.training.plan import TrainSettings


class Whole:
    """Each process has all weights: it is alone, or DDP takes the mean of the gradients."""

    is_sharded = False

    def __init__(self, task: Task, device: torch.device) -> None:
        self.loss: nn.Module = task.loss.to(device)
        if world() > 1:
            self.loss = nn.parallel.DistributedDataParallel(task.loss)

    def own(self, batches: list[Batch]) -> list[Batch]:
        return batches[rank() :: world()]

    def adding_up(self, *, is_last: bool) -> AbstractContextManager[None]:
        if is_last or world() == 1:
            return nullcontext()
        waiting: AbstractContextManager[None] = self.loss.no_sync()  # type: ignore[operator]
        return waiting

    def settle(self) -> None:
        """Nothing was moved."""

    def gather(self) -> None:
        """The first process has it."""


def shared(task: Task, settings: TrainSettings, device: torch.device) -> Sharing:
    """As the settings say, where there are several processes; the weights come to lie on the
    device.
    """
    if world() == 1 or settings.parallel == "ddp":
        return Whole(task, device)
    # what shards takes a second to import
    from staged.model.training.parallel.sharded import Sharded

    return Sharded(task, device, is_bf16=settings.precision == "bf16")
