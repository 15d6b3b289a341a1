"""Facts and a hash in, a signed manifest store out.

The same facts, hash, `Signing` and Ed25519 key give the same bytes.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from staged.errors import ProvenanceError, first_line
from staged.provenance.manifest import assertions, cose
from staged.provenance.manifest.citations import check_citations
from staged.provenance.manifest.claim import (
    ASSERTIONS,
    SIGNATURE,
    STORE,
    hashed_uri,
    manifest_label,
    write_claim,
)
from staged.provenance.manifest.collection_hash import Binding, hard_binding
from staged.provenance.manifest.encoding.jumbf import box
from staged.provenance.manifest.facts import Facts, Ingredient, ManifestFault, Signer, Signing
from staged.provenance.manifest.store import Store, read_store, write_manifest, write_store
from staged.provenance.manifest.trust import first_outside, profile_fault

SLACK = 16  # bytes of padding headers, so that any length above can be filled exactly
STAMP_SLACK = 64  # bytes of its header, and that one time stamp may take more than another
TimeStamper = Callable[[bytes], bytes]  # a message -> a time-stamp token (DER) over it


@dataclass(frozen=True)
class SignedClaim:
    """A claim that is signed, and may still be filled up to a length.

    Attributes:
        before: manifests of ingredients, in bytes.
        label: of the manifest.
        boxes: its assertions.
        claim: in CBOR.
        protected: the signature's header.
        signature: over both.
        stamp: time-stamp token over the signature, or None.
    """

    before: tuple[bytes, ...] = field(repr=False)
    label: str
    boxes: tuple[bytes, ...] = field(repr=False)
    claim: bytes = field(repr=False)
    protected: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    stamp: bytes | None = field(repr=False)

    def store(self, padding: cose.Padding | None = None) -> bytes:
        """The manifest store in bytes."""
        signature = cose.write(self.protected, self.signature, self.stamp, padding)
        manifest = write_manifest(self.label, self.boxes, self.claim, signature)
        return write_store([*self.before, manifest])


def new_signing(when: datetime.datetime) -> Signing:
    """A signing at a time, with names that nobody else has."""
    return Signing(when, str(uuid.uuid4()), str(uuid.uuid4()))


def sign_asset(
    binding: Binding,
    facts: Facts,
    signer: Signer,
    signing: Signing,
    *,
    title: str = "",
    media_type: str = "",
    ingredients: Sequence[Ingredient] = (),
    sketch: bytes = b"",
    timestamp: TimeStamper | None = None,
    size: int | None = None,
) -> bytes:
    """A manifest store (JUMBF) for an asset.

    Args:
        binding: the hash of what is signed.
        sketch: of the text, by `plain_text.sketch`, which lets a reader tell an edited text from
            another one; empty for none.
        timestamp: gives a token over a message; None for the signer's own word on the time.
        size: length of the store in bytes, filled up with padding; `size_of` says what it takes.

    Raises:
        ProvenanceError: a key or chain that cannot sign, ingredients that cannot be kept, a size
            that is too small, or what `timestamp` raises.
    """
    signed = sign_claim(
        binding, facts, signer, signing, title, media_type, ingredients, sketch, timestamp
    )
    return signed.store() if size is None else filled(signed, size)


def sign_claim(
    binding: Binding,
    facts: Facts,
    signer: Signer,
    signing: Signing,
    title: str = "",
    media_type: str = "",
    ingredients: Sequence[Ingredient] = (),
    sketch: bytes = b"",
    timestamp: TimeStamper | None = None,
) -> SignedClaim:
    """The same before it becomes bytes."""
    sign, protected = _signing_key(signer, signing.when)
    before, cited = _kept(ingredients)
    made: list[bytes | None] = [
        *cited,
        _actions(facts, signing, ingredients, [_link(each) for each in cited]),
        assertions.disclosure(facts),
        assertions.generation(facts, sketch, stamped=timestamp is not None),
        assertions.metadata(media_type) if media_type else None,
        hard_binding(binding),
    ]
    boxes = tuple(each for each in made if each is not None)
    label = manifest_label(signing.manifest_id)
    claim = write_claim(label, signing.instance_id, [_link(each) for each in boxes], title)
    signature = sign(cose.signed_message(protected, claim))
    stamp = timestamp(cose.stamped_message(protected, signature)) if timestamp else None
    return SignedClaim(before, label, boxes, claim, protected, signature, stamp)


def _actions(
    facts: Facts, signing: Signing, ingredients: Sequence[Ingredient], links: list[dict[str, Any]]
) -> bytes:
    """Raises ProvenanceError: more than one parent."""
    pairs = list(zip(ingredients, links, strict=True))
    inputs = [link for each, link in pairs if each.relation == "inputTo"]
    parents = [(each, link) for each, link in pairs if each.relation == "parentOf"]
    if len(parents) > 1:
        raise ProvenanceError("an asset has one parent at most; cite the others as inputs")
    if not parents:
        return assertions.actions(facts, signing.when, inputs)
    [(parent, link)] = parents
    return assertions.actions(facts, signing.when, inputs, link, changed=parent.changed)


def size_of(signed: SignedClaim, stamp_bytes: int = 0) -> int:
    """A length in bytes that a store like this one can be filled up to.

    Args:
        signed: a claim like the one that is to come: equal facts, numbers of as many digits.
        stamp_bytes: how long the time stamp is that it does not have yet; 0 for none.
    """
    stamped = stamp_bytes + STAMP_SLACK if stamp_bytes or signed.stamp else 0
    return len(signed.store()) + SLACK + stamped


def filled(signed: SignedClaim, size: int) -> bytes:
    """A store of exactly so many bytes.

    Raises:
        ProvenanceError: it does not fit.
    """
    gap = size - len(signed.store(cose.Padding()))
    for padding in (cose.Padding(gap - less, second) for second in (None, 0) for less in range(16)):
        if padding.first >= 0 and len(store := signed.store(padding)) == size:
            return store
    raise ProvenanceError(f"the manifest does not fit into {size} bytes")


def _signing_key(signer: Signer, when: datetime.datetime) -> tuple[TimeStamper, bytes]:
    """(what signs a message, the protected header).

    Raises:
        ProvenanceError: a key and a chain that do not belong together, or may not sign now.
    """
    try:
        key = load_pem_private_key(signer.private_key, None)
        chain = x509.load_pem_x509_certificates(signer.chain)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ProvenanceError(
            f"the signing key or its certificates cannot be read: {first_line(error)}"
        ) from None
    algorithm = cose.algorithm_of(key.public_key())
    if algorithm is None:
        raise ProvenanceError("the signing key is not Ed25519, P-256, P-384 or RSA")
    if _public(key.public_key()) != _public(chain[0].public_key()):
        raise ProvenanceError("the first certificate of the chain is not the signing key's")
    if fault := profile_fault(chain[0]):
        raise ProvenanceError(f"the signing certificate cannot sign claims: {fault}")
    if outside := first_outside(chain, when):
        raise ProvenanceError(
            f"a certificate of the signing key"
            f" {'has expired' if outside[1] else 'is not valid yet'}"
            f" ({outside[0].not_valid_before_utc:%Y-%m-%d} to"
            f" {outside[0].not_valid_after_utc:%Y-%m-%d})"
        )
    ders = tuple(each.public_bytes(Encoding.DER) for each in chain)
    return cose.signing_function(key), cose.protected_header(algorithm, ders)


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _link(assertion: bytes) -> dict[str, Any]:
    """The hashed URI of an assertion in bytes."""
    label = assertion[8 + 8 + 16 + 1 :].partition(b"\x00")[0].decode()
    return hashed_uri(f"{ASSERTIONS}/{label}", assertion)


def _kept(ingredients: Sequence[Ingredient]) -> tuple[tuple[bytes, ...], list[bytes]]:
    """(manifests of ingredients, the assertions that cite them)."""
    manifests: dict[str, bytes] = {}
    cited = []
    for number, each in enumerate(ingredients):
        try:
            store = read_store(each.store)
            check_citations(store)
        except ManifestFault as fault:
            raise ProvenanceError(
                f"the manifest of {each.title or 'an input'} cannot be kept: {fault}"
            ) from None
        for label, manifest in store.boxes.items():
            whole = box(b"jumb", manifest.hashed)
            if manifests.setdefault(label, whole) != whole:
                raise ProvenanceError(f"two inputs carry different manifests named {label}")
        cited.append(_cited(each, store, number))
    return tuple(manifests.values()), cited


def _cited(cited: Ingredient, store: Store, number: int) -> bytes:
    active, place = store.active, f"/{STORE}/{store.active.label}"
    return assertions.ingredient(
        cited,
        hashed_uri(place, box(b"jumb", active.hashed)),
        hashed_uri(f"{place}/{SIGNATURE}", box(b"jumb", active.signature_hashed)),
        number,
    )
