"""What a manifest says, who signed it, and what became of a check: plain values."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from staged.errors import ProvenanceError

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
DIGEST = re.compile("[0-9a-f]{64}")
State = Literal["valid", "invalid", "absent", "untrusted", "expired", "revoked"]
Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Facts:
    """What its signer says of how a text was made; everything may be left out.

    Attributes:
        model: the model's name.
        weights: digest of its weights, 64 hexadecimal digits of SHA-256.
        sampling: how tokens were drawn, JSON values by the names that `staged sample` takes.
        watermark: the scheme of the mark in the text.
        key: id of the key that it was marked with; never the key.
        detector: how anybody can test for the mark or the text: a URL or a command.
        model_type: of C2PA's table of model types.
        source_type: IPTC's term for where the content comes from.

    Raises:
        ProvenanceError: `weights` is no such digest.
    """

    model: str | None = None
    weights: str | None = None
    sampling: Mapping[str, Json] = field(default_factory=dict)
    watermark: str | None = None
    key: str | None = None
    detector: str | None = None
    model_type: str = "c2pa.types.model"
    source_type: str = TRAINED

    def __post_init__(self) -> None:
        if self.weights and not DIGEST.fullmatch(self.weights):
            raise ProvenanceError("the weights' digest is not 64 hexadecimal digits of SHA-256")


@dataclass(frozen=True)
class Signer:
    """A private key and the public chain that vouches for it.

    Attributes:
        private_key: PKCS#8 PEM of an Ed25519, P-256, P-384 or RSA key.
        chain: PEM of certificates, the key's own first.
    """

    private_key: bytes = field(repr=False)
    chain: bytes


@dataclass(frozen=True)
class Ingredient:
    """An input that carried a manifest, which is kept and cited.

    Attributes:
        store: the input's manifest store, as it was.
        title: what the input is called; empty for nothing.
        codes: what a check of it said, status codes of the specification.
        relation: `inputTo` of what a model read; `parentOf` of what became the asset itself, of
            which there is one at most.
        changed: whether a parent's content was changed since its manifest was made.
    """

    store: bytes = field(repr=False)
    title: str = ""
    codes: tuple[str, ...] = ()
    relation: Literal["inputTo", "parentOf"] = "inputTo"
    changed: bool = True


@dataclass(frozen=True)
class Signing:
    """When a manifest was signed and what it is called: what makes two of equal facts differ.

    Attributes:
        when: the signer's own clock, with a time zone.
        manifest_id, instance_id: UUIDs (36 characters), the second one the asset's.
    """

    when: datetime.datetime
    manifest_id: str
    instance_id: str


class Stamp(Protocol):
    """What a time-stamp token says: see `provenance.time_stamps`."""

    @property
    def time(self) -> datetime.datetime: ...
    @property
    def authority(self) -> str: ...
    @property
    def trusted(self) -> bool: ...


@dataclass(frozen=True)
class SignatureVerdict:
    """What a check of a manifest says.

    Attributes:
        state: `valid`, `invalid`, `absent`, `untrusted`, `expired` or `revoked`.
        reason: one of `SENTENCES` in verify.py, in a word or two.
        sentence: the same for a person, in one or two sentences.
        signer: the name in the certificate; only of a signature that holds.
        fingerprint: SHA-256 of that certificate, in hexadecimal digits.
        signed_at: by a trusted time stamp, else by the signer's own clock.
        stamped_by: the authority of the time stamp; None where the time is the signer's word.
        facts: what the signer says; only where signature and assertions hold.
        ingredients: titles of the signed inputs that it cites.
        codes: status codes of the specification, in the order of the checks.
    """

    state: State
    reason: str
    sentence: str
    signer: str | None = None
    fingerprint: str | None = None
    signed_at: datetime.datetime | None = None
    stamped_by: str | None = None
    facts: Facts | None = None
    ingredients: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @property
    def timestamped(self) -> bool:
        """Whether a trusted authority vouches for the time."""
        return self.stamped_by is not None


class ManifestFault(Exception):  # noqa: N818 (never leaves the room: it becomes a verdict)
    """Why bytes are no manifest that can be relied on.

    Attributes:
        code: status code of the specification.
    """

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
