"""Downloads: the needed files of a hub repository into huggingface_hub's cache, and OpenAI's TensorFlow files into ours.

With HF_HUB_OFFLINE=1 nothing is asked of the network; what is missing is said, and where to put it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from staged.artifacts import cache_folder, disk_errors, locked, sha256_file
from staged.errors import CheckpointError
from staged.model.layouts import INDEX, PICKLED, SAFETENSORS, missing_files
from staged.model.names import Release

BUCKET = "https://openaipublic.blob.core.windows.net/gpt-2/models"
SMALL = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
WEIGHTS = (
    (SAFETENSORS, SAFETENSORS + INDEX, "model-*-of-*.safetensors"),
    (PICKLED, PICKLED + INDEX, "pytorch_model-*-of-*.bin"),
)
SUMS = {  # SHA-256, the same for all four sizes
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
DATA = "model.ckpt.data-00000-of-00001"
FILES = ("checkpoint", "hparams.json", "encoder.json", "vocab.bpe", "model.ckpt.index", DATA)  # the graph, .meta, is not needed
ATTEMPTS = 5  # connections in a row that bring nothing
PAUSE_S = 2.0
TIMEOUT_S = 30.0
CHUNK = 2**20
SHA256 = re.compile(r"[0-9a-f]{64}")
ENDED = "the connection ended early"


def offline() -> bool:
    """Whether the environment forbids the network, as huggingface_hub reads it."""
    return os.environ.get("HF_HUB_OFFLINE", os.environ.get("TRANSFORMERS_OFFLINE", "")).upper() in ("1", "ON", "YES", "TRUE")


def hub_folder(repository: str) -> Path:
    """The local snapshot of a repository's needed files; one that is complete in the cache is used without asking the network.

    Raises:
        CheckpointError: offline and not in the cache; no such repository, no network, or no model in the hub's layout in it.
    """
    from huggingface_hub import snapshot_download

    cached = _cached(repository)
    lacks = missing_files(cached)
    if not lacks:
        assert cached is not None
        return cached
    if offline():
        raise CheckpointError(
            f"model {repository!r}: HF_HUB_OFFLINE is set and the hub's cache lacks {', '.join(lacks)}; "
            "put these files into a folder and give its path as the model, or run once with HF_HUB_OFFLINE=0"
        )
    with _hub_errors(repository):
        for weights in WEIGHTS:
            folder = Path(snapshot_download(repository, allow_patterns=[*SMALL, *weights]))
            if SAFETENSORS not in missing_files(folder):
                break
    lacks = missing_files(folder)
    if lacks:
        raise CheckpointError(
            f"model {repository!r}: the repository has no {', '.join(lacks)}; choose one in the hub's layout (docs/models.md)"
        )
    return folder


def hub_files(repository: str, names: Sequence[str]) -> Path:
    """The local snapshot of some of a repository's files, by name; those that it does not have are not there.

    Raises:
        CheckpointError: no such repository, or no network.
    """
    from huggingface_hub import snapshot_download

    with _hub_errors(repository):
        return Path(snapshot_download(repository, allow_patterns=list(names)))


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        yield
    except RepositoryNotFoundError:
        raise CheckpointError(
            f"model {repository!r}: neither a folder here nor a repository on the hub (or a private one)"
        ) from None
    except Exception as error:  # the hub's client and the HTTP library below it raise many kinds
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"model {repository!r}: no such folder, and the hub did not give it: {first.removeprefix('Got: ')}; check the network, "
            "or put the model's files into a folder and give its path (docs/models.md)"
        ) from None


def _cached(repository: str) -> Path | None:
    """The newest snapshot in the hub's cache, whole or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True, allow_patterns=[*SMALL, *WEIGHTS[0]]))
    except LocalEntryNotFoundError as error:  # of a snapshot that misses some file, it knows the place
        place = getattr(error, "snapshot_path", None)
        return Path(place) if place else None
    except HFValidationError:
        return None


def check_hub_sums(folder: Path) -> None:
    """Compare a snapshot's large files with the SHA-256 that the hub states, which is their name in its cache.

    huggingface_hub itself compares sizes only.

    Raises:
        CheckpointError: a file is another; it is removed from the cache, so that the next run downloads it again.
    """
    for path in sorted(folder.iterdir()):
        blob = path.resolve()
        if path.is_symlink() and SHA256.fullmatch(blob.name) and sha256_file(blob) != blob.name:
            path.unlink()
            blob.unlink()
            raise CheckpointError(
                f"{path}: does not match the SHA-256 that the hub states; it was thrown away, run the command again"
            )


def openai_cache(name: str) -> Path:
    """Where files from OpenAI's bucket are kept, by model."""
    return cache_folder() / "openai" / name


def openai_folder(release: Release) -> Path:
    """OpenAI's TensorFlow folder of a size, downloaded where it is not there yet; killed, the next call continues.

    The data file's size follows from the shape, the tokenizer's SHA-256 are known, the server's MD5 is checked where it gives
    one, and the weights' own CRC-32C when they are loaded.

    Raises:
        CheckpointError: offline and not there; the server does not answer, or not with the file.
        ArtifactError: the disk is full, or another process downloads the same.
    """
    folder = openai_cache(release.size)
    lacks = [name for name in FILES if not (folder / name).is_file()]
    if lacks and offline():
        raise CheckpointError(
            f"model 'openai:{release.size}': HF_HUB_OFFLINE is set and {', '.join(lacks)} of {BUCKET}/{release.size}/ "
            f"{'are' if len(lacks) > 1 else 'is'} missing; put them into {folder}, or run once with HF_HUB_OFFLINE=0"
        )
    if lacks:
        with disk_errors(folder), locked(folder):
            for name in lacks:
                size = 4 * release.config.parameters if name == DATA else None
                fetch(f"{BUCKET}/{release.size}/{name}", folder / name, size_bytes=size, sha256=SUMS.get(name))
    return folder


def fetch(url: str, path: Path, *, size_bytes: int | None = None, sha256: str | None = None) -> None:
    """Download one file; what a broken connection or a kill left in `PATH.partial` is continued by an HTTP range.

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
                    f"{url}: no answer after {ATTEMPTS} attempts ({reason}); the same command continues from here"
                )
            time.sleep(PAUSE_S * idle)
    _check(url, partial, answer, size_bytes, sha256)
    partial.replace(path)


def _check(url: str, partial: Path, answer: dict[str, Any], size_bytes: int | None, sha256: str | None) -> None:
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
        Why it ended, and the file's whole size and MD5 as the server says; None where it did not answer.
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
            raise CheckpointError(f"{url}: the server answered with a web page instead of the file; try again later")
        bar.total, bar.n = total, first
        with open(partial, "r+b" if first else "wb") as file:
            file.seek(first)
            reason = _copy(response, file, bar)
            if total is None and reason == ENDED:  # a server that did not say how much there is has sent it all
                total = file.tell()
            file.flush()
            os.fsync(file.fileno())
    return reason, {"total": total, "md5": response.headers.get("Content-MD5")}


def _refused(url: str, error: urllib.error.HTTPError, partial: Path) -> tuple[str, dict[str, Any] | None]:
    if error.code == 416:  # nothing is left to give: the part is whole, or of another file
        whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if whole and int(whole[1]) == _length(partial):
            return "", {"total": int(whole[1]), "md5": None}
        partial.unlink()
    elif error.code < 500 and error.code not in (408, 429):
        raise CheckpointError(f"{url}: the server answered {error.code} {error.reason}; check the name and your network's rules")
    return f"{error.code} {error.reason}", None


def _range(response: HTTPResponse, have: int) -> tuple[int, int | None]:
    """Where the answer begins in the file, and the file's size; a server without ranges begins again at 0."""
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
