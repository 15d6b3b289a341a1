"""What a new key is made of: secrets that are drawn, or those that its user brings."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from staged.errors import ProvenanceError
from staged.keys.brought import checked_pair
from staged.keys.certificates import DAYS, self_signed
from staged.keys.key import BITS, CERTIFICATE, SECRET, SIGNING, WatermarkSecret
from staged.storage.records import to_json


@dataclass(frozen=True)
class Origin:
    """Where a new key's secrets come from; what is not brought is drawn.

    Attributes:
        name: of the signer, in a self-signed certificate; `staged key ID` when empty.
        days: for which that certificate is valid.
        private, chain: a signing key of its user's, PEM, and its X.509 chain, PEM, leaf first.
        scheme, settings: a stranger's watermark and its settings, the key among them.
    """

    name: str = ""
    days: int = DAYS
    private: bytes = field(default=b"", repr=False)
    chain: bytes = b""
    scheme: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)


def files_of(key_id: str, purposes: Sequence[str], origin: Origin) -> dict[str, bytes]:
    """Name → contents of a new key's files.

    Raises:
        ProvenanceError: what was brought does not fit, or not the key's purposes.
    """
    files = {}
    if bool(origin.private) != bool(origin.chain):
        raise ProvenanceError("--certificate and --private-key go together: give both, or neither")
    if origin.private and "signing" not in purposes:
        raise ProvenanceError("--certificate is of a key that signs; leave out `--for watermark`")
    if origin.scheme and "watermark" not in purposes:
        raise ProvenanceError("--import is of a key that marks; leave out `--for signing`")
    if "watermark" in purposes:
        files[SECRET] = json.dumps(to_json(_watermark(origin)), sort_keys=True).encode() + b"\n"
    if "signing" in purposes:
        files[SIGNING], files[CERTIFICATE] = (
            checked_pair(origin.private, origin.chain)
            if origin.private
            else self_signed(origin.name or f"staged key {key_id}", origin.days)
        )
    return files


def _watermark(origin: Origin) -> WatermarkSecret:
    if origin.scheme:
        return WatermarkSecret(scheme=origin.scheme, settings=origin.settings)
    return WatermarkSecret(secrets.randbits(BITS))


def read_brought(path: Path) -> bytes:
    """A file of its user's.

    Raises:
        ProvenanceError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProvenanceError(
            f"{path}: cannot be read: {error.strerror}; give a PEM file"
        ) from None
