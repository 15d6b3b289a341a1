"""FSDP2: each process has its share of every weight, and gathers a layer's while it computes.

A process holds 16 bytes a weight divided by the number of processes, and one layer's whole weights
at a time. Source: Zhao et al. 2023, arXiv:2304.11277, and PyTorch's `fully_shard`, which keeps a
tensor a weight (`DTensor`), not one flat tensor a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from staged.model.training.data import IGNORED
from staged.model.training.distributed import rank, world
from staged.model.training.objectives import Task
from staged.model.training.parallel.contract import Batch

PLAIN_CLASS = 2  # in the order of resolution of a sharded module's class, behind FSDP's two


class Sharded:
    """A task whose weights the processes share.

    Args:
        is_bf16: gather weights in bfloat16, and so compute in it; gradients are reduced, and the
            shares kept, in float32.
    """

    is_sharded = True

    def __init__(self, task: Task, device: torch.device, *, is_bf16: bool) -> None:
        mesh = init_device_mesh(device.type, (world(),))
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if is_bf16 else None, reduce_dtype=torch.float32
        )
        for block in task.blocks:
            fully_shard(block, mesh=mesh, mp_policy=policy)
        # what stands outside the layers, embeddings and head among it, is the root's
        fully_shard(task.loss, mesh=mesh, mp_policy=policy)
        self.loss, self._model = task.loss, task.model

    def own(self, batches: list[Batch]) -> list[Batch]:
        """Weights are gathered together, so each process passes as often as the others: one that
        has fewer micro-batches goes along with a token that has no target.
        """
        own = batches[rank() :: world()]
        if len(own) == -(-len(batches) // world()):
            return own
        inputs, targets = batches[0]
        return [*own, (inputs[:1, :1], torch.full_like(targets[:1, :1], IGNORED))]

    @contextmanager
    def adding_up(self, *, is_last: bool) -> Iterator[None]:
        self._root.set_requires_gradient_sync(is_last)
        yield

    def settle(self) -> None:
        """The root keeps its whole weights behind a forward pass, for the backward pass."""
        self._root.reshard()

    @torch.no_grad()
    def gather(self) -> None:
        """The model is a plain one again, on the first process with whole weights in RAM, on the
        others with none. Weights that are tied stay tied.
        """
        whole: dict[int, nn.Parameter] = {}
        for part in self._model.modules():
            for name, weight in part.named_parameters(recurse=False, remove_duplicate=False):
                if id(weight) not in whole:
                    whole[id(weight)] = _gathered(weight)
                setattr(part, name, whole[id(weight)])
            if isinstance(part, FSDPModule):  # `part.to` would look for shares
                part.__class__ = type(part).__mro__[PLAIN_CLASS]

    @property
    def _root(self) -> FSDPModule:
        assert isinstance(self.loss, FSDPModule)
        return self.loss


def _gathered(weight: nn.Parameter) -> nn.Parameter:
    assert isinstance(weight, DTensor)
    values = weight.full_tensor()
    kept = values.cpu() if rank() == 0 else values.new_empty(0)
    return nn.Parameter(kept, requires_grad=weight.requires_grad)
