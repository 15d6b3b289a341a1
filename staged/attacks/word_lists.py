"""The words that attacks put in the place of others: misspellings and British spellings, of
codespell, and synonyms, of WordNet 3.0.
"""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def misspellings() -> dict[str, tuple[str, ...]]:
    """word → its misspellings, of codespell's general list those corrected by a single word."""
    by_word: dict[str, list[str]] = {}
    for wrong, right in _codespell("dictionary.txt"):
        if right.isalpha() and wrong.isalpha():
            by_word.setdefault(right, []).append(wrong)
    return {word: tuple(wrong) for word, wrong in by_word.items()}


@cache
def british() -> dict[str, str]:
    """American spelling → British one, lower case."""
    pairs = [(us.split(",")[0], gb) for gb, us in _codespell("dictionary_en-GB_to_en-US.txt")]
    return dict(reversed(pairs))  # of several the first


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    """word → its synonyms, of the list beside this file."""
    file = resources.files("staged.attacks").joinpath("synonyms.tsv")
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {word: tuple(others.split()) for word, others in rows}


def _codespell(name: str) -> list[tuple[str, str]]:
    text = resources.files("codespell_lib").joinpath("data", name).read_text(encoding="utf-8")
    pairs = (line.split("->", 1) for line in text.splitlines() if "->" in line)
    return [(wrong.strip(), right.strip()) for wrong, right in pairs]
