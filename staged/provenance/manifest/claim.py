"""The claim (C2PA 2.4, 10.2): which assertions its signer made, by their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from staged import __version__
from staged.provenance.manifest.encoding.cbor import decode, encode, text_map
from staged.provenance.manifest.encoding.jumbf import hashed_part
from staged.provenance.manifest.facts import ManifestFault

GENERATOR, SPECIFICATION = "staged", "2.4.0"
HERE = "self#jumbf="  # a URI within the same manifest store
STORE, ASSERTIONS, CLAIM, SIGNATURE = "c2pa", "c2pa.assertions", "c2pa.claim.v2", "c2pa.signature"
HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
MALFORMED = "claim.malformed"


@dataclass(frozen=True)
class Link:
    """A hashed URI: where something stands, and what it hashes to."""

    url: str
    digest: bytes = field(repr=False)
    algorithm: str

    def label_in(self, manifest: str) -> str | None:
        """Label of the assertion in this manifest that it names; None of anything else."""
        path = self.url.removeprefix(HERE).removeprefix(f"/{STORE}/{manifest}/")
        folder, _, label = path.partition("/")
        ours = self.url.startswith(HERE) and folder == ASSERTIONS and "/" not in label
        return label if ours else None

    def holds(self, hashed: bytes) -> bool:
        return HASHES[self.algorithm](hashed).digest() == self.digest


@dataclass(frozen=True)
class Claim:
    """What a signer claims.

    Attributes:
        generator: the program that wrote it, with its version where it says so.
        signature: URI of the signature.
        links: to all assertions, those that its signer made first.
        created: how many those are.
        algorithm: the hash of assertions that name none.
    """

    generator: str
    signature: str
    links: tuple[Link, ...]
    created: int
    algorithm: str


def hashed_uri(url: str, superbox: bytes) -> dict[str, Any]:
    """A link to a superbox in bytes, by SHA-256."""
    return {"url": HERE + url, "hash": hashlib.sha256(hashed_part(superbox)).digest()}


def manifest_label(identifier: str) -> str:
    """What a manifest with this UUID is called in its store."""
    return f"urn:c2pa:{identifier}"


def write_claim(
    label: str, instance_id: str, created: Sequence[dict[str, Any]], title: str
) -> bytes:
    """A claim in CBOR.

    Args:
        label: of its manifest; the URI of the signature names it in full, so that a label that
            somebody changes is seen (nothing else that is signed does).
        instance_id: UUID of the asset.
        created: links to the assertions.
        title: what the asset is called; empty for nothing.
    """
    value = {
        "instanceID": f"xmp:iid:{instance_id}",
        "claim_generator_info": {
            "name": GENERATOR,
            "version": __version__,
            "specVersion": SPECIFICATION,
        },
        "created_assertions": list(created),
        "signature": f"{HERE}/{STORE}/{label}/{SIGNATURE}",
        "alg": "sha256",
    }
    return encode(value | ({"dc:title": title} if title else {}))


def read_claim(data: bytes) -> Claim:
    """A claim from CBOR.

    Raises:
        ManifestFault: no CBOR, or not what a claim has to say (15.6.2).
    """
    value = text_map(decode(data, "claim.cbor.invalid"), MALFORMED)
    algorithm = value.get("alg", "")
    match value:
        case {
            "instanceID": str(),
            "signature": str(signature),
            "claim_generator_info": {"name": str(name), **generator},
            "created_assertions": [_, *_] as created,
        }:
            gathered = value.get("gathered_assertions", [])
        case _:
            raise ManifestFault(MALFORMED, "a claim without what every claim has to say")
    if not isinstance(gathered, list):
        raise ManifestFault(MALFORMED, "gathered assertions that are no list")
    links = tuple(read_link(each, algorithm) for each in (*created, *gathered))
    version = generator.get("version")
    name = f"{name} {version}" if isinstance(version, str) else name
    return Claim(name, signature, links, len(created), algorithm)


def read_link(value: Any, algorithm: str) -> Link:
    """A hashed URI; `algorithm` is of what stands around it.

    Raises:
        ManifestFault: something else, or a hash that C2PA does not have.
    """
    match value:
        case {"url": str(url), "hash": bytes(digest)}:
            return Link(url, digest, known_hash(value.get("alg", algorithm)))
        case _:
            raise ManifestFault(MALFORMED, "no hashed URI")


def known_hash(name: Any) -> str:
    """A name of `HASHES`.

    Raises:
        ManifestFault: anything else.
    """
    if not isinstance(name, str) or name not in HASHES:
        raise ManifestFault("algorithm.unsupported", f"hash {name!r:.40}")
    return name
