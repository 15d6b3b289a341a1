"""Where a model computes, and in what precision: what this machine has."""

from __future__ import annotations

import torch

from staged.errors import PlanError, SamplingError
from staged.model.gpt2.cuda_graph import static_is_native
from staged.model.gpt2.packed_linear import bf16_is_native

DEVICES = ("auto", "cpu", "cuda")


def best_precision(device: str = "cpu") -> str:
    """`bf16` where this processor, or the GPU, multiplies it natively, else `fp32`."""
    return "bf16" if device == "cuda" or bf16_is_native() else "fp32"


def best_dtype(device: str = "cpu") -> torch.dtype:
    """The same as a dtype."""
    return torch.bfloat16 if best_precision(device) == "bf16" else torch.float32


def check_device(device: str) -> None:
    """Refuse what is no device's name.

    Raises:
        PlanError: it is unknown.
    """
    if device not in DEVICES:
        raise PlanError(f"device {device!r}; choose {', '.join(DEVICES)}")


def chosen_device(device: str, precision: str = "") -> str:
    """`cpu` or `cuda`; `auto` takes a GPU where there is one, and the processor for int8, which is
    made for it.

    Raises:
        PlanError: unknown device.
        SamplingError: a GPU that is not there, or int8 on one.
    """
    check_device(device)
    if device == "auto":
        return "cuda" if static_is_native() and precision != "int8" else "cpu"
    if device == "cuda" and not static_is_native():
        raise SamplingError(
            "PyTorch finds no GPU that computes in bfloat16; use --device cpu, or auto"
        )
    if device == "cuda" and precision == "int8":
        raise SamplingError(
            "sample: int8 is for processors; use --precision bf16 or fp32 on a GPU, or --device cpu"
        )
    return device
