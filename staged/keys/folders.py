"""Where keys stand, what they can be called, and how their folders come to be."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from staged.errors import ProvenanceError
from staged.keys.key import CERTIFICATE, KEY, Key, write_key
from staged.keys.secret_files import (
    EVERYBODY,
    OWNER_ONLY,
    OWNERS_FOLDER,
    flush_folder,
    write_new,
)
from staged.storage.writing import disk_errors

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


def keys_folder() -> Path:
    """Where keys stand: $STAGED_KEYS, else $XDG_DATA_HOME/staged/keys, else
    ~/.local/share/staged/keys.
    """
    if chosen := os.environ.get("STAGED_KEYS"):
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "staged" / "keys"


def place_of(key_id: str) -> Path:
    """The folder of a key.

    Raises:
        ProvenanceError: it cannot be an id.
    """
    if not ID.fullmatch(key_id):
        raise ProvenanceError(
            f"{key_id!r} is no key's id: 1 to 48 letters, digits, `.`, `_` and `-`, a letter or a"
            " digit first; keys stand in the folder that STAGED_KEYS names"
        )
    return keys_folder() / key_id


def is_key(place: Path) -> bool:
    """Whether a key stands in a folder."""
    return (place / KEY).is_file()


def free_id(wanted: str) -> str:
    """An id that nothing stands under: this one, or the next free after it."""
    while os.path.lexists(place_of(wanted)):
        wanted = next_id(wanted)
    return wanted


def next_id(key_id: str) -> str:
    """`alpha-2` after `alpha`, `alpha-3` after `alpha-2`."""
    stem, _, number = key_id.rpartition("-")
    return f"{stem}-{int(number) + 1}" if stem and number.isdecimal() else f"{key_id}-2"


def build(key: Key, files: dict[str, bytes]) -> None:
    """Write a key's files beside its place, and put them there at once.

    Args:
        files: name → contents; all but the certificate are secret.

    Raises:
        ProvenanceError: something stands there.
        ArtifactError: the folder cannot be written.
    """
    folder = key.place.parent
    taken = f"key {key.id!r} is there already, in {folder}, and a key is never overwritten; give"
    if os.path.lexists(key.place):
        raise ProvenanceError(f"{taken} another id, or `staged keys rotate {key.id}`")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=OWNERS_FOLDER)
        work = Path(tempfile.mkdtemp(prefix=f".{key.id}.", dir=folder))  # its owner's alone
        try:
            for name, data in files.items():
                write_new(work / name, data, mode=EVERYBODY if name == CERTIFICATE else OWNER_ONLY)
            write_key(key, work)
            flush_folder(work)
            work.rename(key.place)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            if os.path.lexists(key.place):  # made by another process meanwhile
                raise ProvenanceError(f"{taken} another id") from None
            raise
        flush_folder(folder)
