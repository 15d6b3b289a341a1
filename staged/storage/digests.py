"""SHA-256 of files and of texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from staged.errors import ArtifactError

__all__ = ["digest", "sha256_file"]


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from None


def digest(parts: Iterable[str]) -> str:
    """24 hexadecimal digits of SHA-256 over texts in their order: a name for what was computed from
    them.
    """
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]
