"""Files that hold secrets: made for their owner alone, and refused where others may read them.

No error here ever quotes what a file holds.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from staged.errors import ProvenanceError

OWNER_ONLY, OWNERS_FOLDER, EVERYBODY = 0o600, 0o700, 0o644
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write_new(path: Path, data: bytes, *, mode: int = OWNER_ONLY) -> None:
    """Write a file that is not there yet and flush it to disk; at no moment is it wider than
    `mode`.
    """
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_secret(path: Path) -> bytes:
    """What a secret file holds.

    Raises:
        ProvenanceError: it is not there, cannot be read, or others than its owner may read or
            change it.
    """
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & OTHERS:
                raise ProvenanceError(
                    f"{path}: others may read or change it (mode {mode:04o}); type `chmod 600"
                    f" {path}`, and make a new key if somebody else could have read it"
                )
            return file.read()
    except OSError as error:
        raise ProvenanceError(
            f"{path}: cannot be read: {error.strerror}; bring the file back from a copy, or make a"
            " new key"
        ) from None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder until the block ends; whoever else wants it waits."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Flush to disk which names a folder holds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
