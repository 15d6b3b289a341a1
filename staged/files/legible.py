"""Whether the letters of a PDF are the ones that a reader sees, told from the letters alone,
in any language.

A font draws shapes; which letters they are it says in a table of its own, and that may be missing
or wrong: `The river` is then read as `7KH ULYHU` or `Uif sjwfs`. Blanks may be lost, or stand
between any two letters. Such text says nothing about its author.

Letters that stand for others are known by their vowels. In all languages in Latin script that were
tried at least 0.28 of the letters are a, e, i, o or u, and the letters that behave as vowels, next
to many others and seldom to each other, are vowels.

Fails: for shifted letters of other scripts, and for words that were swapped for other words. A list
of part numbers or of abbreviations is called illegible.

Sources: B. V. Sukhotin, Optimization algorithms of deciphering as the elements of a linguistic
theory (COLING 1988); measured on the translations that Debian's programs bring, in some 60
languages: docs/decisions/037-pdfs-as-a-reader-sees-them.md.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import pairwise

import regex

# private, replaced and control characters: no letters of any script
UNNAMED = regex.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f]")
UNNAMED_SHARE = 0.1
WORDS = 20  # from which on blanks can be told to be wrong
ALONE_SHARE = 0.5  # of words that are one letter
LONG_LETTERS, LONG_SHARE = 25, 0.5  # of letters that stand in words longer than that
LETTERS_RUN = 200  # from which on that can be told
VOWELS = frozenset("aeiou")
VOWEL_SHARE = 0.30
LETTERS = 300  # from which on letters show which of them behave as vowels
FEW_VOWELS = 0.34
TOP = 4  # letters that behave most like vowels; in legible text three or four are vowels
# scripts that set blanks between words
_SPACED = r"\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Georgian}\p{Hebrew}\p{Arabic}"
_WORD = regex.compile(rf"[{_SPACED}][{_SPACED}\p{{M}}]*")
_LETTER = regex.compile(r"\p{L}")


def why_illegible(text: str) -> str:
    """What is wrong with the letters, to follow "its fonts …"; nothing where they can be read."""
    words = Counter(_WORD.findall(text))
    letters = sum(len(word) * count for word, count in words.items())
    unnamed = len(UNNAMED.findall(text))
    if unnamed > UNNAMED_SHARE * sum(map(len, text.split())):
        return "do not say which letters they show"
    # the text is in another script, of which nothing is known here
    if letters < len(_LETTER.findall(text)) / 2:
        return ""
    if (
        words.total() >= WORDS
        and sum(words[word] for word in words if len(word) == 1) > ALONE_SHARE * words.total()
    ):
        return "set blanks between all letters"
    if (
        letters >= LETTERS_RUN
        and sum(len(word) * words[word] for word in words if len(word) > LONG_LETTERS)
        > LONG_SHARE * letters
    ):
        return "lose the blanks between words"
    return "name other letters than they show" if _is_shifted(words, letters) else ""


def _is_shifted(words: Counter[str], letters: int) -> bool:
    plain: Counter[str] = Counter()
    for word, count in words.items():
        plain[_without_accents(word)] += count
    latin = Counter({word: count for word, count in plain.items() if word.isascii()})
    n = sum(len(word) * count for word, count in latin.items())
    if n == 0 or n < letters / 2:  # not Latin
        return False
    share = (
        sum(sum(letter in VOWELS for letter in word) * count for word, count in latin.items()) / n
    )
    if share < VOWEL_SHARE - 2 * (VOWEL_SHARE * (1 - VOWEL_SHARE) / n) ** 0.5:
        return True
    return n >= LETTERS and share < FEW_VOWELS and len(VOWELS & set(_like_vowels(latin))) < TOP - 1


def _without_accents(word: str) -> str:
    return "".join(
        letter
        for letter in unicodedata.normalize("NFD", word.lower())
        if not unicodedata.combining(letter)
    )


def _like_vowels(words: Counter[str]) -> list[str]:
    """Sukhotin's algorithm: the letter with most neighbours is a vowel; its neighbours are less
    likely to be ones; again.
    """
    beside: Counter[tuple[str, str]] = Counter()
    for word, count in words.items():
        for a, b in pairwise(word):
            if a != b:
                beside[a, b] += count
                beside[b, a] += count
    degrees: Counter[str] = Counter()
    for (letter, _), count in beside.items():
        degrees[letter] += count
    vowels: list[str] = []
    for _ in range(min(TOP, len(degrees))):
        vowel = max(sorted(degrees), key=degrees.__getitem__)
        vowels.append(vowel)
        del degrees[vowel]
        for letter in degrees:
            degrees[letter] -= 2 * beside[vowel, letter]
    return vowels
