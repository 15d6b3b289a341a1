"""A manifest in a Word file: a stored member of the package (C2PA 2.4, A.6).

The hash is over every other member with its header, and over the package's directory; nothing is
unpacked for it. The manifest's ending is entered in the package's list of content types, without
which Word calls the file damaged.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import quote

from staged.provenance.containers.binding import Carried, ContainerFault, Make
from staged.provenance.containers.zip_package import (
    CHECKSUM,
    STORED,
    Member,
    Package,
    PackageFault,
    read_package,
    replaced,
    stored,
    write_package,
)
from staged.provenance.manifest.collection_hash import MALFORMED, CollectionHash
from staged.provenance.manifest.facts import ManifestFault

SUFFIXES = (".docx", ".docm")
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PLACE = b"META-INF/content_credential.c2pa"
CONTENT_TYPES, DOCUMENT = b"[Content_Types].xml", b"word/document.xml"
TYPES = re.compile(rb"<(?:\w+:)?Types\b[^>]*[^/]>")
KNOWN = re.compile(rb"Extension\s*=\s*[\"']c2pa[\"']", re.IGNORECASE)
CORRUPTED = "manifest.zip.corruptedManifest"


def embed(data: bytes, make: Make) -> bytes:
    """A Word file with a manifest.

    Args:
        data: a file that has none.
        make: gives the manifest for a binding of each size.

    Raises:
        ContainerFault: no Word file, or one that is packed in a way that is not understood.
    """
    try:
        package = read_package(data)
        members = [_told(package, member) for member in package.members]
    except PackageFault as fault:
        raise ContainerFault(f"it is no Word file that can carry a manifest: {fault}") from None

    def filled(content: bytes) -> bytes:
        return write_package([*members, stored(PLACE, content)], package.comment)

    manifest = make(lambda size: collection_hash(filled(bytes(size))))
    return filled(manifest)


def _told(package: Package, member: Member) -> Member:
    """A member as it is, or the list of content types with the manifest's ending in it."""
    if member.name != CONTENT_TYPES:
        return member
    content = member.content()
    types = TYPES.search(content)
    if KNOWN.search(content) or types is None:
        return member
    prefix = types[0][1:].split(b"Types")[0]
    entry = b"<" + prefix + b'Default Extension="c2pa" ContentType="application/c2pa"/>'
    return replaced(member, content[: types.end()] + entry + content[types.end() :])


def extract(data: bytes) -> Carried:
    """The manifest in a Word file."""
    try:
        package = read_package(data)
    except PackageFault as fault:
        if PLACE not in data:
            return Carried()
        return Carried(code=CORRUPTED, fault=f"the file is damaged: {fault}")
    member = package.member(PLACE)
    if member is None:
        return Carried()
    if member.method != STORED or member.flags:
        return Carried(code=CORRUPTED, fault="the manifest in the file is packed")
    return Carried(member.packed)


def remove(data: bytes) -> bytes:
    """A Word file without its manifest; of one that has none, the same bytes."""
    if extract(data).manifest is None:
        return data
    package = read_package(data)
    others = [member for member in package.members if member.name != PLACE]
    return write_package(others, package.comment)


def document(data: bytes) -> bytes:
    """The XML of a Word file's document; empty where there is none that can be read."""
    try:
        member = read_package(data).member(DOCUMENT)
        return member.content() if member else b""
    except PackageFault:
        return b""


def collection_hash(data: bytes, algorithm: str = "sha256") -> CollectionHash:
    """What a manifest in a package is bound to.

    Raises:
        PackageFault: no package that is understood whole.
    """
    package = read_package(data)
    members = {
        _uri(member): hashlib.new(algorithm, data[slice(*member.span)]).digest()
        for member in package.members
        if member.name != PLACE and not member.name.endswith(b"/")
    }
    digest, place = hashlib.new(algorithm), package.directory
    if (own := package.member(PLACE)) is not None:
        digest.update(data[place : own.header[0] + CHECKSUM.start])
        place = own.header[0] + CHECKSUM.stop
    digest.update(data[place:])
    return CollectionHash(members, digest.digest(), algorithm)


@dataclass(frozen=True)
class PackageAsset:
    """A package that a manifest is said to belong to."""

    data: bytes = field(repr=False)

    def digest(self, exclusions: tuple[tuple[int, int], ...], algorithm: str) -> bytes:
        """Of its members and its directory; nothing is left out but the manifest.

        Raises:
            ManifestFault: exclusions, which packages have none of, or a damaged package.
        """
        if exclusions:
            raise ManifestFault(MALFORMED, "a package's hash with exclusions")
        try:
            return collection_hash(self.data, algorithm).digest
        except PackageFault as fault:
            raise ManifestFault(CORRUPTED, f"the file is damaged: {fault}") from None

    def likeness(self, sketch: bytes) -> float | None:
        """None: how alike two files are is not looked at."""
        return None


def _uri(member: Member) -> str:
    """Its name as a relative URI, which content types' brackets have no place in."""
    return quote(member.name, safe="/-._~!$&'()*+,;=:@")
