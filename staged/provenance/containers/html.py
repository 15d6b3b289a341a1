"""A manifest in a page: one script element in its head (C2PA 2.4, A.7).

The element is left out of the hash, everything else is in it, byte by byte: a page that another
program writes anew is no longer the page that was signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from staged.provenance.containers.binding import Carried, ContainerFault, Make
from staged.provenance.manifest.assertions import DataHash

SUFFIXES = (".html", ".htm", ".xhtml")
MEDIA_TYPE = "text/html"
OPENING, CLOSING = b'<script type="application/c2pa">', b"</script>"
MULTIPLE, CORRUPTED = "manifest.html.multipleManifests", "manifest.html.corruptedManifest"
TAG = re.compile(  # attributes have an end: a page of a stranger is read in one pass
    rb"<!--.*?(?:-->|\Z)|<(?P<end>/?)(?P<name>[a-z][^\s/>\"'<]*)"
    rb"(?P<attributes>(?:[^<>\"']|\"[^\"]{0,4096}\"|'[^']{0,4096}'){0,4096})>",
    re.IGNORECASE | re.DOTALL,
)
ATTRIBUTE = re.compile(
    rb"([^\s\"'<>/=]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'=<>`]+)))?", re.DOTALL
)
RAW = (b"script", b"style", b"title", b"noscript", b"template", b"textarea")
LONGEST_HEAD = 1 << 20  # bytes of tags that are looked at


@dataclass(frozen=True)
class Element:
    """A tag, or a whole element where it holds no others.

    Attributes:
        name: in lower case, with `/` before it where it ends an element.
        attributes: by name, in lower case.
        begins, ends: its place in the page.
        text: of an element that holds text alone.
    """

    name: bytes
    attributes: dict[bytes, bytes]
    begins: int
    ends: int
    text: bytes = b""


def embed(data: bytes, make: Make) -> bytes:
    """A page with a manifest in its head.

    Args:
        data: a page that has none.
        make: gives the manifest for a binding of each size.

    Raises:
        ContainerFault: it has no head to stand in.
    """
    place = next((each.ends for each in _elements(data) if each.name == b"head"), None)
    if place is None:
        raise ContainerFault("the page has no <head> that a manifest could stand in")
    digest = hashlib.sha256(data).digest()

    def binding(size: int) -> DataHash:
        return DataHash(digest, ((place, len(OPENING) + (size + 2) // 3 * 4 + len(CLOSING)),))

    manifest = base64.b64encode(make(binding))
    return data[:place] + OPENING + manifest + CLOSING + data[place:]


def extract(data: bytes) -> Carried:
    """The manifest in a page's head; one that it only points to is not fetched."""
    scripts, links = _associations(data)
    if not scripts and not links:
        return Carried()
    if len(scripts) + len(links) > 1:
        return Carried(code=MULTIPLE, fault="the page holds more than one manifest")
    if links:
        return Carried(
            code="manifest.inaccessible",
            fault="the page names a manifest elsewhere, which is not fetched; save it as the file"
            " beside it that ends in .c2pa",
        )
    [script] = scripts
    if set(script.attributes) != {b"type"}:  # no hash covers them, and they can be seen, as a style
        return Carried(code=CORRUPTED, fault="the manifest's element says more than its type")
    letters = b"".join(script.text.split())
    try:
        manifest = base64.b64decode(letters, validate=True)
    except binascii.Error:
        return Carried(code=CORRUPTED, fault="the manifest in the page is no Base64")
    if base64.b64encode(manifest) != letters:
        return Carried(code=CORRUPTED, fault="the manifest in the page ends in loose bits")
    return Carried(manifest, ((script.begins, script.ends - script.begins),))


def remove(data: bytes) -> bytes:
    """A page without the manifests in its head; of one that has none, the same bytes."""
    for script in reversed(_associations(data)[0]):
        data = data[: script.begins] + data[script.ends :]
    return data


def _associations(data: bytes) -> tuple[list[Element], list[Element]]:
    """(scripts that are manifests, links to manifests) in a page's head."""
    scripts, links, inside = [], [], False
    for element in _elements(data):
        inside = inside or element.name == b"head"
        if element.name in (b"/head", b"body"):
            break
        kind = element.attributes.get(b"type", b"").strip().lower()
        relations = element.attributes.get(b"rel", b"").lower().split()
        if inside and element.name == b"script" and kind == b"application/c2pa":
            scripts.append(element)
        elif inside and element.name == b"link" and b"c2pa-manifest" in relations:
            links.append(element)
    return scripts, links


def _elements(data: bytes) -> Iterator[Element]:
    """The tags of a page in their order, up to where its head must be over."""
    place = looked_at = 0
    while looked_at < LONGEST_HEAD and (match := TAG.search(data, place)):
        looked_at += match.end() - place
        place = match.end()
        if match["name"] is None:  # a comment
            continue
        name = match["end"] + match["name"].lower()
        text = b""
        if name in RAW:
            ending = re.compile(rb"</" + name + rb"(?:[\s/][^<>]*)?>", re.IGNORECASE)
            closing = ending.search(data, place - 1)
            text = data[place : closing.start() if closing else len(data)]
            place = closing.end() if closing else len(data)
        yield Element(name, _attributes(match["attributes"]), match.start(), place, text)


def _attributes(text: bytes) -> dict[bytes, bytes]:
    return {
        match[1].lower(): match[2] or match[3] or match[4] or b""
        for match in reversed(list(ATTRIBUTE.finditer(text)))  # of two of a name, the first counts
    }
