"""What in a text's characters can hide machine text, told from what honest writing has.

Measures nothing: it names what somebody would do to a text so that a detector reads other
characters than a person sees. All of it is undone by `normalize`, and so is much that is not named
here, since people's programs do it: line ends of any kind, a byte order mark, non-breaking spaces,
two blanks after a full stop, soft hyphens between syllables, joined letters such as ﬁ, full-width
letters beside ideographs, joiners of Persian and Hindi and of emoji, marks of direction beside
Hebrew and Arabic.

Fails: where somebody hides with what honest writing has, one place at a time; plain text justified
with blanks is named.
"""

from __future__ import annotations

import regex

from staged.detectors.contract import Change

INVISIBLE = "invisible characters inside words, or many of them"
DIRECTION = "marks that turn the direction of writing"
STYLED = "words in letters of mathematics, or full-width ones"
LOOKALIKE = "look-alike letters of other alphabets in Latin words"
STACKED = "accents beyond 30 on one letter"
SPACES = "spaces of unusual widths, many of them"
RUNS = "double spaces inside sentences, many of them"

MANY, MANY_SHARE = 3, 0.05  # more than these, and than this share of the words, are no accident
_UNSEEN = (
    r"[\p{Default_Ignorable_Code_Point}\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufff9-\ufffb--\xad]"
)
# scripts that are written without joiners
_LETTER = r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Georgian}]"
_IDEOGRAPHS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}]")
_INSIDE = regex.compile(rf"(?<={_LETTER}){_UNSEEN}+(?={_LETTER})", regex.V1)
# operators of formulas, tags but those of flags, and two or more selectors of variants: nothing is
# written so
_NEVER = regex.compile(
    "[\u2061-\u2064]|(?:\U0001f3f4[\U000e0020-\U000e007f]{1,7}(*SKIP)(*FAIL))|[\U000e0000-\U000e007f]"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}",
    regex.V1,
)
# beside words, where browsers and editors leave one now and then
_BESIDE = regex.compile(
    rf"(?<!\A)(?!(?<={_LETTER}){_UNSEEN}+{_LETTER})[\u200b\u2060\ufeff\u180e]", regex.V1
)
# leaves two letters on each side
_SOFT = regex.compile(r"(?<!\p{L}\p{L})\xad(?=\p{L})|(?<=\p{L})\xad(?!\p{L}\p{L})")
_TURNING = regex.compile("[\u202d\u202e]")
# letters and digits of mathematics; of the signs like letters, those that have a plain one
_MATHEMATICAL = r"[[\U0001d400-\U0001d7ff]&&[\p{L}\p{Nd}]]"
_SIGNS = r"[[\u2100-\u214f]&&\p{L}--[\u2107\u210f\u2132\u2135-\u2138\u213c-\u213f\u214e]]"
_STYLED = regex.compile(
    rf"(?:[{_MATHEMATICAL}&&\p{{L}}]|{_SIGNS}){{2,}}"
    rf"|(?<=\p{{L}}){_MATHEMATICAL}|{_MATHEMATICAL}(?=\p{{L}})",
    regex.V1,
)
_WIDE = regex.compile("[\uff21-\uff3a\uff41-\uff5a]")
_STACK = regex.compile(r"(?<=\p{M}{30})\p{M}")
_WIDTHS = regex.compile("[\u1680\u2000-\u200a\u205f\u2800]")
_DOUBLE = regex.compile(r"(?<=[\p{L}\p{N},])  +(?=[\p{L}\p{N}])")


def hiding(text: str, *, look_alikes: int) -> tuple[Change, ...]:
    """Each kind of thing in a text that can hide machine text, with the number of its places.

    Args:
        text: as it came, without lone surrogates.
        look_alikes: letters of it that are read as Latin ones.
    """
    many = max(MANY, MANY_SHARE * len(text.split()))
    counts = {LOOKALIKE: look_alikes, RUNS: _if_many(_DOUBLE, text, many)}
    if not text.isascii() or not text.isprintable():
        always = _count(_INSIDE, text) + _count(_NEVER, text) + _count(_SOFT, text)
        counts[INVISIBLE] = always + _if_many(_BESIDE, text, many)
        counts[DIRECTION] = _count(_TURNING, text)
        counts[STYLED] = _count(_STYLED, text) + (
            0 if _IDEOGRAPHS.search(text) else _count(_WIDE, text)
        )
        counts[STACKED] = _count(_STACK, text)
        counts[SPACES] = _if_many(_WIDTHS, text, many)
    return tuple(Change(what, count) for what, count in counts.items() if count)


def _count(pattern: regex.Pattern[str], text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))


def _if_many(pattern: regex.Pattern[str], text: str, many: float) -> int:
    count = _count(pattern, text)
    return count if count > many else 0
