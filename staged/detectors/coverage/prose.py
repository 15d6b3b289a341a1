"""Which part of a text is prose, and what the rest looks like: code, figures, names, verse.

Measures  the share of a text's words that stand in lines or paragraphs that read as running
          sentences: mostly letters, few signs of code, English words that hold sentences together,
          and either an end as sentences have it or some length.
Fails     on verse and code that was run together into one paragraph of sentences; on prose without
          any full stop in short lines, which it takes for a list.
Cost      linear, under 1 ms for 400 words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

import regex

PROSE, CODE, FIGURES, LINES, NAMES = "prose", "code", "figures", "lines", "names"
LONG_LINE = 12  # words: a line as long is a paragraph, whatever it ends with
# of the longest line: with its successor's first word a line that was broken for its width is as
# long
FULL = 0.85
BROKEN = 0.75  # of a block's lines that are: then they are one paragraph
BEGINS_AFRESH = 0.7  # of lines that begin with a capital: then they were meant as lines
# signs of code for each character that shows; prose has 0.01
MOST_SIGNS, MOST_SIGNS_READ = 0.05, 0.12
LEAST_LETTERS, LEAST_LETTERS_READ = 0.8, 0.65  # of the characters that show; prose has 0.95
# words of `HOLDING` in an English paragraph; prose has 0.4
LEAST_HOLDING, SURELY_HOLDING = 0.15, 0.3
FEW_WORDS = 8  # of fewer, no share of words says anything
_BLANK = regex.compile(r"\n\s*\n")
_SIGN, _BRACKET = regex.compile(r"[{}\[\]<>=;_#$%^*|\\/~+@`]"), regex.compile("[()&]")
_SHOWN = regex.compile(r"\S")
_LETTER = regex.compile(r"\p{L}")
_MARKED = regex.compile(r"[\p{L}\p{M}]")
_CAPITAL, _SMALL = regex.compile(r"\p{Lu}"), regex.compile(r"\p{Ll}")
_WORD = regex.compile(r"[\p{L}\p{M}]+")
_SENTENCE_END = regex.compile(r"""[.!?…:;।؟]["'”’»)\]*_]*$""")
_ADDRESS = regex.compile(r"\w+://\S+|\S+@\S+\.\w+")
# as Markdown writes it
_EMPHASIS = regex.compile(r"(?<!\w)(?:\*{1,3}|_{1,3})(\p{L}[^*_\n]*?)(?:\*{1,3}|_{1,3})(?!\w)")
# lines of a log, and of a catalogue of translations
_RECORD = regex.compile(
    r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d|\[?\d\d:\d\d:\d\d|msg(?:id|id_plural|str|ctxt)\b|#[:,.|~] "
)
_LEADING = regex.compile(r"^(?:[>|*•‣◦–—-]\s*|\d{1,3}[.)]\s+)+")
_HOLDING = (
    "a about after again all also although am an and another any are as at away back be because"
    " been before being between both but by can cannot could did do does doing down each either"
    " else even ever every few first for from get go good got had has have having he her here him"
    " his how i if in into is it its just last like little made make many may me might more most"
    " much must my never no nor not now of off often on once one only or other our out over own"
    " people said same say says see shall she should since so some something still such than that"
    " the their them then there these they this those though through thus time to too two under"
    " until up upon us very was way we well were what when where whether which while who whom whose"
    " why will with within without would yet you your thou thee thy ye hath unto d ll m re s t ve"
    " don didn isn wasn "
)
HOLDING = frozenset(_HOLDING.split())


@dataclass(frozen=True, slots=True)
class Form:
    """What a text is made of.

    Attributes:
        prose: share of its words that stand in prose.
        code: share of its words that stand in lines of code.
        code_places: how many runs of lines of code there are between other lines.
        other: the kind of most of what is not prose; `PROSE` where all is.
        capitals: share of its cased letters that are capitals.
    """

    prose: float
    code: float
    code_places: int
    other: str
    capitals: float


def form(text: str, *, english: bool) -> Form:
    """What a normalised text is made of; without words all of it is prose.

    Args:
        english: whether its prose should hold the words that hold English sentences together.
    """
    kinds = [
        (_kind(paragraph, english=english), len(paragraph.split()))
        for paragraph in paragraphs(text)
    ]
    words: Counter[str] = Counter()
    for kind, count in kinds:
        words[kind] += count
    total = max(words.total(), 1)
    other = max((kind for kind in words if kind != PROSE), key=words.__getitem__, default=PROSE)
    places = sum(kind == CODE for kind, _ in groupby(kinds, key=itemgetter(0)))
    capitals, small = len(_CAPITAL.findall(text)), len(_SMALL.findall(text))
    prose = words[PROSE] / total if kinds else 1.0
    return Form(prose, words[CODE] / total, places, other, capitals / max(capitals + small, 1))


def paragraphs(text: str) -> Iterator[str]:
    """Lines, with those put together that were broken for their width or within a sentence."""
    joined = ""
    for line in _lines(text):
        if joined and _goes_on(joined, line):
            joined += f" {line}"
            continue
        if joined:
            yield joined
        joined = line
    if joined:
        yield joined


def _goes_on(line: str, after: str) -> bool:
    """Whether words without an end are followed by words that begin small."""
    return (
        bool(_SMALL.match(after))
        and not _SENTENCE_END.search(line)
        and _is_words(line)
        and _is_words(after)
    )


def _is_words(line: str) -> bool:
    shown, letters, signs, brackets = (
        len(pattern.findall(line)) for pattern in (_SHOWN, _MARKED, _SIGN, _BRACKET)
    )
    return signs + brackets <= MOST_SIGNS * shown and letters >= LEAST_LETTERS * shown


def _lines(text: str) -> Iterator[str]:
    """Lines, and blocks of lines that end where there was no more room, as one."""
    for block in _BLANK.split(text):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        if _is_wrapped(lines):
            yield " ".join(lines)
        else:
            yield from lines


def _is_wrapped(lines: list[str]) -> bool:
    """Whether each line but the last ends where the next one's first word had no more room."""
    if len(lines) < 2:
        return False
    room = FULL * max(map(len, lines))
    full = sum(len(line) + 1 + len(after.split()[0]) > room for line, after in pairwise(lines))
    afresh = sum(bool(_CAPITAL.match(line)) for line in lines[1:])
    return full >= BROKEN * (len(lines) - 1) and afresh < BEGINS_AFRESH * (len(lines) - 1)


def _kind(paragraph: str, *, english: bool) -> str:
    if _RECORD.match(paragraph):
        return CODE
    bare = _EMPHASIS.sub(r"\1", _ADDRESS.sub("", _LEADING.sub("", paragraph)))
    words = _WORD.findall(bare.lower())
    holding = sum(word in HOLDING for word in words) / max(len(words), 1)
    reads = english and holding >= SURELY_HOLDING
    patterns = (_SHOWN, _LETTER if english else _MARKED, _SIGN, _BRACKET)
    shown, letters, signs, brackets = (len(pattern.findall(bare)) for pattern in patterns)
    if signs + brackets > (MOST_SIGNS_READ if reads else MOST_SIGNS) * shown:
        return CODE if signs * 4 >= brackets else FIGURES  # references have brackets alone
    if letters < (LEAST_LETTERS_READ if reads else LEAST_LETTERS) * shown:
        return FIGURES
    if english and len(words) >= FEW_WORDS and holding < LEAST_HOLDING:
        return NAMES
    return PROSE if _SENTENCE_END.search(bare) or len(words) >= LONG_LINE else LINES
