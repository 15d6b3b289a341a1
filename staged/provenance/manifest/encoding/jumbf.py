"""JUMBF boxes (ISO/IEC 19566-5), as C2PA 2.4 (11.1) narrows them.

A box is its length in 4 bytes, its type in 4, and what is in it. A superbox (`jumb`) holds one
description (`jumd`: a type as UUID, toggles, a label) and boxes: superboxes, or content in CBOR,
JSON, or an embedded file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from staged.provenance.manifest.facts import ManifestFault

HEADER_BYTES = 8
UUID_BYTES = 16
SUPERBOX, DESCRIPTION = b"jumb", b"jumd"
TAIL = bytes.fromhex("00110010800000aa00389b71")  # of every UUID that a four-letter type makes
REQUESTABLE, LABELLED, NUMBERED, SIGNED, PRIVATE = 1, 2, 4, 8, 16  # toggles
PLAIN = REQUESTABLE | LABELLED
DEEPEST = 8  # superboxes in each other; a manifest needs four
MOST_BOXES = 4096  # in one store
MALFORMED = "general.error"


@dataclass(frozen=True)
class Content:
    """A box that holds no boxes.

    Attributes:
        kind: its type, four bytes such as `cbor`.
        payload: what is in it.
    """

    kind: bytes
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class Superbox:
    """A box of boxes.

    Attributes:
        kind: its content type, the UUID's first four bytes such as `c2pa`.
        label: its name.
        toggles: which parts its description has.
        boxes: what is in it, the description left out.
        hashed: its bytes without its own header, which is what a hashed URI covers (8.4.2.3).
    """

    kind: bytes
    label: str
    toggles: int
    boxes: tuple[Superbox | Content, ...]
    hashed: bytes = field(repr=False)

    def superboxes(self) -> tuple[Superbox, ...]:
        return tuple(box for box in self.boxes if isinstance(box, Superbox))

    def content(self, kind: bytes) -> bytes | None:
        """The payload of its only content box, where that has this type."""
        [*contents] = self.boxes
        if len(contents) != 1 or not isinstance(contents[0], Content):
            return None
        return contents[0].payload if contents[0].kind == kind else None


def box(kind: bytes, payload: bytes) -> bytes:
    """A box in bytes."""
    return (HEADER_BYTES + len(payload)).to_bytes(4, "big") + kind + payload


def superbox(kind: bytes, label: str, *boxes: bytes) -> bytes:
    """A superbox in bytes, of boxes in bytes."""
    described = kind + TAIL + bytes([PLAIN]) + label.encode() + b"\x00"
    return box(SUPERBOX, box(DESCRIPTION, described) + b"".join(boxes))


def hashed_part(superbox: bytes) -> bytes:
    """What a hashed URI to this superbox covers."""
    return superbox[HEADER_BYTES:]


def read_superbox(data: bytes) -> Superbox:
    """The one superbox that these bytes are.

    Raises:
        ManifestFault: a length that is not that of what follows, another box, more than 8 levels
            or 4096 boxes, or bytes after it.
    """
    left = [MOST_BOXES]
    parts = list(_boxes(data, left))
    if len(parts) != 1 or parts[0][0] != SUPERBOX:
        raise ManifestFault(MALFORMED, "not one JUMBF superbox")
    return _superbox(parts[0][1], 1, left)


def _superbox(payload: bytes, depth: int, left: list[int]) -> Superbox:
    if depth > DEEPEST:
        raise ManifestFault(MALFORMED, f"boxes in each other, deeper than {DEEPEST}")
    [*parts] = _boxes(payload, left)
    if not parts or parts[0][0] != DESCRIPTION:
        raise ManifestFault(MALFORMED, "a superbox without its description")
    kind, label, toggles = _description(parts[0][1])
    boxes = tuple(
        _superbox(inner, depth + 1, left) if each == SUPERBOX else Content(each, inner)
        for each, inner in parts[1:]
    )
    return Superbox(kind, label, toggles, boxes, payload)


def _boxes(data: bytes, left: list[int]) -> Iterator[tuple[bytes, bytes]]:
    """(type, payload) of boxes that fill these bytes; `left` counts down how many more may come."""
    place = 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        left[0] -= 1
        if not HEADER_BYTES <= length <= len(data) - place or left[0] < 0:
            raise ManifestFault(MALFORMED, f"a box of {length} bytes where {len(data) - place} are")
        yield data[place + 4 : place + 8], data[place + 8 : place + length]
        place += length


def _description(payload: bytes) -> tuple[bytes, str, int]:
    """(content type, label, toggles)."""
    if len(payload) <= UUID_BYTES:
        raise ManifestFault(MALFORMED, "a description box that is too short")
    toggles = payload[UUID_BYTES]
    label, end, rest = payload[UUID_BYTES + 1 :].partition(b"\x00")
    if toggles & PLAIN != PLAIN or toggles > 31 or not end or not label:
        raise ManifestFault(MALFORMED, "a superbox without a label")
    fixed = 4 * bool(toggles & NUMBERED) + 32 * bool(toggles & SIGNED)
    if len(rest) < fixed or (len(rest) > fixed) != bool(toggles & PRIVATE):
        raise ManifestFault(MALFORMED, "a description box of another length than its toggles say")
    try:
        return _kind(payload[:UUID_BYTES]), label.decode(), toggles
    except UnicodeDecodeError:
        raise ManifestFault(MALFORMED, "a label that is no UTF-8") from None


def _kind(uuid: bytes) -> bytes:
    """The four letters of a UUID that is made of them; of others the whole UUID."""
    return uuid[:4] if uuid[4:] == TAIL else uuid
