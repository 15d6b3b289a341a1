"""How the processes of a training share its weights: each has all of them, and gradients are
averaged (DDP), or each has its share of every layer and gathers a layer's when it computes (FSDP2).

Both see the same micro-batches and sum the same gradients, so their losses are the same up to
rounding. Under FSDP2 a process holds 16 bytes a weight divided by the number of processes, and one
layer's whole weights at a time. Source: Zhao et al. 2023, arXiv:2304.11277, and PyTorch's
`fully_shard`, which keeps a tensor a weight (DTensor) instead of one flat tensor a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from staged.model.training.data import IGNORED
from staged.model.training.distributed import rank, world
from staged.model.training.objectives import Task
from staged.model.training.plan import TrainSettings

PLAIN_CLASS = 2  # in the order of resolution of a sharded module's class, behind FSDP's two


def shared_loss(task: Task, settings: TrainSettings, device: torch.device) -> nn.Module:
    """A task's loss as all processes compute it together; alone, the loss itself. Its weights come
    to lie on the device.
    """
    if world() == 1:
        return task.loss.to(device)
    if settings.parallel == "ddp":
        return nn.parallel.DistributedDataParallel(task.loss.to(device))
    mesh = init_device_mesh(device.type, (world(),))
    is_bf16 = settings.precision == "bf16"
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if is_bf16 else None, reduce_dtype=torch.float32
    )
    for block in task.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    # what stands outside the layers, embeddings and head among it, is the root's
    fully_shard(task.loss, mesh=mesh, mp_policy=policy)
    return task.loss


def is_sharded(loss: nn.Module) -> bool:
    """Whether each process has but a share of the weights."""
    return isinstance(loss, FSDPModule)


@contextmanager
def adding_up(loss: nn.Module, *, is_last: bool) -> Iterator[None]:
    """The backward pass of a step's micro-batch: only behind the last one do gradients go from
    process to process; until then each adds up its own.
    """
    if isinstance(loss, FSDPModule):
        loss.set_requires_gradient_sync(is_last)
        yield
        return
    alone = is_last or not isinstance(loss, nn.parallel.DistributedDataParallel)
    with nullcontext() if alone else loss.no_sync():  # type: ignore[operator]
        yield


def own_batches(
    batches: list[tuple[Tensor, Tensor]], loss: nn.Module
) -> list[tuple[Tensor, Tensor]]:
    """This process's of a step's micro-batches.

    Sharded processes gather weights together, so each passes as often as the others: one that has
    fewer micro-batches goes along with a token that has no target.
    """
    own = batches[rank() :: world()]
    if is_sharded(loss) and len(own) < -(-len(batches) // world()):
        inputs, targets = batches[0]
        own = [*own, (inputs[:1, :1], torch.full_like(targets[:1, :1], IGNORED))]
    return own


def settle(loss: nn.Module) -> None:
    """After a pass without gradients: each process keeps its share of the weights again."""
    if isinstance(loss, FSDPModule):
        loss.reshard()


@torch.no_grad()
def gather(module: nn.Module) -> None:
    """Make a sharded module a plain one again, with whole weights in RAM on the first process and
    none on the others; every process calls this. Weights that are tied stay tied.
    """
    whole: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False, remove_duplicate=False):
            if isinstance(weight, DTensor) and id(weight) not in whole:
                values = weight.full_tensor()
                kept = values.cpu() if rank() == 0 else values[:0]
                whole[id(weight)] = nn.Parameter(kept, requires_grad=weight.requires_grad)
            if id(weight) in whole:
                setattr(part, name, whole[id(weight)])
        if isinstance(part, FSDPModule):  # `part.to` would look for shares
            part.__class__ = type(part).__mro__[PLAIN_CLASS]
