"""What a text is before any detector reads it: the characters a reader sees, each in its ordinary
form.

Undoes what is done to a text's characters and not to its words: look-alike letters, invisible
characters, odd white space, styled letters. What of it can hide machine text is named
(`hiding.py`); what typography, editors, browsers and exporting programs do is undone without a
word. Everything here is safe for honest text: accents, quotation marks, dashes, ligated emoji, and
other alphabets stay. It is not NFKC, which would also turn ½ into 1⁄2 and ² into 2.

Not undone: a change of case, misspellings, paragraph breaks, missing articles. They are ordinary in
honest text and cannot be told from it; a detector must bear them (docs/robustness.md measures how
it does).

Cost: linear; plain ASCII takes one look.

Sources: Unicode Standard Annex 15 (NFC), Annex 44 (Default_Ignorable_Code_Point), Technical
Standard 39 (look-alikes), Technical Standard 51 (emoji sequences).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import regex

from staged.detectors.contract import Change
from staged.detectors.normal.hiding import hiding
from staged.detectors.normal.lookalikes import read_as_latin

__all__ = ["Normalized", "normalize"]

_SURROGATE = regex.compile("[\ud800-\udfff]")
_DIRECTION = regex.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL = regex.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# have a meaning in some places
_JOINING = r"\u200c\u200d\ufe00-\ufe0f\U000e0020-\U000e007f\U000e0100-\U000e01ef"
_ALWAYS = regex.compile(
    rf"[\p{{Default_Ignorable_Code_Point}}\ufff9-\ufffb--[{_JOINING}\u180b-\u180d\u180f]]", regex.V1
)
_EMOJI = r"\p{Extended_Pictographic}[\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?"
# written with joiners
_JOINED = (
    r"\p{Arabic}\p{Syriac}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}"
    r"\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Mongolian}"
)
_MEANT = "|".join(
    [
        # flags of regions
        r"\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f",
        rf"{_EMOJI}(?:\u200d{_EMOJI})*",
        r"[0-9#*]\ufe0f\u20e3",  # keycaps
        r"\p{Han}[\ufe00-\ufe02\U000e0100-\U000e01ef]",  # variants of ideographs
        f"(?<=[{_JOINED}])[\u200c\u200d]",
    ]
)
_JOINERS = regex.compile(rf"({_MEANT})|[{_JOINING}]", regex.V1)
_LINE_END = regex.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_ODD_SPACE = regex.compile(r"[[\p{Zs}\t\u2800]--[ ]]", regex.V1)
_RUN = regex.compile(r" +(?=\n)|(?<= ) +")
_AROUND = regex.compile(r"\A[ \n]+|[ \n]+\Z")
_EMPTY_LINES = regex.compile(r"(?<=\n\n)\n+")
MARKS = 30  # which no language comes near (UAX #15, Stream-Safe Text Format)
_STACKED = regex.compile(rf"(\p{{M}}{{{MARKS}}})\p{{M}}+")


MATHEMATICAL = 0x1D400


def _plain_letters() -> dict[int, str]:
    """Mathematical, full-width and ligated letters and digits, to their plain ones: NFKC where it
    is safe.
    """
    ranges = (
        (0x2100, 0x214F),
        (0xFB00, 0xFB06),
        (0xFF10, 0xFF5A),
        (0x1D400, 0x1D7FF),
        (0x1FBF0, 0x1FBF9),
    )
    letters = {}
    for code in (code for first, last in ranges for code in range(first, last + 1)):
        kind = unicodedata.decomposition(chr(code)).split(" ")[0]
        plain = unicodedata.normalize("NFKC", chr(code))
        if (
            (plain.isascii() or code >= MATHEMATICAL)  # Greek ones, too, and the dotless
            and plain.isalnum()
            and (kind in ("<font>", "<wide>", "<narrow>") or 0xFB00 <= code <= 0xFB06)
        ):
            letters[code] = plain
    return letters


_PLAIN = _plain_letters()
_STYLED = regex.compile(f"[{''.join(map(chr, _PLAIN))}]")


@dataclass(frozen=True, slots=True)
class Normalized:
    """A text as detectors read it, and what in it can hide machine text."""

    text: str
    changes: tuple[Change, ...]


def normalize(text: str) -> Normalized:
    """Bring a text's characters into their ordinary form; twice is the same as once.

    Args:
        text: any string, with lone surrogates too.

    Returns:
        Text without white space around it, in NFC, that any encoding of Unicode can hold; and one
        Change for each kind of thing in it that can hide machine text.
    """
    whole = _whole(text)
    text, letters = _cleaned(whole)
    return Normalized(text, hiding(whole, look_alikes=letters))


def _cleaned(text: str) -> tuple[str, int]:
    """The text in its ordinary form, and how many of its letters looked like Latin ones."""
    letters = 0
    if not text.isascii():
        text = _without(
            _DIRECTION, _STYLED.sub(lambda letter: _PLAIN[ord(letter[0])], _composed(text))
        )
    text = _without(_CONTROL, text)
    if not text.isascii():
        text = _JOINERS.sub(r"\1", _without(_ALWAYS, text))
    text = _ODD_SPACE.sub(" ", _LINE_END.sub("\n", text))
    for needless in (_RUN, _EMPTY_LINES, _AROUND):
        text = needless.sub("", text)
    if not text.isascii():
        text, letters = read_as_latin(_composed(text))
        text = unicodedata.normalize("NFC", text)
    return text, letters


def _without(pattern: regex.Pattern[str], text: str) -> str:
    """The text without the characters that the pattern, a set, holds."""
    characters = filter(pattern.match, set(text))
    return text.translate({ord(character): None for character in characters})


def _whole(text: str) -> str:
    """Halves of surrogate pairs joined; those without a partner replaced, as no tokenizer can
    encode them.
    """
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _composed(text: str) -> str:
    """NFC, and no more than `MARKS` on a letter: before, as NFC takes the square of their number;
    after, as it can make more.
    """
    return _STACKED.sub(r"\1", unicodedata.normalize("NFC", _STACKED.sub(r"\1", text)))
