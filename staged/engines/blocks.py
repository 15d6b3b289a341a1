"""A long job as a list of blocks, each a pure function of its number: computed here or by an
engine's workers, kept as a file each, read in order.
"""

from __future__ import annotations

import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from staged.engines.choice import HERE, Engine
from staged.engines.contract import Perform
from staged.engines.scheduling import Work, hand_out
from staged.engines.started import started
from staged.errors import ShardDone
from staged.places.blocks import bring, claimed, drop, is_away, keep, names_in, send
from staged.places.files import sent
from staged.progress import Progress, silent
from staged.storage.forms import Form
from staged.storage.marks import TEMPORARY
from staged.storage.pieces import (
    Encoding,
    cached,
    continued,
    gathered_pieces,
    shared_pieces,
)

__all__ = ["Job", "block_values", "computed"]

Value = TypeVar("Value")


class Job(ABC, Generic[Value]):
    """A list of blocks. A kind of job is a frozen dataclass that can be pickled; it says what it
    needs, and holds no model.
    """

    @property
    def at_once(self) -> int:
        """Blocks that one process computes at the same time, each by a thread of its own."""
        return 1

    @property
    @abstractmethod
    def encoding(self) -> Encoding[Value]:
        """How a block's value stands in its file."""

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Of each block its file's name, which says all that its bytes depend on as far as the
        folder does not.
        """

    @abstractmethod
    def opened(self) -> AbstractContextManager[Callable[[int], Value]]:
        """What all blocks need is loaded; what makes the value of a block from its number."""

    def is_over(self, folder: Path) -> bool:
        """Whether a folder of blocks that is gone has become what it was for."""
        return False


@contextmanager
def block_values(
    out: Path,
    wanted: Mapping[str, Any],
    job: Job[Value],
    *,
    pieces: str,
    form: Form | None = None,
    engine: Engine = HERE,
    make: Callable[[int], Value] | None = None,
    progress: Progress = silent,
) -> Iterator[Iterator[Value]]:
    """The value of each block of a file, in order, for the file to be written of.

    Args:
        out, wanted, pieces, form: as `continued` takes them.
        make: what makes a block's value, where it is open here already.
        progress: called with (blocks done, all).

    Raises:
        ShardDone: the engine does a share of the blocks, and the file is another's to write.
        StagedError: of a block; those that are finished stay.
    """
    if engine.shard is None:
        with sent(out), continued(out, wanted, pieces=pieces, form=form) as folder:
            store = claimed(folder)
            yield computed(store, job, engine=engine, make=make, progress=progress)
            drop(store)
        return
    if job.names and not engine.own(range(len(job.names))):  # all may be done, and the file there
        raise ShardDone(f"{out}: none of the blocks is shard {engine.said}'s")
    with sent(out):
        with shared_pieces(out, wanted, pieces=pieces, form=form) as folder:
            store = claimed(folder)
            hand_out_blocks(store, job, engine, progress)
            engine.check_shares(out, missing=len(blocks_left(store, job)))
        with gathered_pieces(out, wanted, pieces=pieces) as whole:
            if whole is None or blocks_left(store, job):
                raise ShardDone(
                    f"{out}: shard {engine.said} has done its part; another wrote the file"
                )
            yield computed(store, job, progress=progress)
            drop(store)


def computed(
    folder: Path | None,
    job: Job[Value],
    *,
    engine: Engine = HERE,
    make: Callable[[int], Value] | None = None,
    progress: Progress = silent,
) -> Iterator[Value]:
    """The value of each block, in order; what stands in the folder is read, the others are made
    and kept.

    Args:
        folder: of blocks, as `continued` gives one; None keeps nothing, and computes here.
        make: what makes a block's value, where it is open here already.
        progress: called with (blocks done, all).
    """
    if folder is not None and not engine.is_here:
        hand_out_blocks(folder, job, engine, progress)
    if folder is not None:
        bring(folder, job.names)
    total = len(job.names)
    with _opened_once(job, make) as value_of:
        pieces = ((name, partial(value_of, number)) for number, name in enumerate(job.names))
        values = cached(folder, pieces, job.encoding, at_once=job.at_once, keep=keep)
        for done, value in enumerate(values, 1):
            if engine.is_here:
                progress(done, total)
            yield value


def blocks_left(folder: Path | None, job: Job[Any]) -> list[int]:
    """The numbers of the blocks that are not there."""
    there = names_in(folder) if folder else set()
    return [number for number, name in enumerate(job.names) if name not in there]


def hand_out_blocks(
    folder: Path, job: Job[Any], engine: Engine, progress: Progress = silent
) -> None:
    """Let an engine make the blocks that are missing, as far as they are its own."""
    left, total = blocks_left(folder, job), len(job.names)
    work = Work(Blocks(folder, job), engine.own(left))

    def report(work: Work, share: float) -> None:
        progress(total - len(left) + int(share * len(work.numbers)), total)

    if work.numbers:
        with started(engine) as workers:
            hand_out(workers, [work], report=report)
    progress(total - len(left) + len(work.numbers), total)


@dataclass(frozen=True)
class Blocks(Generic[Value]):
    """A `Task`: a job's blocks, into a folder."""

    folder: Path
    job: Job[Value]

    @property
    def name(self) -> str:
        return str(self.folder)

    @contextmanager
    def opened(self) -> Iterator[Perform]:
        with self.job.opened() as make:
            yield partial(_make_block, self.folder, self.job, make)


def _make_block(
    folder: Path, job: Job[Value], make: Callable[[int], Value], number: int, progress: Progress
) -> None:
    file = folder / job.names[number]
    if file.is_file():
        keep(file)
        return
    if _is_over(folder, job):
        return
    data = job.encoding.encode(make(number))
    if is_away(folder):
        send(file, data)
        return
    try:
        write_block(file, data)
        keep(file)
    except FileNotFoundError:
        if not _is_over(folder, job):
            raise


def _is_over(folder: Path, job: Job[Any]) -> bool:
    """Whether others have made all blocks meanwhile, this one too, and joined them."""
    return not (folder.is_dir() or is_away(folder)) and job.is_over(folder)


def write_block(file: Path, data: bytes) -> None:
    """Write a block, whole or not at all. Others may write the same at the same time: each under a
    name of its own, and the bytes are equal.
    """
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        with open(temporary, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _opened_once(
    job: Job[Value], make: Callable[[int], Value] | None
) -> Iterator[Callable[[int], Value]]:
    """What makes blocks; nothing is loaded until the first is asked for."""
    with ExitStack() as stack:
        made = [make] if make else []

        def value_of(number: int) -> Value:
            if not made:
                made.append(stack.enter_context(job.opened()))
            return made[0](number)

        yield value_of
