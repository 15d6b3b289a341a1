"""The workers of an engine."""

from __future__ import annotations

from staged.engines.choice import Engine
from staged.engines.contract import Workers
from staged.engines.local import LocalWorkers
from staged.threads import processors

__all__ = ["started"]


def started(engine: Engine) -> Workers:
    """Workers that start with their context.

    Raises:
        PlanError: its library is not installed, or there is no such cluster.
    """
    if engine.name == "ray":
        from staged.engines.ray import RayWorkers

        return RayWorkers(engine.workers, address=engine.address)
    gpus = count_gpus()
    return LocalWorkers(engine.workers or gpus or processors(), gpus=gpus)


def count_gpus() -> int:
    """GPUs of this machine that PyTorch can use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
