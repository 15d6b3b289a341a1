"""Processes of this machine: one a GPU where there are some, else as many as are asked for.

A worker starts when there is something for it, and stays. One whose parent has died ends at once,
so a killed command can be given again immediately; one that died itself is replaced.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from staged.engines.contract import Ended, Event, Failed, Lost, Moved, Task, Workers
from staged.engines.worker import Worker, settle, told


@dataclass
class _Process:
    process: BaseProcess
    pipe: Connection
    task: str = ""  # the last one it was sent


class LocalWorkers(Workers):
    """Worker processes of one thread each.

    Args:
        count: how many.
        gpus: of this machine; worker i has GPU i mod their number.
    """

    def __init__(self, count: int, *, gpus: int = 0) -> None:
        self.count = count
        self._gpus = gpus
        self._context: Any = multiprocessing.get_context("spawn")
        self._processes: dict[int, _Process] = {}  # by worker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self._processes.values():
            one.process.terminate()
        for one in self._processes.values():
            one.process.join()
            one.pipe.close()
        self._processes = {}

    def _new(self, worker: int) -> _Process:
        ours, theirs = self._context.Pipe()
        gpu = worker % self._gpus if self._gpus else None
        process = self._context.Process(target=_work, args=(theirs, gpu), daemon=True)
        with _interrupts_held():
            process.start()
        theirs.close()
        return _Process(process, ours)

    def is_ready(self, worker: int) -> bool:
        return True

    def start(self, worker: int, task: Task, numbers: Sequence[int]) -> None:
        if worker not in self._processes:
            self._processes[worker] = self._new(worker)
        one = self._processes[worker]
        is_known = one.task == task.name
        with suppress(OSError):  # it has just died, as `wait` will say
            one.pipe.send((None if is_known else task, tuple(numbers)))
        one.task = task.name

    def wait(self, seconds: float) -> list[Event]:
        pipes = {one.pipe: worker for worker, one in self._processes.items()}
        events: list[Event] = []
        for pipe in wait_for(list(pipes), seconds):
            events += self._heard(pipes[pipe])  # type: ignore[index]
        return events

    def _heard(self, worker: int) -> list[Event]:
        """All that a worker has said; a pipe that has ended says that it died."""
        one, events = self._processes[worker], list[Event]()
        try:
            while one.pipe.poll():
                kind, *about = one.pipe.recv()
                events.append(kind(worker, *about))
        except (EOFError, OSError, pickle.UnpicklingError):
            one.process.join()
            one.pipe.close()
            del self._processes[worker]
            events.append(Lost(worker))
        return events


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process that starts meanwhile is deaf to Ctrl-C from its first moment, not only when it has
    imported everything; the parent decides.
    """
    resource_tracker.ensure_running()  # started with the process, it would let interrupts in
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, gpu: int | None) -> None:
    """In a worker: do what comes through the pipe, until the parent ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    settle(gpu)
    worker = Worker()
    task: Any = None
    while True:
        sent, numbers = pipe.recv()
        task = task if sent is None else sent
        for number in numbers:
            _do(worker, task, number, pipe)


def _do(worker: Worker, task: Task, number: int, pipe: Connection) -> None:
    try:
        seconds = worker.do(task, number, lambda share: pipe.send((Moved, number, share)))
        pipe.send((Ended, number, seconds))
    except Exception as error:
        pipe.send((Failed, number, told(error)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
