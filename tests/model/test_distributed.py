"""A worker without its launcher ends at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from staged.errors import ArtifactError, PlanError
from staged.model.training import distributed

WORKER = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
while not Path(sys.argv[2]).exists():  # as if the libraries took long to import
    time.sleep(0.01)
from staged.model import processes
distributed.join()
time.sleep(60)
"""


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_launcher_that_is_gone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(closed_port()))
    with pytest.raises(ArtifactError, match="torchrun is gone"):
        distributed._refuse_dead_launcher()


def test_alone_there_is_nothing_to_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    distributed.join()
    assert (distributed.rank(), distributed.world()) == (0, 1)


def test_a_worker_whose_launcher_dies_while_it_imports_ends(tmp_path: Path) -> None:
    script, started, go = tmp_path / "worker.py", tmp_path / "started", tmp_path / "go"
    script.write_text(WORKER)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=1",
        str(script),
    ]
    launcher = subprocess.Popen(
        [*command, str(started), str(go)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker = int(started.read_text())
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    go.touch()
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert not alive(worker)
    finally:
        if alive(worker):
            os.kill(worker, signal.SIGKILL)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: 1)
    with pytest.raises(PlanError, match=r"2 processes on 1 GPU.*--nproc-per-node 1"):
        distributed.join()
