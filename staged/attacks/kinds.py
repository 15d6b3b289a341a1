"""RAID's attacks on a text that need no other model, for machine and for human text.

Each is a function `(text, stream) -> str` that changes the share of places that RAID changes
(RATES), all chosen by the stream. Where RAID asks a model, this asks chance: `misspelling`
misspells random words, where RAID takes those that GPT-2 finds likeliest; `synonym` takes a word's
synonym in WordNet, where RAID takes BERT's suggestion, so it changes fewer words. `paraphrase`
needs a model and is not here.

Sources: Dugan et al. 2024, "RAID: A Shared Benchmark for Robust Evaluation of Machine-Generated
Text Detectors", section 4 and appendix C, and its code (generation/adversarial). Misspellings and
British spellings: codespell's lists. Synonyms: WordNet 3.0.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from staged.attacks.word_lists import british, misspellings, synonyms
from staged.errors import PlanError
from staged.settings import nearest
from staged.streams import derive

__all__ = ["ATTACKS", "RATES", "Attack", "attack", "check_attacks", "reworded", "words_of"]

Attack = Callable[[str, np.random.Generator], str]

# RAID's letters, with the Cyrillic and Greek ones that it puts in their places.
HOMOGLYPHS = {
    "a": "\u0430",
    "c": "\u0441",
    "e": "\u0435",
    "i": "\u0456",
    "o": "\u043e",
    "p": "\u0440",
    "x": "\u0445",
    "y": "\u0443",
    "A": "\u0410\u0391",
    "B": "\u0412\u0392",
    "C": "\u0421",
    "E": "\u0415\u0395",
    "H": "\u041d\u0397",
    "I": "\u0406\u0399",
    "K": "\u041a\u039a",
    "M": "\u041c\u039c",
    "N": "\u039d",
    "O": "\u041e\u039f",
    "P": "\u0420\u03a1",
    "T": "\u0422\u03a4",
    "X": "\u0425\u03a7",
    "Z": "\u0396",
}
# The share of the places of its kind that an attack changes, as RAID publishes it.
RATES = {
    "homoglyph": 1.0,
    "number": 0.5,
    "article_deletion": 0.5,
    "insert_paragraphs": 0.5,
    "misspelling": 0.2,
    "upper_lower": 0.05,
    "whitespace": 0.2,
    "zero_width_space": 1.0,
    "synonym": 0.5,
    "alternative_spelling": 1.0,
}
_HOMOGLYPH = re.compile(f"[{''.join(HOMOGLYPHS)}]")
_NUMBER = re.compile(r"\d+\.?\d*")
_ARTICLE = re.compile(r"(?<= )(?:a|an|the) ")
_SENTENCE_START = re.compile(
    r"(?<=[.!?]) +(?=[\"“‘(]?[A-Z0-9])|(?<=[.!?][\"”’)]) +(?=[\"“‘(]?[A-Z0-9])"
)
_WORD = re.compile(r"[^\W\d_]+")
_NEEDS_CODESPELL = ("misspelling", "alternative_spelling")


def attack(name: str, text: str, *, seed: int, id: str) -> str:
    """The text under one attack; what comes out depends on the text, the name, the seed and the id
    alone.

    Args:
        name: one of ATTACKS.
        id: the document's.

    Raises:
        PlanError: an unknown attack, or one whose word list is not installed.
    """
    check_attacks([name])
    return ATTACKS[name](text, np.random.default_rng(derive(seed, name, id)))


def check_attacks(names: Sequence[str]) -> None:
    """Say now, not after hours of work, what cannot be done.

    Raises:
        PlanError: an unknown attack, one that is named twice, or one whose word list is not
            installed.
    """
    for name in names:
        if names.count(name) > 1:
            raise PlanError(f"attack {name!r} is named twice; name each once")
        if name not in ATTACKS:
            raise PlanError(f"unknown attack {name!r}; {nearest(name, ATTACKS)}")
        if name in _NEEDS_CODESPELL and importlib.util.find_spec("codespell_lib") is None:
            raise PlanError(
                f"attack {name!r} takes its words from codespell, which is not installed; pip"
                " install 'staged[attacks]'"
            )


def homoglyph(text: str, stream: np.random.Generator) -> str:
    """Letters become Cyrillic and Greek ones that look the same."""
    letters = _HOMOGLYPH.finditer(text)
    return _replace(text, letters, "homoglyph", stream, lambda old: _drawn(HOMOGLYPHS[old], stream))


def number(text: str, stream: np.random.Generator) -> str:
    """The digits of a number become random ones."""

    def other(old: str) -> str:
        return re.sub(r"\d", lambda _: str(stream.integers(10)), old)

    return _replace(text, _NUMBER.finditer(text), "number", stream, other)


def article_deletion(text: str, stream: np.random.Generator) -> str:
    """`a`, `an` and `the` between spaces are left out."""
    return _replace(text, _ARTICLE.finditer(text), "article_deletion", stream, lambda _: "")


def insert_paragraphs(text: str, stream: np.random.Generator) -> str:
    """Sentences begin a new paragraph; they end in `.`, `!` or `?` before a capital or a digit."""
    spaces = _SENTENCE_START.finditer(text)
    return _replace(text, spaces, "insert_paragraphs", stream, lambda space: f"{space}\n\n")


def misspelling(text: str, stream: np.random.Generator) -> str:
    """Words become common misspellings of theirs: a fifth of all words, or all that have one where
    those are fewer.
    """
    return _reworded(text, misspellings(), "misspelling", stream)


def upper_lower(text: str, stream: np.random.Generator) -> str:
    """The first letter of a word changes its case."""

    def flip(word: str) -> str:
        return (word[0].lower() if word[0].isupper() else word[0].upper()) + word[1:]

    return _replace(text, _WORD.finditer(text), "upper_lower", stream, flip)


def whitespace(text: str, stream: np.random.Generator) -> str:
    """Spaces are added after words, in places drawn with replacement."""
    parts = text.split(" ")
    for i in stream.integers(len(parts), size=math.floor(len(parts) * RATES["whitespace"])):
        parts[i] += " "
    return " ".join(parts)


def zero_width_space(text: str, stream: np.random.Generator) -> str:
    """U+200B after characters."""
    every = re.finditer(".", text, re.DOTALL)
    return _replace(text, every, "zero_width_space", stream, lambda old: f"{old}\u200b")


def synonym(text: str, stream: np.random.Generator) -> str:
    """Words become synonyms of theirs: half of all, or all that have any where those are fewer."""
    return _reworded(text, synonyms(), "synonym", stream)


def reworded(text: str, share: float, words: Sequence[str], *, seed: int, id: str) -> str:
    """A share of a text's words, rounded down, each become another that is drawn from `words`: as
    much of the text is lost as is said, whatever it then means. What comes out depends on the
    arguments alone.

    Args:
        share: in [0, 1].
        words: at least two different ones; one that stands there more often is drawn more often.
    """
    stream = np.random.default_rng(derive(seed, f"substitution {share:g}", id))

    def other(old: str) -> str:
        while (new := _drawn(words, stream)).lower() == old.lower():
            pass
        return _in_case(old, new.lower())

    places = list(_WORD.finditer(text))
    return _swap(text, _chosen(places, math.floor(len(places) * share), stream), other)


def words_of(texts: Iterable[str]) -> list[str]:
    """The words of texts, as attacks see them, in their order and as often as they stand there."""
    return [word for text in texts for word in _WORD.findall(text)]


def alternative_spelling(text: str, stream: np.random.Generator) -> str:
    """American spellings become British ones."""
    words = british()

    def other(old: str) -> str:
        return _in_case(old, words[old.lower()])

    known = [word for word in _WORD.finditer(text) if word[0].lower() in words]
    return _replace(text, known, "alternative_spelling", stream, other)


ATTACKS: dict[str, Attack] = {
    "homoglyph": homoglyph,
    "number": number,
    "article_deletion": article_deletion,
    "insert_paragraphs": insert_paragraphs,
    "misspelling": misspelling,
    "upper_lower": upper_lower,
    "whitespace": whitespace,
    "zero_width_space": zero_width_space,
    "synonym": synonym,
    "alternative_spelling": alternative_spelling,
}


def _replace(
    text: str,
    places: Iterable[re.Match[str]],
    name: str,
    stream: np.random.Generator,
    new: Callable[[str], str],
) -> str:
    """The attack's share of the places, rounded down as RAID rounds, replaced."""
    every = list(places)
    return _swap(text, _chosen(every, math.floor(len(every) * RATES[name]), stream), new)


def _reworded(
    text: str, others: Mapping[str, Sequence[str]], name: str, stream: np.random.Generator
) -> str:
    """The attack's share of all words become others, or all that have others if these are fewer."""

    def other(old: str) -> str:
        return _in_case(old, _drawn(others[old.lower()], stream))

    words = list(_WORD.finditer(text))
    known = [word for word in words if word[0].lower() in others]
    allowed = math.floor(len(words) * RATES[name])
    return _swap(text, _chosen(known, allowed, stream), other)


def _chosen(
    places: Sequence[re.Match[str]], at_most: int, stream: np.random.Generator
) -> list[re.Match[str]]:
    """A random choice of places, in the text's order."""
    if at_most >= len(places):
        return list(places)
    return [places[i] for i in sorted(stream.choice(len(places), at_most, replace=False))]


def _swap(text: str, places: Iterable[re.Match[str]], new: Callable[[str], str]) -> str:
    parts, end = [], 0
    for place in places:
        parts += [text[end : place.start()], new(place[0])]
        end = place.end()
    return "".join([*parts, text[end:]])


def _drawn(choices: Sequence[str], stream: np.random.Generator) -> str:
    return choices[int(stream.integers(len(choices)))]


def _in_case(old: str, new: str) -> str:
    """The new word with the old one's capitals."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new
