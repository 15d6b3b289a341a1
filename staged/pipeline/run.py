"""Runs a study's stages on all cores: each when what it needs is there, none twice.

Every worker computes on one thread, so results don't depend on how many cores there are; a worker
whose parent has died ends at once, so a killed study can be started again immediately.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from graphlib import TopologicalSorter
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import torch

from staged.errors import ArtifactError
from staged.pipeline.stage import Stage
from staged.storage.stage_folders import build, fingerprint, is_complete

# (stage, share done in [0, 1]); 1.0 comes exactly once a stage
StageProgress = Callable[[Stage, float], None]
_messages: Any = None


def run_stages(
    root: Path,
    stages: Sequence[Stage],
    *,
    workers: int = 1,
    report: StageProgress = lambda stage, share: None,
) -> int:
    """Make every stage's folder below `root` that is not already complete and current.

    Args:
        stages: those that can be made at the same time are begun in this order; what they read and
            is not among them is complete.

    Returns:
        How many stages had work to do.

    Raises:
        StagedError: the first stage that fails; what is finished stays, and the next call continues
            from it.
        ArtifactError: a worker process died, as when memory runs out.
    """
    by_name = {stage.name: stage for stage in stages}
    places = {name: number for number, name in enumerate(by_name)}
    order = TopologicalSorter({stage.name: [need.name for need in stage.needs] for stage in stages})
    order.prepare()
    queue = _next(root, order, by_name, report)
    if not queue:
        return 0
    worked = 0
    running: dict[Future[bool], Stage] = {}
    with _workers(root, workers) as (pool, messages):
        while queue or running:
            queue.sort(key=lambda stage: places[stage.name])
            while queue and len(running) < workers:
                stage = queue.pop(0)
                running[pool.submit(_run, root, stage)] = stage
            ended, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            _relay(messages, by_name, report)
            for future in ended:
                stage = running.pop(future)
                worked += future.result()
                order.done(stage.name)
                report(stage, 1.0)
            queue += _next(root, order, by_name, report)
    return worked


def _next(
    root: Path, order: TopologicalSorter[str], by_name: Mapping[str, Stage], report: StageProgress
) -> list[Stage]:
    """The stages that can be made now; those that are complete and current are reported, without
    starting a worker, and what waited for them is looked at in turn.
    """
    to_make = []
    while names := order.get_ready():
        for name in names:
            stage = by_name.get(name)
            if stage is not None and not _is_current(root, stage):
                to_make.append(stage)
                continue
            order.done(name)
            if stage is not None:
                report(stage, 1.0)
    return to_make


def _is_current(root: Path, stage: Stage) -> bool:
    folder = root / stage.name
    return is_complete(folder) and is_complete(
        folder, fingerprint(stage.settings, stage.inputs(root))
    )


@contextmanager
def _workers(root: Path, count: int) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """Processes, which end with the block, and the queue of what they say.

    Raises:
        ArtifactError: one of them died.
    """
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_start_worker, initargs=(messages,)
    )
    try:
        yield pool, messages
    except BrokenProcessPool:
        raise ArtifactError(
            f"{root}: a worker process died, most likely for lack of memory; run the command again:"
            " it continues"
        ) from None
    finally:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def run_here(
    root: Path, stage: Stage, *, report: StageProgress = lambda stage, share: None
) -> bool:
    """Make one stage's folder in this process; True when there was work to do."""
    worked = _make(root, stage, lambda share: report(stage, share))
    report(stage, 1.0)
    return worked


def _run(root: Path, stage: Stage) -> bool:
    """In a worker: make one stage's folder."""
    return _make(root, stage, lambda share: _messages.put((stage.name, share)))


def _make(root: Path, stage: Stage, tell: Callable[[float], None]) -> bool:
    def progress(done: int, total: int) -> None:
        tell(min(done / total, 0.99))

    inputs = stage.inputs(root)
    return build(
        root / stage.name,
        lambda folder: stage.write(folder, inputs, progress),
        settings=stage.settings,
        inputs=inputs,
    )


def _start_worker(messages: Any) -> None:
    global _messages
    _messages = messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    torch.set_num_threads(1)
    _keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _keep_freed_memory() -> None:
    """glibc gives large blocks back and gets them again, page by page, for every tensor: a fifth of
    the time of scoring.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for any allocation
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: in effect never


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _relay(messages: Any, stages: dict[str, Stage], report: StageProgress) -> None:
    while True:
        try:
            name, share = messages.get_nowait()
        except queue.Empty:
            return
        report(stages[name], share)
