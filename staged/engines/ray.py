"""Actors of a Ray cluster: one a GPU where it has some, else one a core; or of a cluster that is
started on this machine and ends with the command.

Ray starts an actor that died again, elsewhere where its machine is gone; until it is there, others
do what it had. A driver that dies takes its actors with it, and continues when it is given again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from staged.engines.contract import Event, Lost, Moved, Task, Workers
from staged.engines.ray_actor import Actor, versions_here
from staged.errors import PlanError, first_line
from staged.notes import note
from staged.threads import processors

MOVED_SECONDS = 1.0  # between two questions how far an actor is
PATIENCE_SECONDS = 60.0  # until it is said that the cluster has no place for a worker
CONNECT_SECONDS = 10.0
OBJECT_STORE = 100 * 2**20  # bytes: what goes through it is small
ENVIRONMENT = {  # which Ray reads when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of actors without a GPU
    "RAY_raylet_start_wait_time_s": "120",  # 30 are too few on a machine that is busy
}


@dataclass
class _Seat:
    """A worker's place, which it keeps through its deaths.

    Attributes:
        is_ready: whether its process is there.
        numbers: what it was asked to do and has not answered.
        asked: when it was last asked how far it is, or given something.
    """

    actor: Any
    is_ready: bool = False
    numbers: Sequence[int] = ()
    asked: float = 0.0


class RayWorkers(Workers):
    """Actors, each with a GPU or a core.

    Args:
        count: how many; 0 takes as many as the cluster has GPUs, or else cores.
        address: of the cluster to which this machine belongs, `auto` or HOST:PORT; empty starts
            one here, unless this process has joined one already.
    """

    def __init__(self, count: int = 0, *, address: str = "") -> None:
        self._wanted, self._address = count, address
        self._ray = library()
        self._is_ours = False  # whether Ray was started for this
        self._seats: list[_Seat] = []
        self._tasks: dict[str, Any] = {}  # by name: where Ray keeps it
        self._asked: dict[Any, tuple[str, int]] = {}  # what is awaited → what for, and of whom
        self._waits_since: float | None = None

    def __enter__(self) -> Self:
        if not self._ray.is_initialized():
            self._is_ours = True
            join(self._ray, self._address, self._wanted)
        resources = self._ray.cluster_resources()
        gpus, cores = (int(resources.get(kind, 0)) for kind in ("GPU", "CPU"))
        places = max(1, gpus or cores)
        self.count = self._wanted or places
        share = 1 / -(-self.count // places)
        kind = self._ray.remote(
            num_cpus=0 if gpus else share,
            num_gpus=share if gpus else 0,
            max_restarts=-1,
            max_task_retries=-1,
            concurrency_groups={"beside": 1},
        )(Actor)
        here = (str(Path.cwd()), versions_here())
        self._seats = [_Seat(kind.remote(worker, *here)) for worker in range(self.count)]
        for worker in range(self.count):
            self._await_start(worker)
        self._waits_since = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for seat in self._seats:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(seat.actor)
        self._seats, self._tasks, self._asked = [], {}, {}
        if self._is_ours:
            self._ray.shutdown()

    def _await_start(self, worker: int) -> None:
        """Ask an actor for a word; Ray keeps the question until its process is there."""
        self._seats[worker].is_ready = False
        self._asked[self._seats[worker].actor.fault.remote()] = ("start", worker)

    def is_ready(self, worker: int) -> bool:
        return self._seats[worker].is_ready

    def start(self, worker: int, task: Task, numbers: Sequence[int]) -> None:
        if task.name not in self._tasks:
            self._tasks[task.name] = self._ray.put(task)
        seat = self._seats[worker]
        # not Ray's to try again: its actor may be long in coming back, and others can do it now
        do = seat.actor.do.options(max_task_retries=0)
        self._asked[do.remote(self._tasks[task.name], numbers)] = ("do", worker)
        seat.numbers, seat.asked = numbers, time.monotonic()

    def wait(self, seconds: float) -> list[Event]:
        self._note_waiting()
        self._ask_how_far()
        if not self._asked:
            time.sleep(seconds)
            return []
        awaited = list(self._asked)
        self._ray.wait(awaited, timeout=seconds)
        answered, _ = self._ray.wait(awaited, num_returns=len(awaited), timeout=0)
        return [event for answer in answered for event in self._hear(answer)]

    def _hear(self, answer: Any) -> list[Event]:
        what, worker = self._asked.pop(answer)
        if what == "start":
            self._hear_start(worker, answer)
            return []
        if what == "do":
            return self._hear_outcomes(worker, answer)
        return self._hear_how_far(worker, answer)

    def _hear_start(self, worker: int, answer: Any) -> None:
        """An actor's process is there.

        Raises:
            StagedError: it can do nothing for this driver.
        """
        errors = self._ray.exceptions
        try:
            fault = self._ray.get(answer)
        except errors.ActorUnavailableError:
            self._await_start(worker)
            return
        except errors.RayError as error:
            raise PlanError(
                f"a worker cannot start on the Ray cluster: {_last_line(error)}; staged must be"
                " installed on every machine of it"
            ) from None
        if fault is not None:
            raise fault
        self._seats[worker].is_ready, self._waits_since = True, None

    def _hear_outcomes(self, worker: int, answer: Any) -> list[Event]:
        self._seats[worker].numbers = ()
        try:
            outcomes: list[Event] = self._ray.get(answer)
            return outcomes
        except self._ray.exceptions.RayTaskError:  # around the work, such as a task not understood
            raise
        except self._ray.exceptions.RayError:
            self._await_start(worker)
            return [Lost(worker)]

    def _hear_how_far(self, worker: int, answer: Any) -> list[Event]:
        try:
            at = self._ray.get(answer)
        except self._ray.exceptions.RayError:
            return []  # it died, as what it does will say
        return [Moved(worker, *at)] if at and at[0] in self._seats[worker].numbers else []

    def _ask_how_far(self) -> None:
        """Ask actors that have been at something for long."""
        now, asked = (
            time.monotonic(),
            {worker for what, worker in self._asked.values() if what == "at"},
        )
        for worker, seat in enumerate(self._seats):
            if not seat.numbers or worker in asked or now - seat.asked < MOVED_SECONDS:
                continue
            seat.asked = now
            question = seat.actor.at.options(concurrency_group="beside", max_task_retries=0)
            self._asked[question.remote()] = ("at", worker)

    def _note_waiting(self) -> None:
        """Say once that the cluster has no place, where no worker has come."""
        since = self._waits_since
        if since is not None and time.monotonic() - since > PATIENCE_SECONDS:
            self._waits_since = None
            note(
                "the Ray cluster has had no free core or GPU for a minute: this command waits for"
                " one; `ray status` says who has them"
            )


def library(*, asked_by: str = "--engine ray") -> Any:
    """Ray.

    Args:
        asked_by: the option, for the sentence of the error.

    Raises:
        PlanError: it is not installed.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise PlanError(f"{asked_by} needs the library Ray: pip install 'staged[ray]'") from None
    return ray


def join(ray: Any, address: str, workers: int, *, asked_by: str = "--engine ray") -> None:
    """Become a driver of the cluster at an address, or of one that starts here.

    Args:
        asked_by: the option, for the sentence of the error.

    Raises:
        PlanError: there is none, or not one that this Python and Ray can join.
    """
    here: dict[str, Any] = {
        "num_cpus": max(workers, processors()),
        "object_store_memory": OBJECT_STORE,
        "include_dashboard": False,
    }
    try:
        if address not in ("", "auto"):
            _check_answer(address)
        with _silent(ray):
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                **({} if address else here),
            )
    except Exception as error:  # Ray raises plain ones, too
        raise PlanError(
            f"--address {address}: no Ray cluster that this machine can join: {first_line(error)};"
            " start one with `ray start`, docs/scale.md"
            if address
            else f"{asked_by}: Ray does not start here: {first_line(error)}"
        ) from None


def _check_answer(address: str) -> None:
    """Whether anybody is there: Ray would wait for ever, deaf to Ctrl-C.

    Raises:
        OSError: nobody is.
    """
    host, port = address.rsplit(":", 1)
    socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


@contextmanager
def _silent(ray: Any) -> Iterator[None]:
    """Ray prints on standard output whatever dies anywhere in a cluster, and has no switch for it:
    the thread that would has nothing to do.
    """
    private = ray._private.worker
    listen = private.listen_error_messages
    private.listen_error_messages = lambda worker, threads_stopped: None
    try:
        yield
    finally:
        private.listen_error_messages = listen


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
