"""Models named by a place on this machine: whether a name is one, and which place a mistyped one
most likely means.
"""

from __future__ import annotations

import difflib
import re
import stat
from collections.abc import Collection
from pathlib import Path

SHOWN = 5  # folders that a sentence lists
DRIVE = re.compile(r"^[A-Za-z]:/*")
WRITTEN_AS_PATH = re.compile(r"[./~].*|.*[/\\]|.*\\.*|[A-Za-z]:.*|.*/.*/.*", re.DOTALL)


def place_of(name: str) -> Path:
    """The path that a name writes down; a leading `~` is a home folder, which a shell expands only
    where a word begins.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError:  # of nobody whom this machine knows
        return Path(name)


def standing(place: Path) -> str:
    """`folder`, `file` or, where nothing stands there, the empty string; a name too long for a path
    stands nowhere.
    """
    try:
        return "folder" if stat.S_ISDIR(place.stat().st_mode) else "file"
    except (OSError, ValueError):
        return ""


def is_written_as_path(name: str) -> bool:
    """Whether a name can only be a place: it begins with `.`, `/` or `~`, ends with a slash, holds
    more slashes than `owner/model`, a backslash or a drive. `owner/model` itself can be either.
    """
    return WRITTEN_AS_PATH.fullmatch(name) is not None


def why_not_there(name: str, *, known: Collection[str] = (), files: bool = False) -> str:
    """What to say of a place that is not there: the nearest one that is, or what stands where the
    path leads nowhere.

    Args:
        known: names that could have been meant, written as a path by mistake.
        files: whether a file could have been meant as well as a folder.
    """
    bare, near = name.strip("./\\"), nearest_place(name, files=files)
    missing = f"no such folder{' or file' if files else ''}"
    if near or bare in known:
        return f"{missing}; did you mean {near or bare!r}?"
    folder = next(
        (parent for parent in place_of(_tidied(name)).parents if standing(parent) == "folder"),
        Path(),
    )
    inside = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    )
    listed = ", ".join(map(repr, inside[:SHOWN])) + (
        f" and {len(inside) - SHOWN} more" if inside[SHOWN:] else ""
    )
    where = "this folder" if folder == Path() else repr(str(folder))
    return f"{missing}; {where} holds {f'the folders {listed}' if inside else 'no folder'}"


def nearest_place(name: str, *, files: bool = False) -> str | None:
    """What stands at a name's path, each part that is not there replaced by the one most like it;
    None where none is like it.

    Args:
        files: whether it may end at a file.
    """
    place = place_of(_tidied(name))
    nearest = Path(place.anchor)
    for part in place.relative_to(place.anchor).parts:
        match = part if standing(nearest / part) else _most_like(part, nearest, files=files)
        if match is None:
            return None
        nearest /= match
    fits = nearest != Path() and (files or standing(nearest) == "folder")
    return (
        (str(nearest) if nearest.is_absolute() or nearest.parts[0] == ".." else f"./{nearest}")
        if fits
        else None
    )


def _tidied(name: str) -> str:
    return DRIVE.sub("", name.strip().replace("\\", "/"))


def _most_like(part: str, folder: Path, *, files: bool) -> str | None:
    try:
        names = {
            entry.name.lower(): entry.name
            for entry in sorted(folder.iterdir())
            if files or entry.is_dir()
        }
    except OSError:  # a file, or not ours to look into
        return None
    close = difflib.get_close_matches(part.lower(), names, n=1)
    return names[close[0]] if close else None
