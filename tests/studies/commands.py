"""`staged study` in a process of its own: run to its end, or killed on the way."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path


def _command(plan: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "staged.cli", "study", str(plan), "--out", str(out), *options]


def run(plan: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(plan, out, *options), capture_output=True, text=True, check=False
    )


def kill_at_random_moments(
    plan: Path, out: Path, *, seed: int, longest_s: float, times: int = 4
) -> None:
    """Start several times over and kill, of which once at least it was still at work."""
    stream, kills = random.Random(seed), 0
    for _ in range(times):
        process = subprocess.Popen(
            _command(plan, out, "--workers", "2"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(stream.uniform(4, longest_s))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills
