"""A key: what everybody may know of it, and the ways to its secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from staged.errors import PlanError, ProvenanceError
from staged.keys.secret_files import read_secret
from staged.settings import check_listed
from staged.storage.json_files import write_json
from staged.storage.records import LATER, from_json, read_record, to_json

KEY, SECRET, SIGNING, CERTIFICATE = "key.json", "watermark.key", "signing.pem", "certificate.pem"
PURPOSES = ("watermark", "signing")
ACTIVE, RETIRED, REVOKED = "active", "retired", "revoked"
STATES = (ACTIVE, RETIRED, REVOKED)
BITS = 64


@dataclass(frozen=True)
class Use:
    """What a key has marked with, so that a verifier knows what to look for; nothing secret.

    Attributes:
        scheme: the watermark's name, such as `gumbel`.
        model: whose tokenizer the marks count in: a name or a folder.
        vocabulary: tokens that the marked model has.
        settings: the scheme's, as JSON values.
    """

    scheme: str
    model: str
    vocabulary: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_read(self) -> Use:
        """The same with settings as a JSON file gives them back."""
        return from_json(Use, json.loads(json.dumps(to_json(self))), where="a key's use")


@dataclass(frozen=True)
class WatermarkSecret:
    """What decides a key's marks: a number of 64 bits, or a scheme with settings that a stranger
    made, its own key among them.
    """

    secret: int | None = field(default=None, repr=False, metadata=LATER)
    scheme: str | None = field(default=None, metadata=LATER)
    settings: Mapping[str, Any] | None = field(default=None, repr=False, metadata=LATER)

    def __post_init__(self) -> None:
        is_number = self.secret is not None and 0 <= self.secret < 2**BITS
        if is_number == bool(self.scheme):
            raise PlanError("it holds neither a number of 64 bits nor a scheme, or both")


@dataclass(frozen=True)
class KeyRecord:
    """A key's `key.json`.

    Attributes:
        id: its name, which marks and manifests cite; also its folder's.
        created: when it was made, ISO 8601 in UTC.
        state: active, retired or revoked.
        changed: when it came into this state.
        reason: why it was revoked, in a person's words.
        successor: the id of the key to use instead; empty while there is none.
        purposes: watermark, signing, or both.
        uses: what it has marked with.
    """

    id: str
    created: str
    state: str
    changed: str
    reason: str
    successor: str
    purposes: tuple[str, ...]
    uses: tuple[Use, ...]

    def __post_init__(self) -> None:
        check_listed(self.purposes, where="purposes", known=PURPOSES)
        check_listed([self.state], where="state", known=STATES)


@dataclass(frozen=True)
class Key(KeyRecord):
    """A key and the folder in which it stands."""

    place: Path

    def watermark_secret(self) -> WatermarkSecret:
        """What decides its marks.

        Raises:
            ProvenanceError: it marks nothing, or the file is missing, damaged, or not its owner's
                alone.
        """
        self._check_purpose("watermark")
        path = self.place / SECRET
        try:
            return from_json(WatermarkSecret, json.loads(read_secret(path)), where=str(path))
        except ValueError:  # without what the file holds
            raise ProvenanceError(
                f"{path}: damaged; bring the file back from a copy, or make a new key"
            ) from None

    def signing_pem(self) -> bytes:
        """Its private key, PKCS#8 PEM.

        Raises:
            ProvenanceError: it signs nothing, or the file is missing, or not its owner's alone.
        """
        self._check_purpose("signing")
        return read_secret(self.place / SIGNING)

    def certificates(self) -> bytes:
        """Its public chain as PEM, leaf first.

        Raises:
            ProvenanceError: it signs nothing, or the file cannot be read.
        """
        self._check_purpose("signing")
        path = self.place / CERTIFICATE
        try:
            return path.read_bytes()
        except OSError as error:
            raise ProvenanceError(
                f"{path}: cannot be read: {error.strerror}; bring the file back from a copy"
            ) from None

    def _check_purpose(self, purpose: str) -> None:
        if purpose not in self.purposes:
            raise ProvenanceError(
                f"key {self.id!r} is not made for {purpose}; make one with `staged keys new --for"
                f" {purpose}`"
            )


def read_key(place: Path) -> Key:
    """The key that stands in a folder.

    Raises:
        ArtifactError: its `key.json` is missing or damaged.
        ProvenanceError: the folder was given another name than the key's.
    """
    record = read_record(place / KEY, KeyRecord, again="bring the file back from a copy")
    if record.id != place.name:
        raise ProvenanceError(
            f"{place}: holds key {record.id!r}; give the folder that name, by which marks and"
            " manifests cite it"
        )
    return Key(**vars(record), place=place)


def write_key(key: Key, place: Path) -> None:
    """Write a key's `key.json` whole, over the one that stands there."""
    public = {each.name: getattr(key, each.name) for each in fields(KeyRecord)}
    write_json(place / KEY, to_json(public))
