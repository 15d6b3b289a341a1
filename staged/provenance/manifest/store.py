"""A manifest store: manifests one after the other, of which the last one is the asset's own and
those before it are of its ingredients (C2PA 2.4, 11.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from staged.provenance.manifest.claim import ASSERTIONS, CLAIM, SIGNATURE, STORE
from staged.provenance.manifest.encoding.jumbf import PLAIN, Superbox, box, read_superbox, superbox
from staged.provenance.manifest.facts import ManifestFault

MOST_BYTES = 16 << 20
MOST_MANIFESTS = 256
MANIFEST, COMPRESSED, UPDATE, OLD_MANIFEST = b"c2ma", b"c2cm", b"c2um", b"c2md"
BESIDE = (b"c2vc", b"c2db")  # credentials and data boxes, which older specifications have
MALFORMED = "general.error"


@dataclass(frozen=True)
class Manifest:
    """One manifest.

    Attributes:
        label: its name in the store.
        claim: in CBOR, as it was signed.
        signature: in CBOR.
        assertions: by label.
        hashed: what a hashed URI to it covers.
        signature_hashed: the same of its signature.
    """

    label: str
    claim: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    assertions: Mapping[str, Superbox] = field(repr=False)
    hashed: bytes = field(repr=False)
    signature_hashed: bytes = field(repr=False)


@dataclass(frozen=True)
class Store:
    """Manifests in their order.

    Attributes:
        boxes: all manifests by label, as they stand, the asset's own last.
        active: the asset's own.
    """

    boxes: Mapping[str, Superbox] = field(repr=False)
    active: Manifest


def write_manifest(
    label: str, assertions: Sequence[bytes], claim: bytes, signature: bytes
) -> bytes:
    """A manifest in bytes, of assertions in bytes and what is signed in CBOR."""
    return superbox(
        MANIFEST,
        label,
        superbox(b"c2as", ASSERTIONS, *assertions),
        superbox(b"c2cl", CLAIM, box(b"cbor", claim)),
        superbox(b"c2cs", SIGNATURE, box(b"cbor", signature)),
    )


def write_store(manifests: Sequence[bytes]) -> bytes:
    """A store in bytes, of manifests in bytes, the asset's own last."""
    return superbox(STORE.encode(), STORE, *manifests)


def read_store(data: bytes) -> Store:
    """A store from bytes.

    Raises:
        ManifestFault: no manifest store, more than 16 MiB or 256 manifests, or an own manifest
            that is not whole.
    """
    if len(data) > MOST_BYTES:
        raise ManifestFault(MALFORMED, f"a manifest store of more than {MOST_BYTES >> 20} MiB")
    outer = read_superbox(data)
    boxes = outer.superboxes()
    if (outer.kind, outer.label, outer.toggles) != (b"c2pa", STORE, PLAIN) or not boxes:
        raise ManifestFault(MALFORMED, "no manifest store")
    labels = {each.label: each for each in boxes}
    if len(boxes) != len(outer.boxes) or len(labels) != len(boxes) or len(boxes) > MOST_MANIFESTS:
        raise ManifestFault(MALFORMED, "a manifest store with a name twice, or with other boxes")
    return Store(labels, read_manifest(boxes[-1]))


def read_manifest(outer: Superbox) -> Manifest:
    """A manifest from its box.

    Raises:
        ManifestFault: a kind of manifest that is not read here, or one that is not whole.
    """
    if outer.kind not in (MANIFEST, OLD_MANIFEST) or outer.toggles != PLAIN:
        raise ManifestFault(MALFORMED, f"a manifest of a kind that is not read: {outer.kind!r}")
    parts: dict[bytes, Superbox] = {}
    for part in outer.superboxes():
        if part.kind in parts or part.toggles != PLAIN:
            code = "claim.multiple" if part.kind == b"c2cl" else MALFORMED
            raise ManifestFault(code, f"{part.label} twice, or with more than its label")
        parts[part.kind] = part
    if len(parts) != len(outer.boxes) or not {*parts} <= {b"c2as", b"c2cl", b"c2cs", *BESIDE}:
        raise ManifestFault(MALFORMED, "a manifest with unknown boxes")
    claim = _content(parts.get(b"c2cl"), CLAIM, "claim.missing")
    signature = _content(parts.get(b"c2cs"), SIGNATURE, "claimSignature.missing")
    assertions = _assertions(parts.get(b"c2as"))
    return Manifest(outer.label, claim, signature, assertions, outer.hashed, parts[b"c2cs"].hashed)


def _content(part: Superbox | None, label: str, code: str) -> bytes:
    content = part.content(b"cbor") if part is not None and part.label == label else None
    if content is None:
        raise ManifestFault(code, f"no {label} in the manifest")
    return content


def _assertions(part: Superbox | None) -> dict[str, Superbox]:
    if part is None or part.label != ASSERTIONS:
        raise ManifestFault("assertion.missing", "no assertions in the manifest")
    assertions = {each.label: each for each in part.superboxes()}
    if len(assertions) != len(part.boxes):
        raise ManifestFault("assertion.missing", "an assertion twice, or one without a label")
    return assertions
