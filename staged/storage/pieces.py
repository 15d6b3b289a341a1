"""A long job's finished pieces, in a folder beside the file that they become or of their own.

What a killed run has finished is a file a piece; the next run reads these and makes the others.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from staged.errors import ArtifactError
from staged.storage.forms import Form
from staged.storage.gate import check_construction, check_replaceable
from staged.storage.marks import MARK, TEMPORARY, mark_construction, wanted_of
from staged.storage.writing import disk_errors, locked, write_atomic

Value = TypeVar("Value")
Keep = Callable[[Path], None]


@dataclass(frozen=True)
class Encoding(Generic[Value]):
    """How a piece's value stands in its file."""

    encode: Callable[[Value], bytes]
    decode: Callable[[bytes], Value]


def _array_bytes(array: npt.NDArray[Any]) -> bytes:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    return data.getvalue()


BYTES: Encoding[bytes] = Encoding(bytes, bytes)
JSON: Encoding[Any] = Encoding(lambda value: json.dumps(value).encode(), json.loads)
ARRAY: Encoding[npt.NDArray[Any]] = Encoding(
    _array_bytes, lambda data: np.load(io.BytesIO(data), allow_pickle=False)
)


def cached(
    folder: Path | None,
    pieces: Iterable[tuple[str, Callable[[], Value]]],
    encoding: Encoding[Value],
    *,
    at_once: int = 1,
    keep: Keep = lambda file: None,
) -> Iterator[Value]:
    """Each piece's value, in order: read where its file is there, else made, and kept at once.

    Args:
        folder: of pieces, as `continued` gives one; None keeps nothing.
        pieces: a file's name, which says all that its bytes depend on as far as the folder does
            not, and what makes its value.
        at_once: pieces that are made at the same time, each by a thread of its own; where one
            fails, those at work beside it are still kept.
        keep: called with the file of each piece that is made.

    Raises:
        ArtifactError: a piece is damaged, or cannot be written.
    """
    if at_once > 1:
        yield from _made_beside(folder, pieces, encoding, at_once, keep)
        return
    for name, make in pieces:
        file = folder and folder / name
        if file and file.is_file():
            yield _read(file, encoding)
        else:
            yield _kept(file, make(), encoding, keep)


def _kept(file: Path | None, value: Value, encoding: Encoding[Value], keep: Keep) -> Value:
    if file is not None:
        write_atomic(file, encoding.encode(value))
        keep(file)
    return value


def _made_beside(
    folder: Path | None,
    pieces: Iterable[tuple[str, Callable[[], Value]]],
    encoding: Encoding[Value],
    at_once: int,
    keep: Keep,
) -> Iterator[Value]:
    """`cached`, whose threads make values while this one keeps and gives them."""
    listed = [(name, folder and folder / name, make) for name, make in pieces]
    missing = ((name, make) for name, file, make in listed if not (file and file.is_file()))
    finished = as_finished(missing, at_once)
    values: dict[str, Value] = {}
    for name, file, _ in listed:
        if file and name not in values and file.is_file():
            yield _read(file, encoding)
            continue
        while name not in values:
            other, value = next(finished)
            values[other] = _kept(folder and folder / other, value, encoding, keep)
        yield values.pop(name)


def as_finished(
    jobs: Iterable[tuple[str, Callable[[], Value]]], at_once: int
) -> Iterator[tuple[str, Value]]:
    """Each job's name and value, in the order in which they end; so many run at once.

    After an error no other job begins, and it is raised when those at work have ended. The threads
    are daemons: an interrupted program does not wait for what they wait for.
    """
    ended: SimpleQueue[tuple[str, Value | None, BaseException | None]] = SimpleQueue()

    def run(name: str, make: Callable[[], Value]) -> None:
        try:
            ended.put((name, make(), None))
        except BaseException as error:
            ended.put((name, None, error))

    waiting, running = iter(jobs), 0
    failed: BaseException | None = None
    while True:
        while running < at_once and failed is None and (job := next(waiting, None)):
            Thread(target=run, args=job, daemon=True).start()
            running += 1
        if not running:
            break
        name, value, error = ended.get()
        running -= 1
        failed = failed or error
        if error is None:
            yield name, value  # type: ignore[misc]  # None where the value itself is
    if failed is not None:
        raise failed


def _read(file: Path, encoding: Encoding[Value]) -> Value:
    try:
        return encoding.decode(file.read_bytes())
    except (OSError, ValueError, EOFError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{file}: damaged: {error}; delete it, and give the command again"
        ) from None


def blocks_of(out: Path) -> Path:
    """Where a file's finished pieces stand until it is whole."""
    return out.with_name(f"{out.name}.blocks")


@contextmanager
def continued(
    out: Path, wanted: Mapping[str, Any], *, pieces: str, form: Form | None = None
) -> Iterator[Path]:
    """The folder `OUT.blocks` of finished pieces of a file: held by this process alone, removed at
    the end, left after a kill.

    Args:
        wanted: JSON values that determine the pieces' bytes; pieces of anything else are removed.
        pieces: the pattern of their names.
        form: as `replacing` takes it, of the file itself: what may not be replaced is said before
            the work.

    Raises:
        ArtifactError: a file or a folder that is not ours stands there, the disk is full, the place
            cannot be written, or another process writes the same file.
    """
    folder = blocks_of(out)
    check_replaceable(out, form)
    with disk_errors(out), locked(folder):
        _claim(folder, wanted, pieces)
        yield folder
        _give_up(folder, pieces)


@contextmanager
def shared_pieces(
    out: Path, wanted: Mapping[str, Any], *, pieces: str, form: Form | None = None
) -> Iterator[Path]:
    """As `continued`, held together with other processes that make the same file's pieces; left at
    the end. Others' pieces are removed when nobody holds them.
    """
    folder = blocks_of(out)
    check_replaceable(out, form)
    with disk_errors(out):
        while True:
            with locked(folder, shared=True, patient=True):
                if _is_of(folder, wanted):
                    yield folder
                    return
            with locked(folder, patient=True):
                _claim(folder, wanted, pieces)


@contextmanager
def gathered_pieces(out: Path, wanted: Mapping[str, Any], *, pieces: str) -> Iterator[Path | None]:
    """What `shared_pieces` has left, held by this process alone and removed at the end; None where
    another process has been here before.
    """
    folder = blocks_of(out)
    with disk_errors(out), locked(folder, patient=True):
        if not _is_of(folder, wanted):
            with suppress(OSError):
                folder.rmdir()
            yield None
            return
        yield folder
        _give_up(folder, pieces)


def _is_of(folder: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether a folder is marked as that of these pieces."""
    return bool(wanted_of(folder) == json.loads(json.dumps(wanted)))


def _claim(folder: Path, wanted: Mapping[str, Any], pieces: str) -> None:
    """Mark a folder as that of these pieces; others in it are removed."""
    check_construction(folder)
    if not _is_of(folder, wanted):
        _remove_pieces(folder, pieces)
        mark_construction(folder, wanted)


def _give_up(folder: Path, pieces: str) -> None:
    _remove_pieces(folder, pieces)
    (folder / MARK).unlink()
    with suppress(OSError):  # what its user has put there stays
        folder.rmdir()


def _remove_pieces(folder: Path, pieces: str) -> None:
    """Pieces, and what killed processes have left of some."""
    for piece in [*folder.glob(pieces), *folder.glob(f".*{TEMPORARY}")]:
        if piece.name != MARK:
            piece.unlink(missing_ok=True)
