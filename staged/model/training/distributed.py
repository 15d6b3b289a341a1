"""One process or many under `torchrun`: who this one is, and that it ends with the launcher."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import torch
import torch.distributed as dist

from staged.errors import ArtifactError, PlanError

PATIENCE_S = 30.0


def join(device: str = "auto") -> None:
    """Under `torchrun` meet the other processes; else nothing.

    Args:
        device: as `place` takes it.

    Raises:
        PlanError: more processes than GPUs on a machine that has any.
        ArtifactError: the launcher has died already.
    """
    if "RANK" not in os.environ or dist.is_initialized():
        return
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    gpus = 0 if device == "cpu" else torch.cuda.device_count()
    if 0 < gpus < processes:
        raise PlanError(
            f"torchrun: {processes} processes on {gpus} GPU(s), and each needs its own; give"
            f" --nproc-per-node {gpus}"
        )
    threading.Thread(target=_end_with_launcher, args=(os.getppid(),), daemon=True).start()
    _refuse_dead_launcher()
    dist.init_process_group("nccl" if place(device).type == "cuda" else "gloo")


def place(device: str = "auto") -> torch.device:
    """Where this process computes: the processor, or the GPU that is its own, which is the current
    one from now on.

    Args:
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
    """
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own


def launched() -> int:
    """How many processes `torchrun` has started, this one among them; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """0 … world() − 1; the first one writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait until every process is here."""
    if world() > 1:
        dist.barrier()


def agreed(value: Any) -> Any:
    """What the first process says, JSON values, on every one."""
    if world() == 1:
        return value
    said = [value]
    dist.broadcast_object_list(said, src=0)
    return said[0]


def _end_with_launcher(launcher: int) -> None:
    """A worker whose torchrun was killed must not go on writing beside the one started next."""
    while os.getppid() == launcher:
        time.sleep(0.2)
    os._exit(1)


def _refuse_dead_launcher() -> None:
    """A launcher that died while this process imported has no parent's id to watch any more, but
    its store is closed.

    PyTorch would ask for that store again and again, for half an hour.
    """
    # the store is not the launcher's, and may open later
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        socket.create_connection(place, timeout=PATIENCE_S).close()
    except OSError as error:
        raise ArtifactError(
            f"train: torchrun is gone ({place[0]}:{place[1]}: {error.strerror or error}); start it"
            " again, and training continues"
        ) from None
