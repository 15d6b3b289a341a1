"""Formulas in a line, as Word itself writes them so: (a+b)/2, x^2 (Unicode Technical Note 28)."""

from __future__ import annotations

from staged.files.word.markup import Element, child, name, value

_BEFORE = {"m:den": "/", "m:sup": "^", "m:sub": "_"}
# what is apart from the part before it
_PARTS = ("m:e", "m:num", "m:lim", "m:deg", "m:fName", "m:mr", "m:oMath")


def before(element: Element) -> str:
    """What stands in front of a part of a formula, or of a formula."""
    kind = name(element)
    if kind == "m:d":
        return _sign(element, "m:dPr", "m:begChr", "(")
    if kind == "m:nary":
        return _sign(element, "m:naryPr", "m:chr", "∫")
    if kind == "m:rad":
        return "√"
    previous = element.getprevious()
    is_first = (
        previous is None or not name(previous).startswith("m:") or name(previous).endswith("Pr")
    )
    return _BEFORE.get(kind, " " if kind in _PARTS and not is_first else "")


def after(element: Element) -> str:
    """What stands behind a part of a formula."""
    return _sign(element, "m:dPr", "m:endChr", ")") if name(element) == "m:d" else ""


def _sign(element: Element, properties: str, character: str, default: str) -> str:
    """A character that a formula's part is drawn with: one that is given may be given as none."""
    sign = child(element, properties, character)
    return default if sign is None else value(sign, "m:val")
