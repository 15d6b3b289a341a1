"""What a text is before any detector reads it: the characters a reader sees, each in its ordinary form.

Undoes what is done to a text's characters and not to its words: look-alike letters, invisible characters, odd white space,
styled letters. What was changed is kept as evidence, since ordinary text hardly ever needs it. Everything here is safe for
honest text: accents, quotation marks, dashes, ligated emoji, and other alphabets stay. It is not NFKC, which would also turn
½ into 1⁄2 and ² into 2.

Not undone: a change of case, misspellings, paragraph breaks, missing articles. They are ordinary in honest text and cannot be
told from it; a detector must bear them (docs/robustness.md measures how it does).

Cost: linear; plain ASCII takes one look.

Sources: Unicode Standard Annex 15 (NFC), Annex 44 (Default_Ignorable_Code_Point), Technical Standard 39 (look-alikes), Technical
Standard 51 (emoji sequences).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import regex

from staged.detectors.contract import Change
from staged.detectors.lookalikes import read_as_latin

__all__ = ["Normalized", "normalize"]

STACKED = "accents beyond 30 on one letter removed"
HALVES = "halves of characters joined"
BROKEN = "broken characters replaced by �"
INVISIBLE = "invisible characters removed"
DIRECTION = "marks of writing direction removed"
CONTROL = "control characters removed"
STYLED = "styled, full-width or joined letters made plain"
ACCENTS = "letters joined with their accents"
LOOKALIKE = "look-alike letters of other alphabets read as Latin"
LINE_ENDS = "unusual line ends made ordinary"
SPACES = "unusual spaces made ordinary"
RUNS = "needless spaces and empty lines removed"

_SURROGATE = regex.compile("[\ud800-\udfff]")
_DIRECTION = regex.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL = regex.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_JOINING = r"\u200c\u200d\ufe00-\ufe0f\U000e0020-\U000e007f\U000e0100-\U000e01ef"  # have a meaning in some places
_ALWAYS = regex.compile(rf"[\p{{Default_Ignorable_Code_Point}}\ufff9-\ufffb--[{_JOINING}\u180b-\u180d\u180f]]", regex.V1)
_EMOJI = r"\p{Extended_Pictographic}[\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?"
# written with joiners
_JOINED = r"\p{Arabic}\p{Syriac}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}\p{Telugu}\p{Kannada}"
_JOINED += r"\p{Malayalam}\p{Sinhala}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Mongolian}"
_MEANT = "|".join(
    [
        r"\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f",  # flags of regions
        rf"{_EMOJI}(?:\u200d{_EMOJI})*",
        r"[0-9#*]\ufe0f\u20e3",  # keycaps
        r"\p{Han}[\ufe00-\ufe02\U000e0100-\U000e01ef]",  # variants of ideographs
        f"(?<=[{_JOINED}])[\u200c\u200d]",
    ]
)
_JOINERS = regex.compile(rf"({_MEANT})|[{_JOINING}]", regex.V1)
_JOINER = regex.compile(f"[{_JOINING}]")
_LINE_END = regex.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_ODD_SPACE = regex.compile(r"[[\p{Zs}\t\u2800]--[ ]]", regex.V1)
_RUN = regex.compile(r" +(?=\n)|(?<= ) +")
_AROUND = regex.compile(r"\A[ \n]+|[ \n]+\Z")
_EMPTY_LINES = regex.compile(r"(?<=\n\n)\n+")
MARKS = 30  # which no language comes near (UAX #15, Stream-Safe Text Format)
_STACKED = regex.compile(rf"(\p{{M}}{{{MARKS}}})\p{{M}}+")
_CLUSTER = regex.compile(r"\P{M}\p{M}*")


def _plain_letters() -> dict[int, str]:
    """Mathematical, full-width and ligated Latin letters and digits, to their plain ones: NFKC where it is safe."""
    ranges = ((0x2100, 0x214F), (0xFB00, 0xFB06), (0xFF10, 0xFF5A), (0x1D400, 0x1D7FF), (0x1FBF0, 0x1FBF9))
    found = {}
    for code in (code for first, last in ranges for code in range(first, last + 1)):
        kind, plain = unicodedata.decomposition(chr(code)).split(" ")[0], unicodedata.normalize("NFKC", chr(code))
        if plain.isascii() and plain.isalnum() and (kind in ("<font>", "<wide>", "<narrow>") or 0xFB00 <= code <= 0xFB06):
            found[code] = plain
    return found


_PLAIN = _plain_letters()
_STYLED = regex.compile(f"[{''.join(map(chr, _PLAIN))}]")


@dataclass(frozen=True, slots=True)
class Normalized:
    """A text as detectors read it, and what was changed, in the order in which it was done."""

    text: str
    changes: tuple[Change, ...]


def normalize(text: str) -> Normalized:
    """Bring a text's characters into their ordinary form; twice is the same as once.

    Args:
        text: any string, with lone surrogates too.

    Returns:
        Text without white space around it, in NFC, that any encoding of Unicode can hold; and one Change per kind of change.
    """
    counts: dict[str, int] = {}
    if not text.isascii():
        text = _whole(text, counts)
        text = _composed(text, counts)
        text = _sub(_STYLED, lambda found: _PLAIN[ord(found[0])], text, STYLED, counts)
        text = _without(_DIRECTION, text, DIRECTION, counts)
    text = _without(_CONTROL, text, CONTROL, counts)
    if not text.isascii():
        text = _visible(text, counts)
    text = _sub(_LINE_END, "\n", text, LINE_ENDS, counts)
    text = _sub(_ODD_SPACE, " ", text, SPACES, counts)
    for needless in (_RUN, _EMPTY_LINES, _AROUND):
        text = _sub(needless, "", text, RUNS, counts)
    if not text.isascii():
        text, letters = read_as_latin(_composed(text, counts))
        counts[LOOKALIKE] = letters
        text = unicodedata.normalize("NFC", text)
    return Normalized(text, tuple(Change(what, count) for what, count in counts.items() if count))


def _sub(pattern: regex.Pattern[str], new: object, text: str, what: str, counts: dict[str, int]) -> str:
    text, count = pattern.subn(new, text)
    counts[what] = counts.get(what, 0) + count
    return text


def _without(pattern: regex.Pattern[str], text: str, what: str, counts: dict[str, int]) -> str:
    """The text without the characters that the pattern, a set, holds."""
    kept = text.translate({ord(one): None for one in set(text) if pattern.match(one)})
    counts[what] = counts.get(what, 0) + len(text) - len(kept)
    return kept


def _whole(text: str, counts: dict[str, int]) -> str:
    """Halves of surrogate pairs joined; those without a partner replaced, as no tokenizer can encode them."""
    if not _SURROGATE.search(text):
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    counts[HALVES] = len(text) - len(whole)
    counts[BROKEN] = whole.count("�") - text.count("�")
    return whole


def _composed(text: str, counts: dict[str, int]) -> str:
    """NFC, and no more than `MARKS` on a letter: before, as NFC takes the square of their number; after, as it can make more."""
    text = _unstacked(text, counts)
    if unicodedata.is_normalized("NFC", text):
        return text
    composed = unicodedata.normalize("NFC", text)
    places = sum(not unicodedata.is_normalized("NFC", found[0]) for found in _CLUSTER.finditer(text))
    counts[ACCENTS] = counts.get(ACCENTS, 0) + max(places, 1)
    return _unstacked(composed, counts)


def _unstacked(text: str, counts: dict[str, int]) -> str:
    kept = _STACKED.sub(r"\1", text)
    counts[STACKED] = counts.get(STACKED, 0) + len(text) - len(kept)
    return kept


def _visible(text: str, counts: dict[str, int]) -> str:
    """Without the invisible; joiners and variation selectors stay where a script or an emoji is written with them."""
    text = _without(_ALWAYS, text, INVISIBLE, counts)
    if _JOINER.search(text):
        before = len(text)
        text = _JOINERS.sub(r"\1", text)
        counts[INVISIBLE] += before - len(text)
    return text
