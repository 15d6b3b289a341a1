"""Which members of a package were signed (C2PA 2.4, 18.8 and A.6): `c2pa.hash.collection.data`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from staged.provenance.manifest.assertions import (
    DATA_HASH,
    DataHash,
    cbor_box,
    data_hash,
    read_data_hash,
    read_value,
)
from staged.provenance.manifest.claim import known_hash
from staged.provenance.manifest.encoding.cbor import encode
from staged.provenance.manifest.encoding.jumbf import Superbox
from staged.provenance.manifest.facts import ManifestFault

COLLECTION_HASH = "c2pa.hash.collection.data"
MISMATCH = "assertion.collectionHash.mismatch"
MALFORMED = "assertion.collectionHash.malformed"
READ = (DATA_HASH, COLLECTION_HASH)  # hashes of an asset's content that this room reads


@dataclass(frozen=True)
class CollectionHash:
    """What of a package was signed.

    Attributes:
        members: name → digest of a member, of all but the manifest.
        directory: digest of the package's directory.
        algorithm: `sha256`, `sha384` or `sha512`.
    """

    members: Mapping[str, bytes] = field(repr=False)
    directory: bytes = field(repr=False)
    algorithm: str = "sha256"
    exclusions: ClassVar[tuple[tuple[int, int], ...]] = ()
    kind: ClassVar[str] = "collectionHash"

    @property
    def digest(self) -> bytes:
        """One digest of all that: equal packages have equal ones."""
        return hashlib.sha256(encode([dict(self.members), self.directory])).digest()


Binding = DataHash | CollectionHash


def hard_binding(binding: Binding) -> bytes:
    """The assertion of what was signed, as a superbox."""
    if isinstance(binding, DataHash):
        return data_hash(binding)
    uris = [{"uri": name, "hash": digest} for name, digest in sorted(binding.members.items())]
    value: dict[str, Any] = {
        "uris": uris,
        "alg": binding.algorithm,
        "zip_central_directory_hash": binding.directory,
    }
    return cbor_box(COLLECTION_HASH, value)


def read_hard_binding(assertion: Superbox, algorithm: str) -> Binding:
    """What was signed; `algorithm` is the claim's, for assertions that name none.

    Raises:
        ManifestFault: nothing that says it.
    """
    if assertion.label == DATA_HASH:
        return read_data_hash(assertion, algorithm)
    return read_collection_hash(assertion, algorithm)


def read_collection_hash(assertion: Superbox, algorithm: str) -> CollectionHash:
    """What of a package was signed; `algorithm` as above.

    Raises:
        ManifestFault: nothing that says it.
    """
    value = read_value(assertion)
    members: dict[str, bytes] = {}
    uris = value.get("uris")
    for each in uris if isinstance(uris, list) and uris else [None]:
        match each:
            case {"uri": str(name), "hash": bytes(digest)} if name not in members:
                members[name] = digest
            case _:
                raise ManifestFault(MALFORMED, "members of the package without a hash each")
    directory = value.get("zip_central_directory_hash")
    if not isinstance(directory, bytes):
        raise ManifestFault(MISMATCH, "no hash of the package's directory")
    return CollectionHash(members, directory, known_hash(value.get("alg", algorithm)))
