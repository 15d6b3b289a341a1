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
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from staged.errors import ArtifactError
from staged.storage.forms import Form
from staged.storage.gate import check_construction, check_replaceable
from staged.storage.marks import MARK, mark_construction, wanted_of
from staged.storage.writing import disk_errors, locked, write_atomic

Value = TypeVar("Value")


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
) -> Iterator[Value]:
    """Each piece's value, in order: read where its file is there, else made, and kept at once.

    Args:
        folder: of pieces, as `continued` gives one; None keeps nothing.
        pieces: a file's name, which says all that its bytes depend on as far as the folder does
            not, and what makes its value.

    Raises:
        ArtifactError: a piece is damaged, or cannot be written.
    """
    for name, make in pieces:
        file = folder and folder / name
        if file is None:
            yield make()
        elif file.is_file():
            yield _read(file, encoding)
        else:
            value = make()
            write_atomic(file, encoding.encode(value))
            yield value


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
        check_construction(folder)
        if wanted_of(folder) != json.loads(json.dumps(wanted)):
            _remove_pieces(folder, pieces)
            mark_construction(folder, wanted)
        yield folder
        _remove_pieces(folder, pieces)
        (folder / MARK).unlink()
        with suppress(OSError):  # what its user has put there stays
            folder.rmdir()


def _remove_pieces(folder: Path, pieces: str) -> None:
    for piece in folder.glob(pieces):
        if piece.name != MARK:
            piece.unlink()
