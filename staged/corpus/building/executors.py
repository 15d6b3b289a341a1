"""datatrove's executors: this machine's processes, Slurm's array jobs, a cluster of Ray; what was
done is not done again.

datatrove's logs are written only by Slurm's jobs, into their own files.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from datatrove.executor import (
    LocalPipelineExecutor,
    RayPipelineExecutor,
    SlurmPipelineExecutor,
)
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from staged.corpus.building.plan import LOCAL, RAY, ExecutorSettings
from staged.errors import CorpusError, PlanError, StagedError, first_line
from staged.progress import Progress
from staged.threads import processors

LOOKS_EVERY_S = 0.5  # for tasks that are done
ASKS_EVERY_S = 10.0  # Slurm, whether a job is still there


@dataclass(frozen=True)
class Work:
    """A piece of the whole: steps, in so many tasks.

    Attributes:
        logs: folder of what datatrove keeps of it: tasks that are done, and their counts.
    """

    name: str
    steps: Sequence[PipelineStep]
    tasks: int
    logs: Path


def carry_out(work: Work, settings: ExecutorSettings, progress: Progress) -> None:
    """Do all tasks that are not done yet.

    Args:
        progress: called with (tasks done, all).

    Raises:
        CorpusError: a task failed; those that are done stay so.
        PlanError: the executor is not there.
    """
    logger.disable("datatrove")
    executor = _executor(work, settings)
    with _watched(executor, progress), _failures(work):
        executor.run()
        if isinstance(executor, SlurmPipelineExecutor):
            _wait_for(executor)
    missing = executor.get_incomplete_ranks()
    if missing:
        raise CorpusError(
            f"{work.name}: {len(missing):,} of {work.tasks:,} tasks were not done, the first is"
            f" {missing[0]}; look into {work.logs}, and give the command again: it continues"
        )
    progress(work.tasks, work.tasks)


class Local(LocalPipelineExecutor):  # type: ignore[misc]
    """Processes of this machine, or this one where one is enough."""

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        logger.disable("datatrove")
        return super()._run_for_rank(rank, local_rank, node_rank)


class Ray(RayPipelineExecutor):  # type: ignore[misc]
    """Actors of a cluster."""

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        logger.disable("datatrove")
        return super()._run_for_rank(rank, local_rank, node_rank)


def _executor(work: Work, settings: ExecutorSettings) -> PipelineExecutor:
    steps, tasks, logs = list(work.steps), work.tasks, str(work.logs)
    if settings.name == LOCAL:
        workers = min(settings.workers or processors(), tasks)
        return Local(steps, tasks=tasks, workers=workers, logging_dir=logs)
    most = settings.workers or -1
    if settings.name == RAY:
        return Ray(
            steps,
            tasks=tasks,
            workers=most,
            logging_dir=logs,
            mem_per_cpu_gb=settings.memory_gb,
        )
    return SlurmPipelineExecutor(
        steps,
        tasks=tasks,
        workers=most,
        logging_dir=logs,
        mem_per_cpu_gb=settings.memory_gb,
        partition=settings.partition,
        time=settings.time,
        env_command=settings.setup,
        job_name=f"staged-{work.name.replace(' ', '-')}",
        qos="",
    )


@contextmanager
def cluster(settings: ExecutorSettings) -> Iterator[None]:
    """What the executor works on, for as long as there is work: of Ray a cluster, joined or
    started.

    Raises:
        PlanError: Ray is not installed, or its cluster does not answer.
    """
    if settings.name != RAY:
        yield
        return
    from staged.engines.ray import join, library

    ray = library(asked_by="executor ray")
    ours = not ray.is_initialized()
    if ours:
        join(ray, settings.address, settings.workers, asked_by="executor ray")
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def _watched(executor: PipelineExecutor, progress: Progress) -> Iterator[None]:
    """Say how many tasks are done, now and then, while they are done elsewhere."""
    ended = Event()

    def look() -> None:
        while not ended.wait(LOOKS_EVERY_S):
            progress(executor.world_size - len(_undone(executor)), executor.world_size)

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _undone(executor: PipelineExecutor) -> list[int]:
    ranks: list[int] = executor.get_incomplete_ranks()
    return ranks


@contextmanager
def _failures(work: Work) -> Iterator[None]:
    """What a task raised, as a sentence."""
    try:
        yield
    except (StagedError, OSError, MemoryError):
        raise
    except subprocess.CalledProcessError as error:
        raise CorpusError(f"{work.name}: {error.cmd[0]} ended with {error.returncode}") from None
    except Exception as error:
        raise CorpusError(
            f"{work.name}: a task failed: {type(error).__name__}: {first_line(error)}; what is done"
            " stays: give the command again to continue"
        ) from error


def _wait_for(executor: SlurmPipelineExecutor) -> None:
    """Until a Slurm job's tasks are done, or Slurm does not know the job any more."""
    job = executor.job_id
    while _undone(executor) and job != -1 and _is_there(str(job)):
        _sleep(ASKS_EVERY_S)


def _is_there(job: str) -> bool:
    asked = subprocess.run(
        ["squeue", "--noheader", "--jobs", job], capture_output=True, text=True, check=False
    )
    return asked.returncode == 0 and bool(asked.stdout.strip())


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def check_slurm(settings: ExecutorSettings) -> None:
    """Refuse Slurm where its commands are not.

    Raises:
        PlanError: they are not.
    """
    from shutil import which

    missing = [name for name in ("sbatch", "squeue") if which(name) is None]
    if missing:
        raise PlanError(
            f"executor slurm: no command {missing[0]} here; run this on a machine of the cluster"
        )
