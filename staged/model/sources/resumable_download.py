"""A file over HTTP: what a broken connection or a kill left is continued, what came is checked."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from staged.errors import CheckpointError
from staged.storage.digests import sha256_file

ATTEMPTS = 5  # connections in a row that bring nothing
PAUSE_S = 2.0
TIMEOUT_S = 30.0
CHUNK = 2**20
ENDED = "the connection ended early"


def fetch(
    url: str, path: Path, *, size_bytes: int | None = None, sha256: str | None = None
) -> None:
    """Download one file; what a broken connection or a kill left in `PATH.partial` is continued by
    an HTTP range.

    Args:
        size_bytes, sha256: what the file must be, where known.

    Raises:
        CheckpointError: no such file, no answer, a web page, or another file than known.
    """
    partial = path.with_name(f"{path.name}.partial")
    idle = 0
    with tqdm(desc=path.name, unit="B", unit_scale=True, unit_divisor=1024, disable=None) as bar:
        while True:
            before = _length(partial)
            reason, answer = _connection(url, partial, bar)
            if answer is not None and _length(partial) == answer["total"]:
                break
            idle = 0 if _length(partial) > before else idle + 1
            if idle == ATTEMPTS:
                raise CheckpointError(
                    f"{url}: no answer after {ATTEMPTS} attempts ({reason}); the same command"
                    " continues from here"
                )
            time.sleep(PAUSE_S * idle)
    _check(url, partial, answer, size_bytes, sha256)
    partial.replace(path)


def _check(
    url: str, partial: Path, answer: dict[str, Any], size_bytes: int | None, sha256: str | None
) -> None:
    wrong = ""
    if size_bytes is not None and answer["total"] != size_bytes:
        wrong = f"has {answer['total']} bytes, not {size_bytes}"
    elif sha256 is not None and sha256_file(partial) != sha256:
        wrong = "does not match its known SHA-256"
    elif answer["md5"] is not None and _md5(partial) != answer["md5"]:
        wrong = "does not match the server's MD5"
    if wrong:
        partial.unlink()
        raise CheckpointError(f"{url}: the file {wrong}; it was thrown away, run the command again")


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
    return base64.b64encode(digest).decode()


def _connection(url: str, partial: Path, bar: Any) -> tuple[str, dict[str, Any] | None]:
    """Append what one connection gives.

    Returns:
        Why it ended, and the file's whole size and MD5 as the server says; None where it did not
        answer.
    """
    have = _length(partial)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            return _refused(url, error, partial)
    except (OSError, HTTPException) as error:
        return str(error), None
    with response:
        first, total = _range(response, have)
        if "text/html" in response.headers.get("Content-Type", ""):
            raise CheckpointError(
                f"{url}: the server answered with a web page instead of the file; try again later"
            )
        bar.total, bar.n = total, first
        with open(partial, "r+b" if first else "wb") as file:
            file.seek(first)
            reason = _copy(response, file, bar)
            # a server that did not say how much there is has sent it all
            if total is None and reason == ENDED:
                total = file.tell()
            file.flush()
            os.fsync(file.fileno())
    return reason, {"total": total, "md5": response.headers.get("Content-MD5")}


def _refused(
    url: str, error: urllib.error.HTTPError, partial: Path
) -> tuple[str, dict[str, Any] | None]:
    if error.code == 416:  # nothing is left to give: the part is whole, or of another file
        whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if whole and int(whole[1]) == _length(partial):
            return "", {"total": int(whole[1]), "md5": None}
        partial.unlink()
    elif error.code < 500 and error.code not in (408, 429):
        raise CheckpointError(
            f"{url}: the server answered {error.code} {error.reason}; check the name and your"
            " network's rules"
        )
    return f"{error.code} {error.reason}", None


def _range(response: HTTPResponse, have: int) -> tuple[int, int | None]:
    """Where the answer begins in the file, and the file's size; a server without ranges begins
    again at 0.
    """
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == 206 and given and int(given[1]) == have:
        return have, int(given[2])
    length = response.headers.get("Content-Length")
    return 0, int(length) if length and response.status == 200 else None


def _copy(response: HTTPResponse, file: Any, bar: Any) -> str:
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, HTTPException) as error:
            return str(error) or type(error).__name__
        if not chunk:
            return ENDED
        file.write(chunk)
        bar.update(len(chunk))
