"""Single files and folders at a URL: inputs as they are now, results sent when they are whole."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from staged.places import objects
from staged.places.blocks import clear
from staged.places.mirror import place, url_of
from staged.storage.digests import digest
from staged.storage.forms import json_object
from staged.storage.marks import TEMPORARY
from staged.storage.pieces import blocks_of
from staged.storage.versions import cache_folder

__all__ = ["edited", "fetch_files", "fetched", "send_files", "sent"]


def fetched(given: str | Path) -> Path:
    """The path of a file or folder that is to be read; of a URL its copy, which is as the objects
    are now.

    Raises:
        PlanError: as `place`.
        ArtifactError: its store does not answer.
    """
    path = place(given)
    url = url_of(path)
    if not url:
        return path
    now, seen = objects.listed(url), json_object(_seen(url)) or {}
    changed = [name for name in now if seen.get(name) != now[name] or not (path / name).is_file()]
    objects.download({_below(url, name): path / name for name in changed})
    for name in seen.keys() - now.keys():
        (path / name).unlink(missing_ok=True)
    if seen != now:
        _note_seen(url, now)
    return path


def _seen(url: str) -> Path:
    """Where the versions of the objects stand of which the copy is."""
    return cache_folder() / "places" / "seen" / f"{digest([url])}.json"


def _note_seen(url: str, versions: dict[str, str]) -> None:
    """Other processes may do so at the same time."""
    _seen(url).parent.mkdir(parents=True, exist_ok=True)
    fresh = _seen(url).with_name(f"{uuid.uuid4().hex}{TEMPORARY}")
    fresh.write_text(json.dumps(versions), encoding="utf-8")
    fresh.replace(_seen(url))


def _below(url: str, name: str) -> str:
    return f"{url}/{name}" if name else url


@contextmanager
def sent(out: Path) -> Iterator[None]:
    """A file that the block writes is sent to its URL at the end; what stands there is here before,
    for the gate to look at. A local file's own place is its end.
    """
    url = url_of(out)
    if not url:
        yield
        return
    fetched(out)
    yield
    objects.upload({url: out})
    clear(blocks_of(out))


@contextmanager
def edited(root: Path) -> Iterator[None]:
    """The files of a folder, not those of folders in it, are here as at its URL, and there as the
    block leaves them.
    """
    url = url_of(root)
    if not url:
        yield
        return
    names = {name for name in objects.listed(url) if "/" not in name}
    fetch_files(root, sorted(names))
    yield
    names |= {path.name for path in root.iterdir() if path.is_file()}
    send_files(root, sorted(names))


def fetch_files(root: Path, names: Sequence[str]) -> None:
    """Make files of a folder what they are at its URL, of which some may not be there."""
    url = url_of(root)
    if url:
        root.mkdir(parents=True, exist_ok=True)
    for name in names if url else ():
        data = objects.read(f"{url}/{name}")
        (root / name).unlink(missing_ok=True)
        if data is not None:
            (root / name).write_bytes(data)


def send_files(root: Path, names: Sequence[str], *, last: str = "") -> None:
    """Make files at a folder's URL what they are here; those that are not here go.

    Args:
        last: the name whose file says that all others are whole: it goes before, and comes at the
            end.
    """
    url = url_of(root)
    if not url:
        return
    there = {name for name in names if (root / name).is_file()} - {last}
    objects.delete(f"{url}/{name}" for name in {*names, last} - there - {""})
    objects.upload({f"{url}/{name}": root / name for name in sorted(there)})
    if last:
        objects.upload({f"{url}/{last}": root / last})
