"""Writes a whole file or nothing, holds a folder for one process, and turns the operating system's
refusals into a sentence.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from staged.errors import ArtifactError
from staged.storage.forms import Form
from staged.storage.gate import check_replaceable
from staged.storage.ledger import entered
from staged.storage.marks import temporary_of


@contextmanager
def locked(folder: Path, *, shared: bool = False, patient: bool = False) -> Iterator[None]:
    """Create the folder and hold it for this process alone until the block ends or the process
    dies.

    Args:
        shared: hold it together with others that share it, for whom none can have it alone.
        patient: wait for whoever holds it.

    Raises:
        ArtifactError: another live process holds it.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if patient else fcntl.LOCK_NB)
    handle = _held(folder, how)
    try:
        yield
    finally:
        os.close(handle)


def _held(folder: Path, how: int) -> int:
    """The folder, open and locked; one that whoever held it has renamed or removed meanwhile is
    made again.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, how)
            if _is_at(handle, folder):
                return handle
        except BlockingIOError:
            os.close(handle)
            raise ArtifactError(
                f"{folder}: another staged process is writing here; wait for it or choose another"
                " place"
            ) from None
        os.close(handle)


def _is_at(handle: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
        raise ArtifactError(
            f"{place}: cannot write: {error.strerror or error}; free space or choose another place"
        ) from error


def write_atomic(path: Path, data: bytes, *, form: Form | None = None) -> None:
    """Write a whole file or nothing; as `replacing`."""
    with replacing(path, form=form) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path, *, form: Form | None = None) -> Iterator[Path]:
    """A temporary name to write a file under; at the end it is flushed to disk and renamed, or
    removed where writing failed.

    Args:
        form: tells a file of ours, where one stands at a place that a user named.

    Raises:
        ArtifactError: a file stands there that is not ours.
    """
    check_replaceable(path, form)
    temporary = temporary_of(path)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        with entered(path, temporary):
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
