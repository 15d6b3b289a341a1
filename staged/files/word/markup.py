"""Elements of Office files by short names (`w:t`), the same in transitional and in strict files."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lxml import etree

Element = Any  # lxml has no types

_SHORT = {
    "w": ("{0}/wordprocessingml/2006/main", "{1}/wordprocessingml/main"),
    "a": ("{0}/drawingml/2006/main", "{1}/drawingml/main"),
    "c": ("{0}/drawingml/2006/chart", "{1}/drawingml/chart"),
    "dgm": ("{0}/drawingml/2006/diagram", "{1}/drawingml/diagram"),
    "m": ("{0}/officeDocument/2006/math", "{1}/officeDocument/math"),
    "mc": ("{0}/markup-compatibility/2006",),
    "pic": ("{0}/drawingml/2006/picture", "{1}/drawingml/picture"),
    "r": ("{0}/officeDocument/2006/relationships", "{1}/officeDocument/relationships"),
    "types": ("{0}/package/2006/content-types",),
    "links": ("{0}/package/2006/relationships",),
    "cx": ("http://schemas.microsoft.com/office/drawing/2014/chartex",),
    "v": ("urn:schemas-microsoft-com:vml",),
}
_TRANSITIONAL, _STRICT = "http://schemas.openxmlformats.org", "http://purl.oclc.org/ooxml"
NAMESPACES = {
    short: tuple(pattern.format(_TRANSITIONAL, _STRICT) for pattern in patterns)
    for short, patterns in _SHORT.items()
}
PREFIXES = {namespace: short for short, full in NAMESPACES.items() for namespace in full}
OFFICE = (
    f"{_TRANSITIONAL}/",
    f"{_STRICT}/",
    "http://schemas.microsoft.com/office/",
    "urn:schemas-microsoft-com:",
)
OFF = ("0", "false", "off")
SPACE = "{http://www.w3.org/XML/1998/namespace}space"


def parsed(data: bytes) -> Element:
    """The root element of a part; nothing that it names is fetched or expanded.

    Raises:
        ValueError: no XML, nested more than 256 deep, or with a document type, which no Office file
            has.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("a document type")
    return root


@lru_cache(4096)
def _short(tag: str) -> str:
    full = etree.QName(tag)
    prefix = PREFIXES.get(full.namespace or "")
    return f"{prefix}:{full.localname}" if prefix else "other" if is_office(full.namespace) else ""


def is_office(namespace: str | None) -> bool:
    """Whether programs that read Office files know this namespace; they pass over the elements of
    any other.
    """
    return (namespace or "").startswith(OFFICE)


def name(element: Element | None) -> str:
    """`w:t`; `other` for an element of a namespace of Office's that needs no name here, empty for
    any other, and for none.
    """
    return _short(element.tag) if element is not None and isinstance(element.tag, str) else ""


def child(element: Element | None, *names: str) -> Element | None:
    """The first child of that name, its first child of the next name, and so on."""
    for child_name in names:
        element = (
            next((part for part in element if name(part) == child_name), None)
            if element is not None
            else None
        )
    return element


def value(element: Element | None, attribute: str = "w:val") -> str:
    """An attribute by its short name; empty where it, or the element, is missing."""
    if element is None:
        return ""
    prefix, _, local = attribute.rpartition(":")
    keys = [f"{{{namespace}}}{local}" for namespace in NAMESPACES[prefix]] if prefix else [local]
    return next((text for key in keys if (text := element.get(key)) is not None), "")


def is_on(element: Element | None, attribute: str = "w:val", *, absent: bool = True) -> bool:
    """Whether a switch such as `w:vanish` is there and not turned off.

    Args:
        absent: what it means when the element has no such attribute.
    """
    setting = value(element, attribute).lower()
    return element is not None and (setting not in OFF if setting else absent)


def number(text: str, default: int) -> int:
    """A whole number of ASCII digits, or else the default."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default
