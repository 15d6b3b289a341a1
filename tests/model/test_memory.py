"""A process's peak is its own: not its parent's, and not what was held before the peak was
forgotten.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from staged.model import memory

SCRIPT = """
import mmap
from staged.model.memory import forget_peak, peak_memory_mb
def hold(size_mb):
    held = mmap.mmap(-1, size_mb * 10**6)
    held.write(b"x" * (size_mb * 10**6 // 2)); held.write(b"x" * (size_mb * 10**6 // 2))
    held.close()
{before}
print(peak_memory_mb("cpu"))
"""

pytestmark = pytest.mark.skipif(not memory.OWN.is_dir(), reason="VmHWM is Linux's")


def peak_after(before: str) -> float:
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(answer.stdout)


def test_what_was_held_counts_until_it_is_forgotten() -> None:
    nothing, held, forgotten = (
        peak_after(act) for act in ("", "hold(600)", "hold(600); forget_peak()")
    )
    assert held > nothing + 500
    assert forgotten < nothing + 50


def test_a_large_parent_is_not_counted() -> None:
    inside = SCRIPT.format(before="")
    child = (
        "import subprocess, sys; hold(1200); print(subprocess.check_output([sys.executable, '-c',"
        f" {inside!r}], text=True))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(before=child)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    child_mb, parent_mb = map(float, answer)
    assert parent_mb > 1200
    assert child_mb < parent_mb - 500
