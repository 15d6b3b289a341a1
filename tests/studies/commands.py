"""`staged study`, run to its end in this process, or killed on the way in another; its workers are
forked from a process that has imported everything, where new ones take four seconds each for it.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.storage.writing import locked

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["tests.studies.imports", "tests.studies.commands"])


def fork_workers(patch: pytest.MonkeyPatch, context: Any = FORKED) -> None:
    """Let studies start their workers by this, whatever they ask for."""
    parent = multiprocessing.parent_process
    asked = SimpleNamespace(get_context=lambda method: context, parent_process=parent)
    patch.setattr("staged.engines.local.multiprocessing", asked)


def typed(plan: Path, out: Path, *options: str) -> list[str]:
    """The command for a process of its own."""
    return [sys.executable, "-m", "staged.cli", "study", str(plan), "--out", str(out), *options]


def run(plan: Path, out: Path, *options: str) -> str:
    """What the command shows, which succeeds."""
    command = typed(plan, out, *options)[3:]
    ended = CliRunner().invoke(app, command, catch_exceptions=False)
    assert ended.exit_code == 0, ended.stderr
    return ended.stdout


def in_a_forked_process(plan: Path, out: Path, held: Connection) -> None:
    """A study whose workers are forked from its own process, and hold what it holds."""
    with pytest.MonkeyPatch.context() as patch:
        fork_workers(patch, multiprocessing.get_context("fork"))
        staged.study(plan, out, engine=staged.Engine(workers=2))


def as_typed(plan: Path, out: Path, held: Connection) -> None:
    """The command as a person gives it: nothing of this process goes along."""
    os.execv(sys.executable, typed(plan, out, "--workers", "1"))


def kill_at_random_moments(
    plan: Path,
    out: Path,
    *,
    stages: int,
    seed: int,
    times: int = 4,
    begin: Callable[[Path, Path, Connection], None] = in_a_forked_process,
) -> None:
    """Start several times over and kill, of which once at least it was still at work; its workers
    end with it.

    Args:
        stages: that a finished study has.
    """
    stream, kills = random.Random(seed), 0
    for finished in sorted(stream.sample(range(stages), times)):
        released, held = FORKED.Pipe(duplex=False)
        process = FORKED.Process(target=begin, args=(plan, out, held))
        process.start()
        held.close()
        while process.is_alive() and stages_in(out) < finished:
            time.sleep(0.02)
        time.sleep(stream.uniform(0, 0.3))
        kills += process.is_alive()
        process.kill()
        process.join()
        assert released.poll(60)
        wait_until_free(out)
    assert kills


def wait_until_free(folder: Path) -> None:
    """A process that ends closes one thing after the other: its lock may outlive by a moment what
    it held besides.
    """
    if folder.is_dir():
        with locked(folder, patient=True):
            pass


def stages_in(folder: Path) -> int:
    """How many stages of a study are finished."""
    # folders come and go meanwhile: what is gone is passed over
    return sum(
        "manifest.json" in files for place, _, files in os.walk(folder) if place != str(folder)
    )
