"""A stage's folder: built beside its place, renamed when whole, `manifest.json` written last.

    out/detectors/tfidf/mini-s.partial/   under construction; a killed stage leaves it, the next run
                                          continues in it
    out/detectors/tfidf/mini-s/           complete: it holds manifest.json

The manifest chains: it records the SHA-256 of each input stage's manifest, so a changed plan redoes
exactly what depends on the change and nothing else. It holds no time and no path, so the same work
gives the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from staged.errors import ArtifactError, StagedError
from staged.storage.digests import sha256_file
from staged.storage.gate import check_construction, check_stage
from staged.storage.json_files import read_json, write_json
from staged.storage.marks import (
    BLOCKS,
    CHECKPOINT,
    EMPTIED,
    MANIFEST,
    MARK,
    mark_construction,
    temporary_of,
    wanted_of,
)
from staged.storage.versions import versions
from staged.storage.writing import disk_errors, locked

PARTIAL = ".partial"


def build(
    folder: Path,
    write: Callable[[Path], None],
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Path] | None = None,
    patient: bool = False,
) -> bool:
    """Make one stage's folder unless it is complete and still what these settings and inputs ask
    for.

    Args:
        folder: where the finished stage stands.
        write: fills the folder it is given; called again after a kill it finds what it had written
            and continues. A `CHECKPOINT` and a folder `BLOCKS` that it leaves there are removed
            when all else is on the disk.
        settings: JSON values that determine the output.
        inputs: name → file or finished stage folder that the output depends on.
        patient: wait for another process that builds the same folder.

    Returns:
        True when work was done, False when the folder was already complete.

    Raises:
        ArtifactError: something that is not ours stands in its place, the disk is full, the place
            cannot be written, or another process builds the same folder.
    """
    check_name(folder)
    wanted = fingerprint(settings, inputs or {})
    if is_complete(folder, wanted):
        return False
    partial = partial_of(folder)
    check_stage(folder)  # before the work, and again before its result takes this place
    folders = [
        place for place in (partial, *partial.parents) if place == partial or not place.exists()
    ]
    with disk_errors(folder), locked(partial, patient=patient):
        if is_complete(folder, wanted):  # another process finished it before the lock was free
            _leave(partial)
            return False
        check_construction(partial)
        if not is_complete(partial, wanted):  # else killed between its manifest and its new name
            _fill(partial, write, wanted, folders)
        _take_place(partial, folder)
        return True


def begin(folder: Path, *, settings: Mapping[str, Any], inputs: Mapping[str, Path]) -> Path | None:
    """The folder of finished blocks of a stage that is to be built, which workers fill before
    `build` joins them; those of other settings or inputs are gone.

    Returns:
        None where the stage is whole, at least but for its name, and `build` has nothing to join.

    Raises:
        ArtifactError: something that is not ours stands in its place, or it cannot be written.
    """
    check_name(folder)
    wanted = fingerprint(settings, inputs)
    partial = partial_of(folder)
    check_stage(folder)
    with disk_errors(folder), locked(partial, patient=True):
        if is_complete(folder, wanted):  # another process finished it before the lock was free
            _leave(partial)
            return None
        check_construction(partial)
        if is_complete(partial, wanted):
            return None
        _keep_only_matching(partial, wanted)
        (partial / BLOCKS).mkdir(exist_ok=True)
    return partial / BLOCKS


def _leave(partial: Path) -> None:
    """Remove what holding the place of a stage that is there already has made."""
    with suppress(OSError):
        partial.rmdir()


def _fill(
    partial: Path, write: Callable[[Path], None], wanted: dict[str, Any], folders: Sequence[Path]
) -> None:
    """Make or continue what is to stand in a folder, its manifest last.

    Args:
        folders: the folder and the ones over it that were made for it; removed where the work is
            refused before anything was made.
    """
    _keep_only_matching(partial, wanted)
    try:
        write(partial)
    except StagedError:
        if all(item.name == MARK for item in partial.iterdir()):
            (partial / MARK).unlink()
            with suppress(OSError):  # what another stage has filled meanwhile stays
                for place in folders:
                    place.rmdir()
        raise
    write_json(partial / MANIFEST, wanted | {"versions": versions(), "files": _sums(partial)})


def _take_place(partial: Path, folder: Path) -> None:
    """Put a filled folder where it belongs; a finished stage that stands there goes."""
    for name in (MARK, CHECKPOINT):
        (partial / name).unlink(missing_ok=True)
    if (partial / BLOCKS).is_dir():
        shutil.rmtree(partial / BLOCKS)
    check_stage(folder)
    if folder.exists():
        _remove(folder)
    partial.replace(folder)


def partial_of(folder: Path) -> Path:
    """Where a folder stands while it is under construction."""
    return folder.with_name(folder.name + PARTIAL)


def whole_of(partial: Path) -> Path:
    """Where a folder that is under construction will stand."""
    return partial.with_name(partial.name.removesuffix(PARTIAL))


def fingerprint(settings: Mapping[str, Any], inputs: Mapping[str, Path]) -> dict[str, Any]:
    """What determines a stage's bytes: its settings and the digests of its inputs."""
    digests = {
        name: sha256_file(path / MANIFEST if path.is_dir() else path)
        for name, path in sorted(inputs.items())
    }
    return {"settings": json.loads(json.dumps(settings)), "inputs": digests}


def is_complete(folder: Path, wanted: Mapping[str, Any] | None = None) -> bool:
    """Whether the folder is a finished stage (and, given a fingerprint, the one it describes)."""
    if not (folder / MANIFEST).is_file() or wanted_of(folder) == EMPTIED:
        return False
    if wanted is None:
        return True
    manifest = read_json(folder / MANIFEST)
    return isinstance(manifest, dict) and all(
        manifest.get(key) == value for key, value in wanted.items()
    )


def _keep_only_matching(partial: Path, wanted: Mapping[str, Any]) -> None:
    """Empty a folder under construction unless it is to become this; killed meanwhile, it still
    carries a mark.
    """
    if wanted_of(partial) == wanted:
        return
    mark = partial / MARK
    if any(item != mark for item in partial.iterdir()):
        mark_construction(partial, EMPTIED)
        _empty(partial)
    mark_construction(partial, wanted)


def _empty(folder: Path) -> None:
    """Remove what is in a marked folder, but its mark."""
    for item in folder.iterdir():
        if item.name != MARK:
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()


def _remove(folder: Path) -> None:
    """Remove a finished stage; killed meanwhile, it is no longer finished, and carries a mark to
    the last.
    """
    mark_construction(folder, EMPTIED)
    (folder / MANIFEST).unlink(missing_ok=True)
    _empty(folder)
    (folder / MARK).unlink()
    folder.rmdir()


def check_name(folder: Path) -> None:
    """Refuse a place such as `.`, which cannot be built beside itself and then take its own place.

    Raises:
        ArtifactError: it has no name of its own.
    """
    if folder.name in ("", ".."):
        raise ArtifactError(
            f"{folder}: a folder is made beside this place and then put there; give it a name, such"
            f" as {folder / 'new'}"
        )


def _sums(folder: Path) -> dict[str, str]:
    """Of every file that the stage made; the rest of a manifest that a kill cut short is none."""
    aside = {folder / name for name in (MANIFEST, MARK, CHECKPOINT)}
    aside.add(temporary_of(folder / MANIFEST))
    blocks = folder / BLOCKS
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path not in aside and blocks not in path.parents
    )
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
