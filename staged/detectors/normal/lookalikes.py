"""Letters of other alphabets that are read as Latin ones, and the words in which they are.

Measures nothing: it undoes homoglyph attacks, which swap letters for twins that a reader cannot
tell apart and a tokenizer can. A letter is read as Latin in two cases: its word also has Latin
letters and no letter that only another alphabet has; or its word is made of twins alone, such as
Cyrillic `реасе`, and the nearest words on both sides that show their alphabet are Latin. So Greek
and Russian stay as they are, in a text of their own and as a quotation in an English one.

Fails: a text in which every word is made of twins, which stays as it is; a formula such as `αx`,
which becomes `ax`.

Source of the pairs: Unicode's security data, confusables.txt (Unicode Technical Standard 39), the
Greek, Cyrillic, Armenian, Cherokee, Coptic, Lisu and phonetic letters whose prototype is one letter
A … Z or a … z. Left out are pairs that a reader does tell apart (б 6, г r, ь b, σ o). The data
confuses capital I with l: here a capital is read as a capital.
"""

from __future__ import annotations

import regex

# Each pair: the foreign letter, then the Latin one. TWINS look the same in nearly every font.
TWINS_GREEK = "ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX οo"
TWINS_CYRILLIC = (
    "АA ВB СC ЕE НH ІI ЈJ КK МM ОO РP ЅS ТT ХX УY аa сc ԁd еe һh іi јj оo рp ԛq ѕs ԝw хx уy"
)
# SIMILAR ones are read as Latin only beside Latin letters: alone they are symbols, such as the α of
# a test.
SIMILAR_GREEK = "ϜF ͿJ ϺM αa ιi ϳj ρp υu νv γy"
SIMILAR_CYRILLIC = "ԌG ѴV ԜW ҮY ѵv үy"
SIMILAR_ARMENIAN = "ՕO ՏS ՍU ցg հh ոn օo զq սu"
SIMILAR_CHEROKEE = "ᎪA ᏴB ᏟC ᎠD ᎬE ᏀG ᎻH ᎫJ ᏦK ᏞL ᎷM ᏢP ᎡR ᏒR ᏕS ᏚS ᎢT ᏙV ᎳW ᏔW ᎩY ᎽY ᏃZ"
SIMILAR_COPTIC = "ⲤC ⲎH ⲒI ⲔK ⳐL ⲘM ⲚN ⲞO ⲢP ⲦT ⲬX ⲨY ⲥc ⲟo ⲣp"
SIMILAR_LISU = "ꓮA ꓐB ꓚC ꓓD ꓰE ꓝF ꓖG ꓧH ꓙJ ꓗK ꓡL ꓟM ꓠN ꓳO ꓑP ꓣR ꓢS ꓔT ꓴU ꓦV ꓪW ꓫX ꓬY ꓜZ"
SIMILAR_PHONETIC = "ɑa ɡg ᴄc ᴏo ᴜu ᴠv ᴡw ᴢz"


def _pairs(*groups: str) -> dict[str, str]:
    return {pair[0]: pair[1] for group in groups for pair in group.split()}


TWINS = _pairs(TWINS_GREEK, TWINS_CYRILLIC)
SIMILAR = _pairs(
    SIMILAR_GREEK,
    SIMILAR_CYRILLIC,
    SIMILAR_ARMENIAN,
    SIMILAR_CHEROKEE,
    SIMILAR_COPTIC,
    SIMILAR_LISU,
    SIMILAR_PHONETIC,
)

_twins, _similar = "".join(TWINS), "".join(SIMILAR)
_ANY = regex.compile(f"[{_twins}{_similar}]")
_WORD = regex.compile(r"([\p{L}\p{M}]+)")
# letters that show another alphabet
_OWN = regex.compile(
    rf"[\p{{L}}--[\p{{Latin}}\p{{Common}}\p{{Inherited}}{_twins}{_similar}]]", regex.V1
)
_LATIN = regex.compile(rf"[\p{{Latin}}--[{_similar}]]", regex.V1)
_SIMILAR = regex.compile(rf"[{_similar}]")
# `αSyn`, `γH`: a leading symbol before a capital is a symbol
_SIMILAR_INSIDE = regex.compile(rf"(?<!\A)[{_similar}]|\A[{_similar}](?!\p{{Lu}}|\Z)")
_TWINS_TABLE = str.maketrans(TWINS)
LATIN, OTHER, OPEN = "latin", "other", "open"


def read_as_latin(text: str) -> tuple[str, int]:
    """The text with look-alikes read as Latin, and how many letters that were; those of formulas,
    such as `αx`, do not count.

    Args:
        text: in NFC; no letter of it changes its place.
    """
    if not _ANY.search(text):
        return text, 0
    parts = _WORD.split(text)  # words stand at odd places
    words = parts[1::2]
    different = set(words)
    alphabets = {word: _alphabet(word) for word in different}
    latin = {word: _latin(word) for word in different}
    kinds = _settle([alphabets[word] for word in words])
    parts[1::2] = [
        latin[word] if kind == LATIN else word for word, kind in zip(words, kinds, strict=True)
    ]
    return "".join(parts), sum(
        _hidden(word, read) for word, read in zip(words, parts[1::2], strict=True)
    )


def _hidden(word: str, read: str) -> int:
    """Letters that were read as others, but for symbols in what is too short for a word."""
    return sum(a != b and (len(word) > 2 or a in TWINS) for a, b in zip(word, read, strict=True))


def _alphabet(word: str) -> str:
    """Which alphabet a word shows; OPEN when its letters are twins alone."""
    if word.isascii():
        return LATIN
    if _OWN.search(word):
        return OTHER
    if _LATIN.search(word):
        return LATIN
    return OTHER if _SIMILAR.search(word) else OPEN


def _settle(kinds: list[str]) -> list[str]:
    """Open words take the alphabet of the nearest decided words on both sides, if these agree."""
    before, after = _nearest(kinds), _nearest(kinds[::-1])[::-1]
    return [
        LATIN if kind == OPEN and {left, right} - {OPEN} == {LATIN} else kind
        for kind, left, right in zip(kinds, before, after, strict=True)
    ]


def _nearest(kinds: list[str]) -> list[str]:
    last, nearest = OPEN, []
    for kind in kinds:
        last = kind if kind != OPEN else last
        nearest.append(last)
    return nearest


def _latin(word: str) -> str:
    if word.isascii():
        return word
    return _SIMILAR_INSIDE.sub(lambda letter: SIMILAR[letter[0]], word.translate(_TWINS_TABLE))
