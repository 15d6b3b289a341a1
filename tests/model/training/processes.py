"""Training by several processes on one machine: a script whose children meet over gloo, as they
would under `torchrun`, without importing torch once each.
"""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from staged.model.training.plan import TrainSettings

SCRIPT = """
import os, pickle, shutil, sys
from pathlib import Path
import torch, torch._dynamo
torch.set_num_threads(1)
from staged.model.training.train import train

class Stopped(Exception):
    pass

def work(part):
    def report(at):
        if at.step == part.stop_after:
            os._exit(0)
    train(part.folder, part.settings, report=report)

def child(part, rank):
    os.environ["OMP_NUM_THREADS"] = "1"
    if part.processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1",
                       "WORLD_SIZE": str(part.processes), "MASTER_PORT": str(part.port)}
    work(part)

for number, part in enumerate(pickle.loads(bytes.fromhex(sys.argv[1]))):
    children = []
    for rank in range(part.processes):
        child_of = os.fork()
        if child_of == 0:
            try:
                child(part, rank)
            except BaseException as error:
                print(f"rank {rank} of {part.processes}: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        children.append(child_of)
    codes = [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in children]
    if any(codes):
        sys.exit(f"{part.folder.name} on {part.processes}: {codes}")
    partial = part.folder.with_name(part.folder.name + ".partial")
    if partial.is_dir():
        shutil.copytree(partial, part.folder.with_name(f"left-{number}"))
"""


@dataclass(frozen=True)
class Part:
    """A part of a training: by so many processes, up to a step, behind whose report they end."""

    folder: Path
    settings: TrainSettings
    processes: int
    stop_after: int = 0
    port: int = 0


def train_in_parts(*parts: Part) -> None:
    """One part after another; what part i leaves under construction is copied to `left-i` beside
    it.
    """
    given = [Part(p.folder, p.settings, p.processes, p.stop_after, free_port()) for p in parts]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, pickle.dumps(given).hex()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
