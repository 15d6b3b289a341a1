"""Which kind of file it is, where its manifest stands, and what one beside it is bound to."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath

from staged.provenance.containers import html, pdf, word
from staged.provenance.containers.binding import Carried
from staged.provenance.manifest.encoding.text_wrapper import find_wrapper
from staged.provenance.manifest.facts import ManifestFault
from staged.provenance.manifest.plain_text import TextAsset, sketch_of
from staged.provenance.manifest.verify import Asset, BytesAsset, without

__all__ = [
    "SIDECAR",
    "Held",
    "Kind",
    "beside",
    "inside",
    "kind_of",
    "media_type",
    "sketch",
]

SIDECAR = ".c2pa"  # added to the whole name of the file that it stands beside
TEXTS = (".txt", ".text", ".md", ".markdown", "")
MOST_SKETCHED = 4 << 20  # bytes of a file that is compared with what was signed
MARK_UP = re.compile(rb"<[^<>]*>")
PAGE_BEGINS = (b"<!doctype html", b"<html")


class Kind(Enum):
    """Where a manifest can stand in a file."""

    TEXT = "plain text"
    PAGE = "HTML"
    WORD = "Word"
    PDF = "PDF"
    OTHER = "another kind"


@dataclass(frozen=True)
class FileAsset(BytesAsset):
    """A file that may be compared with the one that was signed."""

    kind: Kind = Kind.OTHER

    def likeness(self, sketch: bytes) -> float | None:
        """Share of a sketch that the file has in common; None where that cannot be told."""
        return _likeness(self.kind, without(self.data, self.ranges), sketch)


@dataclass(frozen=True)
class WordAsset(word.PackageAsset):
    """A Word file with a manifest in it, compared in the same way."""

    def likeness(self, sketch: bytes) -> float | None:
        """Share of a sketch that the document has in common; None where that cannot be told."""
        return _likeness(Kind.WORD, self.data, sketch)


@dataclass(frozen=True)
class Held:
    """A manifest, and what it is said to belong to."""

    store: bytes = field(repr=False)
    asset: Asset = field(repr=False)


def kind_of(name: str, data: bytes) -> Kind:
    """By its name's ending, and by its bytes where the ending says nothing or the name is empty;
    text that is no UTF-8 is of another kind.
    """
    suffix = PurePath(name).suffix.lower()
    for kind, room in ((Kind.PAGE, html), (Kind.WORD, word), (Kind.PDF, pdf)):
        if suffix in room.SUFFIXES:
            return kind
    if not suffix:
        if data.startswith(b"%PDF-"):
            return Kind.PDF
        if data.startswith(b"PK\x03\x04") and word.CONTENT_TYPES in data[:4096]:
            return Kind.WORD
        if data[:256].lstrip().lower().startswith(PAGE_BEGINS):
            return Kind.PAGE
    return Kind.TEXT if suffix in TEXTS and _is_text(data) else Kind.OTHER


def media_type(kind: Kind, name: str) -> str:
    """IANA's name of a file's kind; empty where it is not known."""
    known = {
        Kind.TEXT: "text/plain",
        Kind.PAGE: html.MEDIA_TYPE,
        Kind.WORD: word.MEDIA_TYPE,
        Kind.PDF: pdf.MEDIA_TYPE,
    }
    return known.get(kind) or mimetypes.guess_type(name)[0] or ""


def inside(kind: Kind, data: bytes) -> Held | None:
    """The manifest in a file; None where none is.

    Raises:
        ManifestFault: it is damaged, there is more than one, or it is only pointed to.
    """
    if kind is Kind.TEXT:
        text = data.decode()
        wrapper = find_wrapper(text)
        return Held(wrapper.manifest, TextAsset(text, wrapper)) if wrapper else None
    if kind is Kind.OTHER:
        return None
    carried: Carried = {Kind.PAGE: html, Kind.WORD: word, Kind.PDF: pdf}[kind].extract(data)
    if carried.code:
        raise ManifestFault(carried.code, carried.fault)
    if carried.manifest is None:
        return None
    if kind is Kind.WORD:
        return Held(carried.manifest, WordAsset(data))
    return Held(carried.manifest, FileAsset(data, carried.exclusions, kind))


def beside(kind: Kind, data: bytes, store: bytes) -> Held:
    """A manifest beside a file, which is bound to every byte of it."""
    if kind is Kind.TEXT:
        return Held(store, TextAsset(data.decode()))
    return Held(store, FileAsset(data, (), kind))


def sketch(kind: Kind, data: bytes) -> bytes:
    """What lets a reader tell a changed file from another one; empty where nothing does.

    Args:
        data: a file that carries no manifest inside.
    """
    return sketch_of(_letters(kind, data))


def _likeness(kind: Kind, data: bytes, sketch: bytes) -> float | None:
    now = sketch_of(_letters(kind, data))
    if not now:
        return None
    return sum(a == b for a, b in zip(now, sketch, strict=False)) / len(sketch)


def _letters(kind: Kind, data: bytes) -> str:
    """What is compared: letters without mark-up, else a letter a byte; nothing of a very long file,
    or of a PDF, which is written anew when it is signed.
    """
    content = word.document(data) if kind is Kind.WORD else data
    if kind is Kind.PDF or len(content) > MOST_SKETCHED:
        return ""
    if kind in (Kind.PAGE, Kind.WORD):
        content = MARK_UP.sub(b"", content)
    return content.decode("utf-8" if kind is Kind.TEXT else "latin-1")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
