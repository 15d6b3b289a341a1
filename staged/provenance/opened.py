"""What is to be verified: files of every kind and their sidecars, rows, standard input; each with
its bytes, which are signed, and its text, which is read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lxml.html

from staged.errors import CorpusError
from staged.files import extract
from staged.files.places import KINDS, files_below, is_text
from staged.files.texts import ROWS, STDIN, read_file, utf_text
from staged.notes import note
from staged.pages.figures import counted
from staged.provenance.containers import html
from staged.provenance.containers.kinds import SIDECAR, Kind, kind_of
from staged.provenance.manifest.encoding.text_wrapper import find_wrapper
from staged.provenance.manifest.facts import ManifestFault
from staged.provenance.manifest.plain_text import stripped
from staged.provenance.reading import read_file as read_bytes
from staged.provenance.reading import sidecar_of

INLINE = frozenset(  # elements that stand in a line; every other one begins a line of its own
    (
        *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
        *("ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub"),
        *("sup", "time", "tt", "u", "var", "wbr"),
    )
)
DECLARED = re.compile(rb"<meta\b[^<>]*charset\s*=", re.IGNORECASE)
DECLARED_WITHIN = 1024  # bytes, as browsers look
UNREAD = ("script", "style", "template", "noscript", "head")  # elements that nobody reads


@dataclass(frozen=True)
class Opened:
    """One text and what it stands in.

    Attributes:
        id: what to call it.
        text: without a manifest; empty where a file holds none that can be read.
        name: of the file that a manifest is bound to; empty of a row's own text, and of standard
            input.
        data: what a manifest is bound to.
        sidecar: the manifest beside it, if any.
    """

    id: str
    text: str = field(repr=False)
    name: str = ""
    data: bytes = field(default=b"", repr=False)
    sidecar: bytes | None = field(default=None, repr=False)


def opened_places(places: Iterable[str], manifest: Path | None = None) -> Iterator[Opened]:
    """Everything that stands at these places, in their order.

    Args:
        places: files of any kind; folders, of which text, Word, PDF and HTML files are read; files
            of rows, a text a row; `-` is standard input, one text.
        manifest: the sidecar of the one file that is given; by default FILE.c2pa beside each.

    Raises:
        CorpusError: nothing there, or it cannot be read.
    """
    beside = read_bytes(manifest) if manifest else None
    for place in places:
        if place == STDIN:
            yield _opened(STDIN, "", sys.stdin.buffer.read(), beside)
            continue
        for path in _files(place):
            side = sidecar_of(path)
            stored = beside if beside or not side.is_file() else read_bytes(side)
            if path.suffix.lower() in ROWS:
                yield from _rows(path, stored)
            else:
                yield _opened(str(path), path.name, read_bytes(path), stored)


def _rows(path: Path, sidecar: bytes | None) -> Iterator[Opened]:
    """The rows of a file; a manifest beside it is of all of them, where none is in a row's text."""
    data = b"" if sidecar is None else read_bytes(path)
    for row in read_file(path):
        identity, text = row.row.get("id"), without_manifest(row.text)
        name = f"{path}:{row.number if identity is None else identity}"
        if sidecar is not None and text == row.text:
            yield Opened(name, text, path.name, data, sidecar)
        else:
            yield Opened(name, text, "", row.text.encode())


def without_manifest(text: str) -> str:
    """A text without the manifest that is written into it; with remains of one it stays as it is,
    as the reader of its content cleans them away.
    """
    try:
        return stripped(text, find_wrapper(text))
    except ManifestFault:
        return text


def _files(place: str) -> list[Path]:
    path = Path(place)
    try:
        if not place.strip() or not path.exists():
            raise CorpusError(f"{place.strip() or 'an empty name'}: no such file or folder")
        if not path.is_dir():
            if not (path.is_file() or path.is_fifo()):
                raise CorpusError(f"{place}: is a device or a socket; give a file or a folder")
            return [path]
        files = [file for file in files_below(path) if file.suffix.lower() != SIDECAR]
    except OSError as error:
        raise CorpusError(f"{error.filename or place}: cannot be read: {error.strerror}") from None
    read = [file for file in files if is_text(file) or file.suffix.lower() in html.SUFFIXES]
    if len(read) < len(files):
        passed_over = counted(len(files) - len(read), "file")
        note(f"{place}: {passed_over} passed over (read are {KINDS}, and HTML)")
    if not read:
        raise CorpusError(f"{place}: holds no text of a kind that is read")
    return read


def _opened(where: str, name: str, data: bytes, sidecar: bytes | None) -> Opened:
    return Opened(where, _text(where, name, data), name, data, sidecar)


def _text(where: str, name: str, data: bytes) -> str:
    """A file's text; empty, with a note, where there is none that can be read."""
    try:
        if kind_of(name, data) is Kind.PAGE:
            return _text_of_page(data)
        kind = extract.kind_of(name, data)
        if kind == "txt":
            text = utf_text(data).replace("\r\n", "\n").replace("\r", "\n")
            return without_manifest(text)
        contents = extract.opened(kind, data)
    except (CorpusError, UnicodeDecodeError) as error:
        why = error if isinstance(error, CorpusError) else "it is no text in UTF-8"
        note(f"{where}: its signature is checked, its text is not read: {why}")
        return ""
    if contents.left_out:
        note(f"{where}: not read: {', '.join(contents.left_out)}")
    return contents.text


def _text_of_page(data: bytes) -> str:
    """What a reader sees of a page: a line a block, without scripts and styles."""
    try:
        page = lxml.html.document_fromstring(data, parser=_parser(data))
    except lxml.etree.ParserError:  # nothing is in it
        return ""
    for element in page.xpath("|".join(f"//{name}" for name in UNREAD)):
        element.drop_tree()
    lines = (" ".join(part.split()) for part in _blocks(page))
    return "\n".join(line for line in lines if line)


def _parser(data: bytes) -> lxml.html.HTMLParser:
    """By the encoding that a page names; UTF-8 of one that names none and is that, as browsers
    have it; else the parser's own guess, Latin-1.
    """
    if DECLARED.search(data, 0, DECLARED_WITHIN):
        return lxml.html.HTMLParser()
    try:
        data.decode()
    except UnicodeDecodeError:
        return lxml.html.HTMLParser()
    return lxml.html.HTMLParser(encoding="utf-8")


def _blocks(page: lxml.html.HtmlElement) -> Iterator[str]:
    """The page's text, parted where a block begins or ends."""
    parts: list[str] = []
    for event, element in lxml.etree.iterwalk(page, events=("start", "end", "comment")):
        if event == "comment":
            parts.append(element.tail or "")
            continue
        if element.tag not in INLINE:
            yield "".join(parts)
            parts = []
        parts.append((element.text if event == "start" else element.tail) or "")
    yield "".join(parts)
