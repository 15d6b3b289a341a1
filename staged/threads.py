"""How many threads compute, and how they wait for one another
(docs/decisions/042-threads-wait-passively.md).

Must be settled before PyTorch is imported: its OpenMP reads the environment once, when it is
loaded.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from staged.errors import PlanError
from staged.notes import note

# of a container: microseconds of processor time in so many microseconds
QUOTA = Path("/sys/fs/cgroup/cpu.max")
# GNU's OpenMP, and LLVM's and Intel's
POLICY = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
COUNTS = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")  # PyTorch's and the tokenizer's


def wait_passively() -> None:
    """Let threads that wait sleep, not spin, unless the environment says how they wait.

    A spinning thread takes the processor from the very thread that it waits for as soon as another
    program is at work.
    """
    for name, value in POLICY.items():
        os.environ.setdefault(name, value)


def processors(quota: Path = QUOTA) -> int:
    """Processors that this process may use, by its affinity and its container's quota; at least
    1.
    """
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        time, period = quota.read_text().split()
        return max(1, min(allowed, -(-int(time) // int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        return allowed


def use_threads(threads: int) -> None:
    """Compute with so many threads, at most one a processor; 0 takes what the environment says,
    else one a processor.

    Raises:
        PlanError: below 0.
    """
    if threads < 0:
        raise PlanError(f"--threads must be 0 or more, not {threads}")
    most = processors()
    if threads > most:
        note(
            f"--threads {threads}: more than the {most} processors here, so {most} threads compute"
        )
    if not threads and COUNTS[0] in os.environ:
        return
    count = min(threads or most, most)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    else:
        os.environ.update(dict.fromkeys(COUNTS, str(count)))
