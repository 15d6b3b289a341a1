"""Finished stages at a URL: each is sent when it is whole, its manifest last, and fetched where
another machine has made it.

A stage that is being sent carries the mark of one that is being emptied, and no manifest; what is
fetched is as its manifest says, or refused.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from staged.errors import ArtifactError
from staged.places import objects
from staged.places.blocks import clear, is_mark
from staged.places.mirror import url_of
from staged.storage.digests import sha256_file
from staged.storage.gate import NOT_OURS
from staged.storage.marks import (
    CONSTRUCTION,
    EMPTIED,
    MANIFEST,
    MARK,
    STAGE_KEYS,
    TEMPORARY,
    stage_files,
)
from staged.storage.stage_folders import is_complete, partial_of

__all__ = ["agree", "at_hand", "check_free", "publish", "stands_at_url"]

BEING_SENT = json.dumps({"mark": CONSTRUCTION, "wanted": EMPTIED}).encode()


def at_hand(inputs: Mapping[str, Path]) -> dict[str, Path]:
    """Stages that are to be read, on this machine as they are at their URLs; all else as it is.

    Raises:
        ArtifactError: a stage is not as its manifest says, or its store does not answer.
    """
    for folder in inputs.values():
        if url_of(folder):
            manifest = _manifest_at(folder)
            if manifest is not None and manifest != _manifest_in(folder):
                _fetch(folder, manifest)
    return dict(inputs)


def stands_at_url(folder: Path) -> bool:
    """Whether a stage is finished at its URL; a local place has none."""
    return _manifest_at(folder) is not None


def agree(folder: Path, wanted: Mapping[str, Any]) -> None:
    """A stage of these settings and inputs that is finished here or at its URL is so on both
    sides.
    """
    if not url_of(folder):
        return
    manifest = _manifest_at(folder)
    if is_complete(folder, wanted):
        publish(folder)
    elif manifest is not None and wanted.items() <= _parsed(manifest).items():
        _fetch(folder, manifest)


def publish(folder: Path) -> None:
    """Send a finished stage; what stands at its URL goes, and the blocks that it was joined of.

    Raises:
        ArtifactError: what stands there is not as staged wrote it.
    """
    url = url_of(folder)
    if not url:
        return
    ours, theirs = (folder / MANIFEST).read_bytes(), _manifest_at(folder)
    if ours != theirs:
        there = _checked(folder, thoroughly=True)
        objects.write(f"{url}/{MARK}", BEING_SENT)
        objects.delete(f"{url}/{name}" for name in there & {MANIFEST})
        files = stage_files(folder) or {}
        objects.delete(f"{url}/{name}" for name in there - {*files, MANIFEST, MARK})
        objects.upload({f"{url}/{name}": folder / name for name in sorted(files)})
        objects.write(f"{url}/{MANIFEST}", ours)
    objects.delete([f"{url}/{MARK}"])
    clear(partial_of(folder))


def check_free(folder: Path) -> None:
    """Refuse to make a stage whose URL holds anything but nothing or a stage of ours.

    Raises:
        ArtifactError: it does; the first foreign object is named.
    """
    if url_of(folder):
        _checked(folder, thoroughly=False)


def _manifest_at(folder: Path) -> bytes | None:
    url = url_of(folder)
    return objects.read(f"{url}/{MANIFEST}") if url else None


def _manifest_in(folder: Path) -> bytes | None:
    return (folder / MANIFEST).read_bytes() if is_complete(folder) else None


def _parsed(manifest: bytes | None) -> dict[str, Any]:
    """A stage's manifest; nothing of anything else."""
    try:
        value = json.loads(manifest or b"")
    except ValueError:
        return {}
    return value if isinstance(value, dict) and value.keys() >= STAGE_KEYS else {}


def _checked(folder: Path, *, thoroughly: bool) -> set[str]:
    """The names of what stands at a stage's URL, which is all ours.

    Args:
        thoroughly: look into the objects, too.

    Raises:
        ArtifactError: something is not.
    """
    url = url_of(folder)
    there = objects.listed(url).keys()
    if MARK in there and is_mark(objects.read(f"{url}/{MARK}")):
        return set(there)  # being sent, or it was left so
    # after the names: what another process has sent meanwhile is whole
    files = _parsed(_manifest_at(folder)).get("files", {})
    for name in sorted(there - {MANIFEST} if files else there):
        if name not in files or (thoroughly and objects.sha256(f"{url}/{name}") != files[name]):
            raise ArtifactError(f"{url}/{name}: {NOT_OURS}")
    return set(there)


def _fetch(folder: Path, manifest: bytes) -> None:
    """Get a finished stage; it takes the place of the copy that is here.

    Raises:
        ArtifactError: it is not as its manifest says.
    """
    url, files = url_of(folder), _parsed(manifest).get("files", {})
    fresh, former = (
        folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{TEMPORARY}") for _ in range(2)
    )
    try:
        fresh.mkdir(parents=True, exist_ok=True)
        objects.download({f"{url}/{name}": fresh / name for name in files})
        for name, known in files.items():
            if sha256_file(fresh / name) != known:
                raise ArtifactError(
                    f"{url}/{name}: is not as the manifest beside it says; if another process is"
                    " writing there, give the command again, else remove that folder"
                )
        (fresh / MANIFEST).write_bytes(manifest)
        if folder.exists():
            folder.replace(former)
        _take_place(fresh, folder)
    finally:
        for place in (fresh, former):
            shutil.rmtree(place, ignore_errors=True)


def _take_place(fresh: Path, folder: Path) -> None:
    try:
        fresh.replace(folder)
    except OSError:  # another process of this machine was quicker: what it got is the same
        if not is_complete(folder):
            raise
