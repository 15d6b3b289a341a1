"""Objects in a store that a URL names, by fsspec: read, written and listed; what goes wrong is a
sentence. An object is whole or not there, as its store promises.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from staged.errors import ArtifactError, StagedError, first_line
from staged.storage.digests import digest
from staged.storage.marks import TEMPORARY

__all__ = ["delete", "download", "listed", "read", "sha256", "upload", "write"]

LIBRARIES = {"s3fs": "staged[s3]", "gcsfs": "gcsfs"}  # what an import error names → what to install
PATTERN = {*"*?["}
# of an object's facts those that change with it; a store has one of them
VERSIONS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime", "created")


def read(url: str) -> bytes | None:
    """An object's bytes; None where there is none."""
    with _spoken(url) as (store, key):
        try:
            data: bytes = store.cat_file(key)
            return data
        except FileNotFoundError:
            return None


def sha256(url: str) -> str:
    """Hexadecimal SHA-256 of an object's bytes.

    Raises:
        ArtifactError: there is none.
    """
    with _spoken(url) as (store, key), store.open(key, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(url: str, data: bytes) -> None:
    """Make or replace an object."""
    with _spoken(url) as (store, key):
        store.pipe_file(key, data)


def upload(files: Mapping[str, Path]) -> None:
    """Make or replace objects: URL → file; several at once."""
    if files:
        with _spoken(next(iter(files))) as (store, _):
            store.put([str(file) for file in files.values()], list(map(_key(store), files)))


def download(files: Mapping[str, Path]) -> None:
    """Files of objects: URL → file, each of them whole or not there; several at once.

    Raises:
        ArtifactError: one of the objects is not there, or has a name that would lead elsewhere.
    """
    if not files:
        return
    for url, file in files.items():
        if {"", ".", ".."} & {*url.partition("://")[2].split("/")}:
            raise ArtifactError(f"{url}: has a name that no file here can have; leave it out")
        file.parent.mkdir(parents=True, exist_ok=True)
    fresh = {
        url: file.with_name(f".{file.name}.{uuid.uuid4().hex}{TEMPORARY}")
        for url, file in files.items()
    }
    try:
        with _spoken(next(iter(files))) as (store, _):
            store.get(list(map(_key(store), fresh)), [str(file) for file in fresh.values()])
        for url, file in fresh.items():
            file.replace(files[url])
    finally:
        for file in fresh.values():
            file.unlink(missing_ok=True)


def listed(url: str) -> dict[str, str]:
    """Name → version of each object below a URL; of an object itself the name is empty."""
    with _spoken(url) as (store, key):
        try:
            objects: dict[str, dict[str, Any]] = store.find(key, detail=True)
        except FileNotFoundError:
            return {}
    return {
        name[len(key) :].lstrip("/"): _version(facts)
        for name, facts in objects.items()
        if not name.endswith("/")  # a folder, as consoles make some
    }


def delete(urls: Iterable[str]) -> None:
    """Remove objects; what is gone already is as good."""
    urls = list(urls)
    if urls:
        with _spoken(urls[0]) as (store, _), suppress(FileNotFoundError):
            keys = list(map(_key(store), urls))
            if plain := [key for key in keys if not PATTERN & {*key}]:
                store.rm(plain)
            for key in keys:
                if PATTERN & {*key}:  # `rm` would take it for the names of others
                    store.rm_file(key)


def _version(facts: Mapping[str, Any]) -> str:
    version = next((facts[name] for name in VERSIONS if facts.get(name)), "")
    return digest([str(version), str(facts.get("size"))])


def _key(store: Any) -> Any:
    return store._strip_protocol


@contextmanager
def _spoken(url: str) -> Iterator[tuple[Any, str]]:
    """The store of a URL, and what it calls the object.

    Raises:
        ArtifactError: of whatever goes wrong.
    """
    import fsspec  # type: ignore[import-untyped]

    try:
        # a process of its own, also a forked one, has a store of its own; nothing is remembered
        store, key = fsspec.core.url_to_fs(url, use_listings_cache=False)
        yield store, key
    except (StagedError, MemoryError):
        raise
    except ImportError as error:
        package = next((LIBRARIES[name] for name in LIBRARIES if name in str(error)), "")
        wanted = f"run: pip install '{package}'" if package else first_line(error)
        raise ArtifactError(f"{url}: needs a library that is not installed; {wanted}") from None
    except FileNotFoundError as error:
        raise ArtifactError(f"{url}: is not there: {first_line(error)}; check the name") from None
    except Exception as error:  # each library of a store has errors of its own
        raise ArtifactError(
            f"{url}: cannot be reached: {_told(error)}; check the name, your credentials and the"
            " network"
        ) from None


def _told(error: Exception) -> str:
    """What an error says, or what its cause does."""
    said = first_line(error)
    return said if str(error).strip() or error.__cause__ is None else first_line(error.__cause__)
