"""The signature of a file or a text: the manifest in it or beside it, and what it says."""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from staged.errors import CorpusError, ProvenanceError
from staged.keys.ring import REVOKED, all_keys
from staged.provenance.containers.kinds import SIDECAR, Held, beside, inside, kind_of
from staged.provenance.manifest.facts import ManifestFault, SignatureVerdict, Stamp
from staged.provenance.manifest.trust import (
    Trust,
    fingerprint,
    joined,
    read_revocations,
    trust_from,
)
from staged.provenance.manifest.verdicts import absent_verdict, fault_verdict
from staged.provenance.manifest.verify import verify_store
from staged.provenance.time_stamps import read_stamp

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = [
    "NOBODY",
    "own_trust",
    "read_file",
    "sidecar_of",
    "signature_of",
    "signature_of_file",
    "trust_by",
    "trust_of_all",
]

NOBODY = Trust()


def signature_of(
    name: str,
    data: bytes,
    sidecar: bytes | None = None,
    *,
    trust: Trust = NOBODY,
    authorities: Sequence[Certificate] | None = None,
    now: datetime.datetime | None = None,
) -> SignatureVerdict:
    """What the manifest in a file, or the one beside it, says of the file.

    Where both are there, the one that is of this file counts, and the one beside it if both are:
    it was made later, and cites the other one.

    Args:
        name: the file's, whose ending says of which kind it is; empty where there is none.
        sidecar: the manifest that stands beside it.
        authorities: that are trusted to stamp times; by default the certificates of `trust`.
        now: by default the time that it is.
    """
    kind = kind_of(name, data)
    check = partial(
        _verdict,
        trust=trust,
        now=now or datetime.datetime.now(datetime.UTC),
        stamps=_stamps(trust.anchors if authorities is None else authorities, trust.revoked),
    )
    outer = check(beside(kind, data, sidecar)) if sidecar is not None else absent_verdict()
    if outer.state not in ("absent", "invalid"):
        return outer
    try:
        held = inside(kind, data)
    except ManifestFault as fault:
        return fault_verdict(fault)
    return check(held) if held else outer


def signature_of_file(
    path: str | Path,
    sidecar: str | Path | None = None,
    *,
    trust: Trust = NOBODY,
    authorities: Sequence[Certificate] | None = None,
    now: datetime.datetime | None = None,
) -> SignatureVerdict:
    """The same of a file on this machine.

    Args:
        sidecar: by default what stands beside the file and ends in .c2pa, if anything does.

    Raises:
        CorpusError: the file, or the one beside it, cannot be read.
    """
    path = Path(path)
    data = read_file(path)
    place = sidecar_of(path) if sidecar is None else Path(sidecar)
    store = read_file(place) if sidecar is not None or place.is_file() else None
    return signature_of(path.name, data, store, trust=trust, authorities=authorities, now=now)


def sidecar_of(path: Path) -> Path:
    """Where the manifest beside a file stands: FILE.c2pa."""
    return path.with_name(path.name + SIDECAR)


def read_file(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        CorpusError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None


def trust_by(anchors: Path | None = None, revoked: Path | None = None) -> Trust:
    """Trust in the certificates of a file.

    Args:
        anchors: PEM certificates of signers, or of who issues theirs.
        revoked: a line a certificate that counts no more: its SHA-256 fingerprint, and why.

    Raises:
        CorpusError, ProvenanceError: a file cannot be read, or is something else.
    """
    pem = read_file(anchors) if anchors else b""
    lines = read_file(revoked).decode(errors="replace") if revoked else ""
    return _named(anchors or revoked, lambda: trust_from(pem, read_revocations(lines)))


def trust_of_all(anchors: Sequence[str | Path] = (), revoked: str | Path | None = None) -> Trust:
    """Trust in the certificates of files, and in those of the user's own keys.

    Raises:
        CorpusError, ProvenanceError, ArtifactError: as `trust_by` and `own_trust`.
    """
    revocations = trust_by(None, Path(revoked) if revoked else None)
    return joined([own_trust(), revocations, *(trust_by(Path(file)) for file in anchors)])


def own_trust() -> Trust:
    """Trust in the keys of this user: what they signed is known as theirs, and what a key of
    theirs signed that is revoked by now counts no more.

    Raises:
        ArtifactError, ProvenanceError: a key is damaged.
    """
    anchors: list[Certificate] = []
    revoked = {}
    for key in all_keys():
        if "signing" not in key.purposes:
            continue
        leaf = trust_from(key.certificates()).anchors[0]
        anchors.append(leaf)
        if key.state == REVOKED:
            revoked[fingerprint(leaf)] = key.reason
    return Trust(tuple(anchors), revoked)


def _named(place: Path | None, read: Callable[[], Trust]) -> Trust:
    try:
        return read()
    except ProvenanceError as error:
        raise ProvenanceError(f"{place}: {error}") from None


def _stamps(
    authorities: Sequence[Certificate], revoked: Mapping[str, str]
) -> Callable[[bytes, bytes], Stamp] | None:
    """What reads time stamps; None where the extra is not installed."""
    try:
        importlib.import_module("rfc3161_client")
    except ImportError:
        return None
    return partial(read_stamp, anchors=tuple(authorities), revoked=revoked)


def _verdict(
    held: Held,
    *,
    trust: Trust,
    now: datetime.datetime,
    stamps: Callable[[bytes, bytes], Stamp] | None,
) -> SignatureVerdict:
    return verify_store(held.store, held.asset, trust, now, stamps)
