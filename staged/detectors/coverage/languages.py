"""In which scripts and languages a text is written: shares of its letters and of its words.

Measures  scripts by Unicode's property; languages by py3langid (139 of them, offline), window by
          window, so that a text of two languages is seen as one.
Fails     on languages that it does not know, which it takes for a neighbour; on lists of names and
          numbers, which belong to none.
Cost      about 5 ms for 400 words; the first call loads the model, one second.
Source    Unicode Standard Annex 24 (Script); Lui and Baldwin 2011, Cross-domain Feature Selection
          for Language Identification.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import regex

WINDOW = 40  # words that are told a language together: of fewer, one in a hundred is mistaken
ENGLISH, LATIN = "en", "Latin"
_RUN = regex.compile(r"\p{L}+")
_SCRIPTS = (
    "Latin Cyrillic Greek Arabic Hebrew Devanagari Bengali Tamil Telugu Kannada Malayalam Gujarati"
    " Gurmukhi Sinhala Oriya Thai Lao Khmer Myanmar Tibetan Georgian Armenian Ethiopic Hangul"
    " Hiragana Katakana Han Mongolian Cherokee Syriac Thaana Coptic"
)
_OF_SCRIPT = tuple((name, regex.compile(rf"\p{{Script={name}}}")) for name in _SCRIPTS.split())
OTHER = "another"  # script, that this list does not name
NOTHING = "zxx"  # what is in no language: numbers, markup
_NAMES = (
    "af:Afrikaans am:Amharic ar:Arabic az:Azerbaijani be:Belarusian bg:Bulgarian bn:Bengali"
    " br:Breton bs:Bosnian ca:Catalan cs:Czech cy:Welsh da:Danish de:German el:Greek en:English"
    " eo:Esperanto es:Spanish et:Estonian eu:Basque fa:Persian fi:Finnish fo:Faroese fr:French"
    " fy:Frisian ga:Irish gd:Gaelic gl:Galician gu:Gujarati ha:Hausa he:Hebrew hi:Hindi hr:Croatian"
    " ht:Haitian hu:Hungarian hy:Armenian id:Indonesian ig:Igbo is:Icelandic it:Italian jv:Javanese"
    " ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean ku:Kurdish ky:Kyrgyz la:Latin"
    " lb:Luxembourgish lt:Lithuanian lv:Latvian mg:Malagasy mk:Macedonian ml:Malayalam mn:Mongolian"
    " mr:Marathi ms:Malay mt:Maltese ne:Nepali nl:Dutch nn:Norwegian no:Norwegian oc:Occitan"
    " pa:Punjabi pl:Polish ps:Pashto pt:Portuguese qu:Quechua ro:Romanian ru:Russian rw:Kinyarwanda"
    " si:Sinhala sk:Slovak sl:Slovenian sn:Shona so:Somali sq:Albanian sr:Serbian sv:Swedish"
    " sw:Swahili ta:Tamil te:Telugu tg:Tajik th:Thai tk:Turkmen tl:Tagalog tr:Turkish tt:Tatar"
    " ug:Uyghur uk:Ukrainian ur:Urdu uz:Uzbek vi:Vietnamese xh:Xhosa yo:Yoruba zu:Zulu"
)
_NAME_OF = dict(pair.split(":") for pair in _NAMES.split())


def script_shares(text: str) -> dict[str, float]:
    """Script → its share of the text's letters, the largest first; none without letters."""
    letters = Counter("".join(_RUN.findall(text)))
    counts: Counter[str] = Counter()
    for letter, count in letters.items():
        counts[_script(letter)] += count
    total = sum(counts.values())
    return {name: count / total for name, count in counts.most_common()}


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return next((name for name, pattern in _OF_SCRIPT if pattern.match(letter)), OTHER)


def language_shares(text: str) -> dict[str, float]:
    """Language (ISO 639) → its share of the words that are in one, largest first; may be empty."""
    words = text.split()
    counts: Counter[str] = Counter()
    for start in range(0, max(len(words) - WINDOW // 2, min(len(words), 1)), WINDOW):
        stop = start + WINDOW if start + WINDOW + WINDOW // 2 < len(words) else len(words)
        counts[language(" ".join(words[start:stop]))] += stop - start
    del counts[NOTHING]
    return {name: count / counts.total() for name, count in counts.most_common()}


def language_name(code: str) -> str:
    """For a person: `German`; the code itself of a language that is rare."""
    return _NAME_OF.get(code, f"the language {code!r}")


def language(text: str) -> str:
    """The likeliest language of a text, ISO 639; `NOTHING` of what is in none."""
    return str(_identifier().classify(text)[0])


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
