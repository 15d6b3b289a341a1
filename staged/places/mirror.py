"""A place that is a URL, as a path: its copy on this machine, on which all code works.

s3://bucket/study/report.html   CACHE/places/s3/bucket/study/report.html
"""

from __future__ import annotations

import re
from pathlib import Path, PosixPath
from typing import Any

from staged.errors import PlanError
from staged.storage.versions import cache_folder

__all__ = ["Mirror", "place", "url_of"]

# a path that was made of a URL has one slash left
URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?P<slashes>//?)(?P<key>.*)", re.DOTALL)
# what fsspec also reads, but is no store of objects
NO_STORES = {"data", "file", "http", "https", "local"}


class Mirror(PosixPath):
    """The copy, in this machine's cache, of what a URL names. So are the paths that are made of it;
    sent to another machine, it is that machine's copy; in a sentence, the URL.
    """

    __slots__ = ()

    def __reduce__(self) -> Any:
        return place, (url_of(self) or str(self),)

    def __format__(self, spec: str) -> str:
        return format(url_of(self) or str(self), spec)


def place(given: str | Path) -> Path:
    """The path of a place that a user names: a local one's own, a URL's copy.

    Raises:
        PlanError: a URL of no store that fsspec knows, or whose name no file can have. A path whose
            first folder ends in a colon is local where that folder is.
    """
    match = None if isinstance(given, Mirror) else URL.fullmatch(str(given))
    if match is None or Path(f"{match['scheme']}:").is_dir():
        return Path(given) if isinstance(given, str) else given
    if match["scheme"] in NO_STORES or not _is_known(match["scheme"]):
        raise PlanError(
            f"{given}: is no place that is known; give a local file or folder, or one such as"
            " s3://BUCKET/NAME or gs://BUCKET/NAME"
        )
    parts = match["key"].rstrip("/").split("/")
    if not all(parts) or {".", ".."} & {*parts} or "::" in match["key"]:
        raise PlanError(
            f"{given}: a place in a store is named by its bucket and by parts that are not empty,"
            f" as in {match['scheme']}://BUCKET/FOLDER/NAME"
        )
    return Mirror(_root(), match["scheme"], *parts)


def _is_known(scheme: str) -> bool:
    import fsspec  # type: ignore[import-untyped]

    return scheme in fsspec.available_protocols()


def url_of(path: Path) -> str:
    """The URL of which a path is the copy; empty of a local place."""
    if not isinstance(path, Mirror) or not path.is_relative_to(_root()):
        return ""
    scheme, *parts = path.relative_to(_root()).parts or ("",)
    return f"{scheme}://{'/'.join(parts)}" if parts else ""


def _root() -> Path:
    return cache_folder() / "places"
