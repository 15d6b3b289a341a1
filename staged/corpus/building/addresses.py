"""URLs: when two are the same page, of which site a page is, and which ones a list has with votes
enough.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from staged.errors import CorpusError
from staged.files.rows import json_lines

DEFAULT_PORTS = (None, 80, 443)
INDEX = ("/index.html", "/index.htm")


def normal_url(url: str) -> str:
    """A URL as it is compared: without its scheme, `www.`, a usual port, what follows `#`, a slash
    or `index.html` at the end.
    """
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host, port = host_of(url), parts.port
    except ValueError:
        return url
    path = unquote(parts.path)
    for index in INDEX:
        path = path.removesuffix(index)
    at = "" if port in DEFAULT_PORTS else f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{host.removeprefix('www.')}{at}{path.rstrip('/')}{query}"


def host_of(url: str) -> str:
    """The host in lower case; empty where there is none."""
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_below(host: str, names: tuple[str, ...]) -> bool:
    """Whether a host is one of these, or a part of one."""
    return any(host == name or host.endswith(f".{name}") for name in names)


def site_of(url: str) -> str:
    """The registered domain of a URL, by the public suffix list that courlan brings; of a host that
    has none, the host.
    """
    from courlan import extract_domain

    host = host_of(url)
    return extract_domain(f"http://{host}/") or host


def url_key(url: str) -> int:
    """64 bits that stand for the page of a URL."""
    digest = hashlib.blake2b(normal_url(url).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


@dataclass(frozen=True)
class UrlCounts:
    """Rows of a list: all, those with too few votes, the pages of the others, and how many of these
    pages do not stand where they were looked for.
    """

    rows: int
    few_votes: int
    pages: int
    missing: int


def listed_urls(path: Path) -> Iterator[tuple[str, int]]:
    """(URL, votes) of every row of a list.

    Raises:
        CorpusError: no such file, or a row that is none, by its number.
    """
    try:
        with open(path, encoding="utf-8-sig") as lines:
            rows = _json_rows(lines, path) if path.suffix == ".jsonl" else _tab_rows(lines, path)
            yield from rows
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as a list of URLs: {error}") from None


def _json_rows(lines: Iterator[str], path: Path) -> Iterator[tuple[str, int]]:
    like = json.dumps({"url": "https://…", "votes": 3}, ensure_ascii=False)
    for number, row in json_lines(lines, str(path), like=like):
        url, votes = row.get("url"), row.get("votes")
        if not isinstance(url, str) or type(votes) is not int:
            raise CorpusError(f"{path}, line {number}: must be an object like {like}")
        yield url, votes


def _tab_rows(lines: Iterator[str], path: Path) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(lines, start=1):
        url, _, votes = line.rstrip("\r\n").partition("\t")
        if not url.strip() or (number == 1 and votes.strip() == "votes"):
            continue
        try:
            yield url.strip(), int(votes)
        except ValueError:
            raise CorpusError(
                f"{path}, line {number}: must be a URL, a tab and a whole number of votes"
            ) from None


def voted_keys(path: Path, minimum: int) -> tuple[npt.NDArray[np.uint64], int, int]:
    """Keys of the pages with votes enough, ascending, each once: 8 bytes a row in memory; and how
    many rows there are, and how many have too few votes.
    """
    keys, rows, few = array("Q"), 0, 0
    for url, votes in listed_urls(path):
        rows += 1
        if votes < minimum:
            few += 1
        else:
            keys.append(url_key(url))
    return np.unique(np.frombuffer(keys, dtype=np.uint64)), rows, few


def is_among(key: int, keys: npt.NDArray[np.uint64]) -> bool:
    """Whether a key is one of these, which are ascending."""
    place = int(np.searchsorted(keys, np.uint64(key)))
    return place < len(keys) and int(keys[place]) == key
