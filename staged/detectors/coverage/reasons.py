"""Which texts a calibration's human texts say something about: a verdict on any other kind would
rest on nothing.

A p-value compares a text with human texts like it. Russian beside English, code beside essays, a
licence that every model knows by heart: such texts score high or low for what they are, whoever
wrote them. Of these nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import regex

from staged.detectors.coverage.known_texts import known_text
from staged.detectors.coverage.languages import (
    ENGLISH,
    LATIN,
    language_name,
    language_shares,
    script_shares,
)
from staged.detectors.coverage.prose import CODE, FIGURES, LINES, NAMES, form
from staged.records import count_words

LEAST_COVERED = 0.6  # of a text's letters, of its words in some language, and of those in prose
# of all words or letters of human texts: what is rarer among them they do not cover
LEAST_SHARE = 0.05
MOST_CODE, CODE_PLACES = 0.05, 3  # code between prose so often is a program with its comments
MOST_CAPITALS = 0.5
MOST_GARBLED = 0.02  # of words
# letters of scripts that put no spaces between words: Thai to Khmer, kana, Chinese characters
_UNSPACED = regex.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_GARBLED = regex.compile("[ÃÂ][\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u2013-\u2122]|â€|�")
_LOOKS_LIKE = {
    CODE: "program code, markup or settings",
    FIGURES: "figures, references or formulas",
    LINES: "short lines, as verse, lists and forms have them",
    NAMES: "names, terms or references",
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of which scripts (Unicode's names) and languages (ISO 639) human texts were; by default
    English ones.

    A file of human texts in another language covers that one, and no longer English.
    """

    scripts: tuple[str, ...] = (LATIN,)
    languages: tuple[str, ...] = (ENGLISH,)

    def why_not(self, text: str) -> str:
        """One sentence for a person: why nothing can be said of a normalised text; nothing where it
        is covered.
        """
        return (
            self._other_script(text)
            or _garbled(text)
            or _known(text)
            or self._other_form_or_language(text)
        )

    def _other_script(self, text: str) -> str:
        if is_unspaced(text):
            return (
                "Most of the text is in a script without spaces between words, such as Chinese,"
                " Japanese or Thai: how many words it has, and so which human texts to compare it"
                " with, cannot be told."
            )
        scripts = script_shares(text)
        if _covered(scripts, self.scripts) < LEAST_COVERED:
            return _elsewhere(
                f"in {next(script for script in scripts if script not in self.scripts)} script",
                f"in {_listed(self.scripts)} script",
            )
        return ""

    def _other_form_or_language(self, text: str) -> str:
        languages = language_shares(text)
        is_covered = _covered(languages, self.languages) >= LEAST_COVERED
        english = (
            is_covered and ENGLISH in self.languages and next(iter(languages), ENGLISH) == ENGLISH
        )
        if why := _other_form(text, english=english):
            return why
        if not is_covered:
            other = next(language for language in languages if language not in self.languages)
            covered = _listed(map(language_name, self.languages))
            return _elsewhere(f"in {language_name(other)}", f"in {covered}")
        return ""


def _other_form(text: str, *, english: bool) -> str:
    text_form = form(text, english=english)
    is_program = text_form.code > MOST_CODE and text_form.code_places >= CODE_PLACES
    if is_program or text_form.prose < LEAST_COVERED:
        return _elsewhere(_LOOKS_LIKE[CODE if is_program else text_form.other], "prose")
    if text_form.capitals > MOST_CAPITALS:
        return _elsewhere("in capitals", "in small letters")
    return ""


def _elsewhere(what: str, covered: str) -> str:
    return (
        f"Much of the text seems to be {what}; the human texts to compare it with are {covered}, so"
        " nothing can be said."
    )


def _garbled(text: str) -> str:
    if len(_GARBLED.findall(text)) > MOST_GARBLED * count_words(text):
        return (
            "The text's letters were garbled by a wrong encoding: open the original as what it is,"
            " such as UTF-8."
        )
    return ""


def _known(text: str) -> str:
    if name := known_text(text):
        return (
            f"Much of the text is {name}, which models know by heart: that it is no surprise to"
            " them says nothing of who wrote it."
        )
    return ""


def _covered(shares: Mapping[str, float], names: Iterable[str]) -> float:
    """1 without any: what has no letters is for others to refuse."""
    return sum(shares.get(name, 0.0) for name in names) if shares else 1.0


def _listed(names: Iterable[str]) -> str:
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last


def coverage_of(texts: Iterable[str]) -> Coverage:
    """What normalised human texts cover: the scripts and languages of at least `LEAST_SHARE` of
    their words; English if none.
    """
    scripts: dict[str, float] = {}
    languages: dict[str, float] = {}
    for text in texts:
        for counts, shares in ((scripts, script_shares(text)), (languages, language_shares(text))):
            for name, share in shares.items():
                counts[name] = counts.get(name, 0.0) + share * count_words(text)
    return Coverage(_common(scripts) or (LATIN,), _common(languages) or (ENGLISH,))


def _common(counts: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(
        sorted(
            name for name, count in counts.items() if count >= LEAST_SHARE * sum(counts.values())
        )
    )


def is_unspaced(text: str) -> bool:
    """Whether most of a text is in scripts that put no spaces between words, so that words do not
    say how long it is.
    """
    return 2 * len(_UNSPACED.findall(text)) > sum(map(str.isalpha, text))


def comparable_words(text: str) -> int:
    """By which a normalised text is set against others; 0, and so never enough, where words do not
    say how long it is.
    """
    return 0 if is_unspaced(text) else count_words(text)
