"""What this machine computes on, by the names that measured rates have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from staged.engines.started import count_gpus
from staged.model.devices import chosen_device
from staged.threads import processors

CPU_FACTS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Devices:
    """Devices of one kind.

    Attributes:
        name: of a GPU the driver's; of a processor that was measured its generation.
        count: GPUs, or cores.
    """

    name: str
    count: int
    is_gpu: bool

    @property
    def said(self) -> str:
        """Such as `2 cores of AMD Zen 5`."""
        if self.is_gpu:
            return f"{self.count} × {self.name}"
        return f"{self.count} core{'s' * (self.count != 1)} of {self.name}"


def found_devices(device: str) -> Devices:
    """The GPUs of this machine, or its cores; of several kinds of GPU the first names all.

    Args:
        device: as `chosen_device` takes it.

    Raises:
        PlanError, SamplingError: as `chosen_device`.
    """
    if chosen_device(device) == "cpu":
        return Devices(processor(), processors(), is_gpu=False)
    return Devices(torch.cuda.get_device_name(0), count_gpus(), is_gpu=True)


def processor(facts: Path = CPU_FACTS) -> str:
    """The processor's generation, where it is one of those that were measured, else its name."""
    try:
        lines = facts.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return "a processor that does not say its name"
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags", "").split()
    match said.get("vendor_id"), said.get("cpu family"):
        case "AuthenticAMD", "26":
            return "AMD Zen 5"
        case "AuthenticAMD", "25" if "avx512_bf16" in flags:
            return "AMD Zen 4"
        case "GenuineIntel", _ if "amx_bf16" in flags:
            return "Intel Xeon with AMX"
    return said.get("model name") or "a processor that does not say its name"
