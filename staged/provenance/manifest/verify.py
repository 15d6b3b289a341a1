"""Manifest bytes and an asset in, a verdict out; what cannot be read is a verdict, too."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from staged.errors import ProvenanceError
from staged.provenance.manifest import assertions, cose
from staged.provenance.manifest.citations import check_citations
from staged.provenance.manifest.claim import (
    HASHES,
    HERE,
    SIGNATURE,
    STORE,
    Claim,
    read_claim,
)
from staged.provenance.manifest.collection_hash import READ, Binding, read_hard_binding
from staged.provenance.manifest.facts import (
    ManifestFault,
    SignatureVerdict,
    Stamp,
)
from staged.provenance.manifest.store import Manifest, read_store
from staged.provenance.manifest.trust import (
    Trust,
    first_outside,
    path_to_trust,
    read_chain,
    revocation,
)
from staged.provenance.manifest.verdicts import STAMP_FAULT, Course, fault_verdict

HARD_BINDINGS = ("c2pa.hash.data", "c2pa.hash.bmff", "c2pa.hash.boxes", "c2pa.hash.collection")
SAME_TEXT = 0.1  # share of a sketch: 2 of 16 by chance in 1 of 500 texts
BINDING_MISSING = "claim.hardBindings.missing"

# (token, message) -> what it says; raises ProvenanceError where it is none of this message
StampReader = Callable[[bytes, bytes], Stamp]


class Asset(Protocol):
    """What a manifest is said to belong to."""

    def digest(self, exclusions: tuple[tuple[int, int], ...], algorithm: str) -> bytes:
        """Hash of it without these ranges.

        Raises:
            ManifestFault: the ranges are not those where its manifest lies.
        """

    def likeness(self, sketch: bytes) -> float | None:
        """Share of a sketch that this asset's text would have alike, 0 to 1; None of no text."""


@dataclass(frozen=True)
class BytesAsset:
    """A file whose bytes are hashed as they are.

    Attributes:
        data: all of it.
        ranges: (start, length) where its manifest lies, exactly what a hash leaves out.
    """

    data: bytes = field(repr=False)
    ranges: tuple[tuple[int, int], ...] = ()

    def digest(self, exclusions: tuple[tuple[int, int], ...], algorithm: str) -> bytes:
        if exclusions != self.ranges:
            raise ManifestFault("assertion.dataHash.malformed", "exclusions are not the manifest")
        return HASHES[algorithm](without(self.data, exclusions)).digest()

    def likeness(self, sketch: bytes) -> float | None:
        return None


def without(data: bytes, ranges: tuple[tuple[int, int], ...]) -> bytes:
    """Bytes with ranges, in order, left out."""
    kept, place = [], 0
    for start, length in ranges:
        kept.append(data[place:start])
        place = start + length
    return b"".join((*kept, data[place:]))


def verify_store(
    data: bytes,
    asset: Asset,
    trust: Trust,
    now: datetime.datetime,
    read_stamp: StampReader | None = None,
) -> SignatureVerdict:
    """What a manifest store says of an asset.

    Args:
        data: any bytes.
        now: when certificates have to be valid, where no trusted time stamp says when it was.
        read_stamp: reads time stamps; None where nothing here can.
    """
    course = Course()
    try:
        store = read_store(data)
        claim, signed = _check_signature(store.active, course)
        _check_assertions(store.active, claim, course)
        course.ingredients = check_citations(store)
        binding = _binding(store.active, claim)
        if asset.digest(binding.exclusions, binding.algorithm) != binding.digest:
            course.codes.append(f"assertion.{binding.kind}.mismatch")
            return course.verdict(_whose_text(asset, store.active))
        course.codes.append(f"assertion.{binding.kind}.match")
        stamp = _check_stamp(signed, read_stamp, course)
    except ManifestFault as fault:
        return fault_verdict(fault, course)
    return _standing(course, trust, now, stamp)


def _check_signature(manifest: Manifest, course: Course) -> tuple[Claim, cose.Sign1]:
    claim = read_claim(manifest.claim)
    places = (f"{HERE}{SIGNATURE}", f"{HERE}/{STORE}/{manifest.label}/{SIGNATURE}")
    if claim.signature not in places:
        raise ManifestFault("claimSignature.missing", "the claim names another signature")
    signed = cose.read(manifest.signature)
    course.chain = read_chain(signed.certificates)
    cose.check(signed, manifest.claim, course.chain[0].public_key())
    course.codes.append("claimSignature.validated")
    return claim, signed


def _check_assertions(manifest: Manifest, claim: Claim, course: Course) -> None:
    """That all assertions are those that were signed, and no other is there (15.10)."""
    linked = []
    for link in claim.links:
        label = link.label_in(manifest.label)
        if label is None:
            raise ManifestFault("assertion.outsideManifest", "an assertion elsewhere")
        if label not in manifest.assertions:
            raise ManifestFault("assertion.missing", f"no {label}")
        if not link.holds(manifest.assertions[label].hashed):
            raise ManifestFault("assertion.hashedURI.mismatch", f"{label} is not what was signed")
        course.codes.append("assertion.hashedURI.match")
        linked.append(label)
    if set(manifest.assertions) - set(linked):
        raise ManifestFault("assertion.undeclared", "an assertion that nobody signed")
    if not {assertions.ACTIONS, assertions.OLD_ACTIONS} & set(linked[: claim.created]):
        raise ManifestFault("assertion.missing", "no actions")
    course.facts, course.signed_at = assertions.read_facts(manifest.assertions)


def _binding(manifest: Manifest, claim: Claim) -> Binding:
    """The one hash of the asset (15.10.1.2)."""
    labels = [label for label in manifest.assertions if label.startswith(HARD_BINDINGS)]
    if len(labels) > 1:
        raise ManifestFault("assertion.multipleHardBindings", "more than one hash of the content")
    if not labels or labels[0] not in READ:
        raise ManifestFault(BINDING_MISSING, "no hash of the content that is known here")
    return read_hard_binding(manifest.assertions[labels[0]], claim.algorithm)


def _whose_text(asset: Asset, manifest: Manifest) -> str:
    """Whether a text that was not signed is the signed one, changed, or another one."""
    sketch = assertions.read_sketch(manifest.assertions)
    likeness = asset.likeness(sketch) if sketch else None
    if likeness is None:
        return "changed or copied"
    return "text changed" if likeness > SAME_TEXT else "copied"


def _check_stamp(
    signed: cose.Sign1, read_stamp: StampReader | None, course: Course
) -> Stamp | None:
    """The trusted time stamp of a signature; None where it has none."""
    if signed.stamp is None:
        return None
    if read_stamp is None:
        course.codes.append("timeStamp.untrusted")
        return None
    message = cose.stamped_message(signed.protected, signed.signature)
    try:
        stamp = read_stamp(signed.stamp, message)
    except ProvenanceError as error:
        raise ManifestFault(STAMP_FAULT, str(error)) from None
    course.codes.append("timeStamp.trusted" if stamp.trusted else "timeStamp.untrusted")
    return stamp if stamp.trusted else None


def _standing(
    course: Course, trust: Trust, now: datetime.datetime, stamp: Stamp | None
) -> SignatureVerdict:
    """Who signed, and whether that counts at the time of signing."""
    if stamp is not None:
        course.signed_at, course.stamped_by = stamp.time, stamp.authority
    when = stamp.time if stamp else now
    path = path_to_trust(course.chain, trust, when)
    if revoked := revocation((*course.chain, *(path or ())), trust):
        course.codes.append("signingCredential.revoked")
        return course.verdict("revoked", f"({revoked[1]})" if revoked[1] else "")
    if outside := first_outside(course.chain, when):
        course.codes.append("claimSignature.outsideValidity")
        late = "expired when signed" if stamp else "expired"
        return course.verdict(late if outside[1] else "not yet valid")
    course.codes.append("claimSignature.insideValidity")
    if path is not None:
        course.codes.append("signingCredential.trusted")
        return course.verdict("trusted")
    course.codes.append("signingCredential.untrusted")
    alone = course.chain[0].issuer == course.chain[0].subject
    return course.verdict("self-signed" if alone else "unknown issuer")
