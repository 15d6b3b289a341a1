"""Finished blocks as objects: each is sent when it is made, those of others are listed and fetched.

    s3://bucket/x.jsonl.blocks/fingerprint.json     the mark, as in a local folder
    s3://bucket/x.jsonl.blocks/DIGEST/000000128…    a block; DIGEST is of what the mark says
    out/scores/tfidf/x.partial/blocks/DIGEST/000…   a stage's block, at a URL or not

There no lock is held: who still makes blocks of other settings puts them elsewhere, and blocks of
the same settings have the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from staged.errors import ArtifactError
from staged.places import objects
from staged.places.mirror import url_of
from staged.storage.digests import digest
from staged.storage.marks import CONSTRUCTION, MARK, wanted_of

__all__ = ["bring", "claimed", "clear", "drop", "is_away", "keep", "names_in", "send", "store_of"]

BLOCK = re.compile(r"(blocks/)?[0-9a-f]{24}/[^/]+")


def store_of(folder: Path) -> Path:
    """Where the blocks of a marked folder stand: in it, which commands hold; of a stage, or at a
    URL, below what the mark says.
    """
    marked = _marked(folder)
    if marked == folder and not url_of(folder):
        return folder
    return folder / digest([json.dumps(wanted_of(marked), sort_keys=True)])


def _marked(folder: Path) -> Path:
    """The folder with the mark: this, or of a stage's blocks the one over it."""
    return folder if (folder / MARK).is_file() else folder.parent


def claimed(folder: Path) -> Path:
    """`store_of` a folder, there to be filled, whose mark stands at its URL, too; blocks of other
    settings go there.

    Raises:
        ArtifactError: objects stand there that carry no mark.
    """
    store, marked = store_of(folder), _marked(folder)
    url = url_of(marked)
    if url:
        ours = (marked / MARK).read_bytes()
        if objects.read(f"{url}/{MARK}") != ours:
            clear(marked)
            objects.write(f"{url}/{MARK}", ours)
    store.mkdir(exist_ok=True)
    return store


def clear(folder: Path) -> None:
    """Remove what is below a URL and carries the mark of work in progress, the mark last; blocks
    alone carry none where a worker whose driver has died has sent them.

    Raises:
        ArtifactError: it is something else.
    """
    url = url_of(folder)
    if not url:
        return
    names = objects.listed(url).keys() - {""}
    others = {name for name in names if not BLOCK.fullmatch(name)}
    if others and not is_mark(objects.read(f"{url}/{MARK}")):
        raise ArtifactError(
            f"{url}: holds {min(others)}, and is no work in progress of staged; move it"
            " elsewhere, or choose another place"
        )
    objects.delete(f"{url}/{name}" for name in names - {MARK})
    objects.delete(f"{url}/{name}" for name in names & {MARK})


def is_mark(data: bytes | None) -> bool:
    """Whether an object is a mark of work in progress."""
    try:
        value: Any = json.loads(data or b"")
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("mark") == CONSTRUCTION


def drop(store: Path) -> None:
    """Remove the copies of blocks that have become a file."""
    if url_of(store):
        shutil.rmtree(store)


def names_in(store: Path) -> set[str]:
    """The names of the blocks that are finished, whoever made them; none where others have joined
    them meanwhile.
    """
    if url := url_of(store):
        return set(objects.listed(url))
    try:
        with os.scandir(store) as entries:
            return {entry.name for entry in entries}
    except FileNotFoundError:
        return set()


def bring(store: Path, names: Sequence[str]) -> None:
    """Fetch those of the blocks that others have made."""
    url = url_of(store)
    if url:
        there = names_in(store)
        missing = [name for name in names if name in there and not (store / name).is_file()]
        objects.download({f"{url}/{name}": store / name for name in missing})


def keep(file: Path) -> None:
    """Send a block that is written; a local place has it then."""
    if url := url_of(file):
        objects.upload({url: file})


def is_away(store: Path) -> bool:
    """Whether blocks are another machine's to join, and need no copy here."""
    return bool(url_of(store)) and not store.is_dir()


def send(file: Path, data: bytes) -> None:
    """Send a block of which no copy is kept here."""
    objects.write(url_of(file), data)
