"""A text as trained readers read it: its words, without what tells a source from another rather
than its writer.

Line ends, curled quotes, dashes, bullets, Markdown, spaces before commas: each corpus has its own,
so a reader that learns from a corpus of people beside a corpus of machines learns these first, and
then accuses everybody who types like the second. What an assistant says before it begins ("Sure!
Here is …") is no part of the text, and is cut off.

Cost: linear, 0.1 ms for 400 words.
"""

from __future__ import annotations

import regex

_OPENER = regex.compile(
    r"\A\s*(?:(?:sure|certainly|of course|absolutely|okay|ok)\b[^\n]{0,120}[:!]\s*\n|here(?:'s| is|"
    r" are)\b[^\n]{0,160}:\s*\n)",
    regex.I,
)
_REFUSAL = regex.compile(
    r"\b(?:as an? (?:ai|artificial intelligence)(?: language)? (?:model|assistant)|as a language"
    r" model)\b,? ?",
    regex.I,
)
_LINE_MARKS = regex.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]*|[-*•‣◦–—][ \t]+|\d{1,3}[.)][ \t]+)+", regex.M
)
_EMPHASIS = regex.compile(r"(?<!\w)(\*{1,3}|_{1,3}|`{1,3})(?=\S)([^\n*_`]*?\S)\1(?!\w)")
_RULE = regex.compile(r"^[ \t]*[-*_=#~]{3,}[ \t]*$", regex.M)
_SIGNS = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "‚": "'",
        "ʼ": "'",
        "´": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "…": "...",
    }
)
_DOUBLE, _DASH = regex.compile("``|''"), regex.compile(r"(?<!\s)\s*(?:[—–]|(?<=\s)-(?=\s)|--+)\s*")
_DOTS = regex.compile(r"\.(?: ?\.){2,}")
# as tokenizers of the Penn Treebank part them
_TOKENISED = (
    (regex.compile(r"(?<=\w) (n't|'(?:s|m|re|ve|ll|d))\b", regex.I), r"\1"),
    (regex.compile(r"(?<! ) +([,.;:!?%)\]}])"), r"\1"),
    (regex.compile(r"([(\[{]) +"), r"\1"),
)


def plain(text: str) -> str:
    """The text's words on one line, in plain signs; twice is the same as once.

    Args:
        text: normalised (`normalize.py`).
    """
    for pattern in (_OPENER, _RULE, _LINE_MARKS):
        text = pattern.sub("", text)
    text = _REFUSAL.sub("", _EMPHASIS.sub(r"\2", text)).translate(_SIGNS)
    text = _DOTS.sub("...", _DASH.sub(" - ", _DOUBLE.sub('"', text)))
    for pattern, joined in _TOKENISED:
        text = pattern.sub(joined, text)
    return " ".join(text.split())
