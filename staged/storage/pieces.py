"""A long job's finished pieces, in a folder beside the file that they become."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from staged.storage.gate import (
    MARK,
    Form,
    check_construction,
    check_replaceable,
    mark_construction,
    wanted_of,
)
from staged.storage.writing import disk_errors, locked


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
    folder = out.with_name(f"{out.name}.blocks")
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
