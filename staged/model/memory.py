"""The most memory that this process has held, a fresh start for that number, and how running out of
it is known.

`ru_maxrss` will not do: a process begins with the peak of the one that started it, so everything
that a large program starts seems at least as large. Linux's VmHWM belongs to the process alone, and
can be set back to what is held at present. Source: https://docs.kernel.org/filesystems/proc.html,
/proc/PID/status and /proc/PID/clear_refs.
"""

from __future__ import annotations

import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

OWN = Path("/proc/self")


def peak_memory_mb(device: str = "") -> float:
    """The most since the process started or `forget_peak` was called, in MB of 10⁶ bytes.

    Args:
        device: `cpu` for all it had in RAM, `cuda` for tensors on the GPU; empty is a GPU where
            there is one.
    """
    if device == "cuda" or (not device and torch.cuda.is_available()):
        return torch.cuda.max_memory_allocated() / 1e6
    if OWN.is_dir():
        return 1024 * int((OWN / "status").read_text().split("VmHWM:")[1].split()[0]) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def release_gpu() -> None:
    """Give back the memory of a GPU that PyTorch keeps for models of this process that are gone, so
    that other processes may have it.
    """
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error says that memory has run out, on the processor or on a GPU."""
    return isinstance(
        error, MemoryError | torch.OutOfMemoryError
    ) or "can't allocate memory" in str(error)


def forget_peak() -> None:
    """Begin again at what is held at present, where the system can (Linux)."""
    with suppress(OSError):
        (OWN / "clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
