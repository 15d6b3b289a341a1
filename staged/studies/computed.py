"""On which device a stage was computed, where that was not this machine's processor.

A device decides no stage's fingerprint: what is finished stays valid on another machine. But a GPU
rounds in its own way, and multiplies in bfloat16 where a processor may not; so a stage that a GPU
computed says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from staged.model.devices import best_precision
from staged.model.training.distributed import world
from staged.storage.json_files import write_json

COMPUTED = "computed.json"


@dataclass(frozen=True)
class Computed:
    """What computed a stage.

    Attributes:
        device: the GPU's name.
        precision: `bf16` or `fp32`, of its matrix products.
        processes: that shared the work, a GPU each.
    """

    device: str
    precision: str
    processes: int = 1


def record_device(folder: Path, device: str, *, precision: str = "") -> None:
    """Write `computed.json` of a stage that a GPU computed; where a processor did, the stage holds
    what it always held.

    Args:
        device: `cpu` or `cuda`.
        precision: as it was asked for; empty is the device's best.
    """
    if device == "cuda":
        said = Computed(torch.cuda.get_device_name(), precision or best_precision(device), world())
        write_json(folder / COMPUTED, asdict(said))
