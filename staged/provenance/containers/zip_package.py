"""ZIP packages byte by byte: where each member stands, and the same package with other members.

Python's own zipfile reads and writes members; a manifest's hash is over the bytes of their headers.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
LOCAL_FORM, CENTRAL_FORM, END_FORM = "<4s5H3I2H", "<4s6H3I5H2I", "<4s4H2IH"
LOCAL_BYTES, CENTRAL_BYTES, END_BYTES = map(struct.calcsize, (LOCAL_FORM, CENTRAL_FORM, END_FORM))
CHECKSUM = slice(16, 20)  # of a central header
LONGEST_COMMENT = 0xFFFF
ZIP64, MOST_MEMBERS = 0xFFFFFFFF, 0xFFFF
STORED, DEFLATED = 0, 8
ENCRYPTED, DESCRIBED_LATER, UTF8 = 1, 8, 0x800  # general-purpose flags
VERSION = 20
LARGEST_BYTES = 64 << 20  # of a member that is unpacked
EPOCH = 0x21  # 1 January 1980, the first day that ZIP knows


class PackageFault(Exception):  # noqa: N818 (never leaves the room: it becomes a sentence)
    """Why bytes are no ZIP package that is understood whole."""


@dataclass(frozen=True)
class Member:
    """A file in a package.

    Attributes:
        name: as its bytes stand there.
        method: 0 stored, 8 deflated.
        flags: general-purpose bits.
        moment: time and date, as ZIP has them.
        checksum, size: of its content: CRC-32, and bytes.
        packed: its content as it stands in the package.
        attributes: made by, internal, external.
        comment: what a person wrote beside it.
        header: first byte of its central header, and the first after that.
        span: first byte of its local header, and the first after its content.
    """

    name: bytes
    method: int
    flags: int
    moment: tuple[int, int]
    checksum: int
    size: int
    packed: bytes
    attributes: tuple[int, int, int] = (VERSION, 0, 0)
    comment: bytes = b""
    header: tuple[int, int] = (0, 0)
    span: tuple[int, int] = (0, 0)

    def content(self) -> bytes:
        """What the member holds.

        Raises:
            PackageFault: packed by another method, encrypted, damaged, or above 64 MiB.
        """
        if self.size > LARGEST_BYTES:
            raise PackageFault(f"{self.name!r} is too large to be read")
        if self.flags & ENCRYPTED or self.method not in (STORED, DEFLATED):
            raise PackageFault(f"{self.name!r} is encrypted, or packed by method {self.method}")
        content = self.packed if self.method == STORED else _inflated(self)
        if len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise PackageFault(f"{self.name!r} is damaged")
        return content


@dataclass(frozen=True)
class Package:
    """A whole package: its members in the order of its directory, and where that stands."""

    members: tuple[Member, ...]
    directory: int
    comment: bytes

    def member(self, name: bytes) -> Member | None:
        """A member by its name."""
        return next((member for member in self.members if member.name == name), None)


def stored(name: bytes, content: bytes) -> Member:
    """A new member that stands there as it is."""
    return Member(name, STORED, 0, (0, EPOCH), zlib.crc32(content), len(content), content)


def replaced(member: Member, content: bytes) -> Member:
    """A member with other content, packed as before."""
    packed = content
    if member.method == DEFLATED:
        press = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = press.compress(content) + press.flush()
    return replace(member, checksum=zlib.crc32(content), size=len(content), packed=packed)


def read_package(data: bytes) -> Package:
    """A package's members.

    Raises:
        PackageFault: no ZIP, a damaged one, or one with what office files do not have: several
            disks, ZIP64, members that share a name or bytes.
    """
    try:
        end, count, start, comment = _end_of(data)
        members, place = list[Member](), start
        for _ in range(count):
            member = _member_at(data, place, start)
            members.append(member)
            place = member.header[1]
    except struct.error:
        raise PackageFault("cut off") from None
    if place != end:
        raise PackageFault("its directory and its end disagree")
    _check_apart(members)
    return Package(tuple(members), start, comment)


def write_package(members: Iterable[Member], comment: bytes = b"") -> bytes:
    """A package of these members, without gaps; descriptors behind members move into headers."""
    parts, headers, place = list[bytes](), list[bytes](), 0
    for member in members:
        flags = member.flags & ~DESCRIBED_LATER
        numbers = (
            flags,
            member.method,
            *member.moment,
            member.checksum,
            len(member.packed),
            member.size,
            len(member.name),
        )
        made_by, internal, external = member.attributes
        parts += [struct.pack(LOCAL_FORM, LOCAL, VERSION, *numbers, 0), member.name, member.packed]
        sizes = (0, len(member.comment), 0, internal, external, place)
        header = struct.pack(CENTRAL_FORM, CENTRAL, made_by, VERSION, *numbers, *sizes)
        headers.append(header + member.name + member.comment)
        place += LOCAL_BYTES + len(member.name) + len(member.packed)
    directory = b"".join(headers)
    count = len(headers)
    numbers_at_end = (0, 0, count, count, len(directory), place, len(comment))
    return b"".join([*parts, directory, struct.pack(END_FORM, END, *numbers_at_end), comment])


def _end_of(data: bytes) -> tuple[int, int, int, bytes]:
    """(place of the end record, number of members, place of the directory, comment)."""
    place = data.rfind(END, max(0, len(data) - END_BYTES - LONGEST_COMMENT))
    if place < 0:
        raise PackageFault("no ZIP package")
    _, disk, first, here, count, size, start, length = struct.unpack_from(END_FORM, data, place)
    if ZIP64 in (size, start) or count == MOST_MEMBERS or (disk, first, here) != (0, 0, count):
        raise PackageFault("a ZIP package of several parts, or in ZIP64")
    if start + size != place or place + END_BYTES + length != len(data):
        raise PackageFault("its directory is not where its end says")
    return place, count, start, data[place + END_BYTES :]


def _member_at(data: bytes, place: int, limit: int) -> Member:
    """The member whose central header stands at a place."""
    fields = struct.unpack_from(CENTRAL_FORM, data, place)
    signature, made_by, _, flags, method, time, date, checksum, packed, size = fields[:10]
    name_bytes, extra_bytes, comment_bytes, disk, internal, external, local = fields[10:]
    if signature != CENTRAL or disk:
        raise PackageFault("a damaged directory")
    name_ends = place + CENTRAL_BYTES + name_bytes
    header_ends = name_ends + extra_bytes + comment_bytes
    name = data[place + CENTRAL_BYTES : name_ends]
    local_fields = struct.unpack_from(LOCAL_FORM, data, local)
    begins = local + LOCAL_BYTES + local_fields[9] + local_fields[10]
    own_name = data[local + LOCAL_BYTES : local + LOCAL_BYTES + local_fields[9]]
    if local_fields[0] != LOCAL or own_name != name or begins + packed > limit:
        raise PackageFault(f"{name!r} is not where the directory says")
    return Member(
        name,
        method,
        flags,
        (time, date),
        checksum,
        size,
        data[begins : begins + packed],
        (made_by, internal, external),
        data[header_ends - comment_bytes : header_ends],
        (place, header_ends),
        (local, begins + packed),
    )


def _check_apart(members: list[Member]) -> None:
    if len({member.name for member in members}) != len(members):
        raise PackageFault("two members of one name")
    spans = sorted(member.span for member in members)
    if any(first[1] > second[0] for first, second in pairwise(spans)):
        raise PackageFault("members that share bytes")


def _inflated(member: Member) -> bytes:
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return unpack.decompress(member.packed, member.size + 1)
    except zlib.error:
        raise PackageFault(f"{member.name!r} is damaged") from None
