"""Marks that folders carry: what a finished stage's manifest says, and what a folder under
construction is to become.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from staged.storage.forms import json_object

MANIFEST = "manifest.json"
MARK = "fingerprint.json"
CHECKPOINT = "checkpoint.pt"  # in a folder under construction: what a killed writer continues from
BLOCKS = "blocks"  # the same: a folder of finished blocks
CONSTRUCTION = "staged: under construction"
TEMPORARY = ".staged-tmp"  # how the name of a file ends until it is whole
EMPTIED = "nothing: it is being emptied"  # in a mark
STAGE_KEYS = {"settings", "inputs", "versions", "files"}


def temporary_of(path: Path) -> Path:
    """The name under which a file is written until it is whole."""
    return path.with_name(f".{path.name}{TEMPORARY}")


def from_root(path: Path) -> Path:
    """A path from the root, without `..`, which would count a place outside a folder as one in
    it.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps `..`)


def stage_files(folder: Path) -> dict[str, str] | None:
    """Path → SHA-256 of a finished stage's files; None where no stage stands."""
    manifest = json_object(folder / MANIFEST)
    return (
        manifest["files"]
        if manifest is not None
        and manifest.keys() >= STAGE_KEYS
        and isinstance(manifest["files"], dict)
        else None
    )


def mark_construction(folder: Path, wanted: Any) -> None:
    """Mark a folder as work in progress that is to become `wanted`, JSON values; no ledger over it
    has a part in that.
    """
    write_mark(folder / MARK, {"mark": CONSTRUCTION, "wanted": wanted})


def wanted_of(folder: Path) -> Any:
    """What a folder under construction is to become; None where it carries no mark of ours."""
    mark = json_object(folder / MARK)
    if mark is None:
        return None
    return (
        mark["wanted"]
        if mark.get("mark") == CONSTRUCTION
        else mark
        if mark.keys() == {"settings", "inputs"}
        else None
    )


def in_construction(folder: Path) -> bool:
    """Whether a folder carries the mark of work in progress."""
    return (folder / MARK).is_file() and wanted_of(folder) is not None


def write_mark(path: Path, value: Any) -> None:
    """Write a mark, JSON values, whole or not at all; no ledger over it has a part in that."""
    temporary = temporary_of(path)
    _write(temporary, value)
    temporary.replace(path)


def write_first(path: Path, value: Any) -> None:
    """As `write_mark`, unless another process has written one meanwhile, which stays."""
    own = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    _write(own, value)
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    except OSError:  # a file system where no file has two names
        own.replace(path)
    finally:
        own.unlink(missing_ok=True)


def _write(path: Path, value: Any) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def is_unfinished(path: Path, mark: Path) -> bool:
    """Whether a file is what a kill has left of a mark that was being written."""
    is_temporary = path.name.startswith(f".{mark.name}.") and path.name.endswith(TEMPORARY)
    return path.parent == mark.parent and is_temporary
