"""Commands in processes of their own, which a test can kill, and what they have written."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

import staged
from staged.engines.choice import Engine
from staged.errors import ShardDone
from staged.samples.dataset import SampleSettings, write_samples
from tests.studies.commands import FORKED, fork_workers

Written = dict[str, bytes]


def written(folder: Path) -> Written:
    """The bytes of every file that a study has left."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def study(plan: Path, out: Path, engine: Engine, held: Connection | None = None) -> None:
    """A study whose local workers are forked from its own process, and hold what it holds."""
    with pytest.MonkeyPatch.context() as patch:
        fork_workers(patch, multiprocessing.get_context("fork"))
        try:
            staged.study(plan, out, engine=engine)
        except ShardDone:
            assert engine.shard


def samples(out: Path, settings: SampleSettings, engine: Engine, held: Connection) -> None:
    """Samples by workers as `study` has them."""
    with pytest.MonkeyPatch.context() as patch:
        fork_workers(patch, multiprocessing.get_context("fork"))
        write_samples(out, settings, engine=engine)


def started(target: Callable[..., None], *arguments: Any) -> Any:
    process = FORKED.Process(target=target, args=arguments)
    process.start()
    return process


def kill_some(
    begin: Callable[[Connection], Any],
    progressed: Callable[[], int],
    workers: Callable[[psutil.Process], list[psutil.Process]],
    stream: random.Random,
    *,
    kills: int,
    ended: Callable[[], None],
) -> None:
    """Kill the driver or one of its workers, as chance has it, so many times; then let it end.

    Args:
        begin: starts the driver, a process, which holds what it is given.
        progressed: how many blocks are on the disk.
        ended: called when a driver was killed, and nobody holds any more what it held.
    """
    process, released = _begun(begin)
    for _ in range(kills):
        if not process.is_alive():
            assert process.exitcode in (0, -signal.SIGKILL)  # 0: it ended before it was killed
            process, released = _begun(begin)
        _wait_for_progress(process, progressed)
        time.sleep(stream.uniform(0, 0.1))
        at_work = workers(psutil.Process(process.pid)) if process.is_alive() else []
        if at_work and stream.random() < 0.5:
            with suppress(psutil.NoSuchProcess):
                stream.choice(at_work).kill()
        else:
            process.kill()
            process.join()
            assert released.poll(60)
            ended()
    if not process.is_alive():
        process, _ = _begun(begin)
    process.join()
    assert process.exitcode == 0


def _begun(begin: Callable[[Connection], Any]) -> tuple[Any, Connection]:
    released, held = FORKED.Pipe(duplex=False)
    process = begin(held)
    held.close()
    return process, released


def _wait_for_progress(process: Any, progressed: Callable[[], int]) -> None:
    before, end = progressed(), time.monotonic() + 120
    while process.is_alive() and progressed() == before and time.monotonic() < end:
        time.sleep(0.005)
