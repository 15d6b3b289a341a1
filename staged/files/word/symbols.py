"""Characters of fonts of symbols."""

from __future__ import annotations

from staged.files.word.markup import Element, value

PRIVATE = range(0xF000, 0xF100)  # where such fonts have their characters
# in the font Symbol
_CAPITALS = dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True))
_SMALL = dict(zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True))
GREEK = _CAPITALS | _SMALL


def character(symbol: Element) -> str:
    """What a `w:sym` shows, where that is a character of Unicode; else nothing."""
    try:
        code = int(value(symbol, "w:char"), 16)
    except ValueError:
        return ""
    if value(symbol, "w:font").lower() == "symbol" and code & 0xFF in GREEK:
        return GREEK[code & 0xFF]
    is_shown = code not in PRIVATE and 0 <= code < 0x110000 and chr(code).isprintable()
    return chr(code) if is_shown else ""
