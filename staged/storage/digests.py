"""SHA-256 of files and of texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from staged.errors import ArtifactError

__all__ = ["TextsDigest", "digest", "sha256_file"]


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


class TextsDigest:
    """What `digest` gives of texts that come one after the other."""

    def __init__(self) -> None:
        self._sum, self._between = hashlib.sha256(), b""

    def add(self, text: str) -> None:
        """Take in the next text."""
        self._sum.update(self._between + text.encode("utf-8", "surrogatepass"))
        self._between = b"\0"

    @property
    def name(self) -> str:
        """24 hexadecimal digits."""
        return self._sum.hexdigest()[:24]


def digest(parts: Iterable[str]) -> str:
    """24 hexadecimal digits of SHA-256 over texts in their order: a name for what was computed from
    them.
    """
    texts = TextsDigest()
    for part in parts:
        texts.add(part)
    return texts.name
