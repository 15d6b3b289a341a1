"""Texts that models know by heart: scripture, licences, declarations, the beginnings of famous
books.

A model that was shown a text a thousand times finds nothing in it surprising, which is how it finds
what a model wrote.

Measures  the share of a text's runs of six words that stand in one of these texts. The package
          holds 32-bit hashes of every eighth run, not the texts; `tools/known_texts.py` makes them.
Fails     on known texts that are not among these: those are told by what the scorer knows
          (`recited.py`).
Cost      0.5 ms for 400 words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import regex

RUN = 6  # words: longer than idioms, short enough to bear a misprint
ONE_IN = 8  # of all runs, chosen by their hashes
LEAST_RUNS = 3  # that two texts share before anything is said
LEAST_SHARE = 0.4  # of a text's runs: about half of its words, as a misprint breaks six runs
FILE = Path(__file__).with_name("known_texts.npz")
_APOSTROPHE, _WORD = regex.compile("['’‘]"), regex.compile(r"[\p{L}\p{N}]+")


def known_text(text: str) -> str:
    """What a person calls the known text that much of this one is, such as `the MIT licence`;
    nothing where it is none.
    """
    hashes, owners, titles = _known()
    runs = np.fromiter(set(sampled_runs(text)), dtype=np.uint32)
    if not len(runs):
        return ""
    places = np.searchsorted(hashes, runs).clip(max=len(hashes) - 1)
    is_known = hashes[places] == runs
    if is_known.sum() < max(LEAST_RUNS, LEAST_SHARE * len(runs)):
        return ""
    return titles[Counter(owners[places[is_known]].tolist()).most_common(1)[0][0]]


def sampled_runs(text: str) -> Iterator[int]:
    """Hashes of one in `ONE_IN` of a text's runs of words, those that it divides; case and
    punctuation do not count.
    """
    words = _WORD.findall(_APOSTROPHE.sub("", text).casefold())
    for i in range(len(words) - RUN + 1):
        code = int.from_bytes(
            blake2b(" ".join(words[i : i + RUN]).encode(), digest_size=4).digest(), "little"
        )
        if code % ONE_IN == 0:
            yield code


@lru_cache(maxsize=1)
def _known() -> tuple[np.ndarray, np.ndarray, list[str]]:
    with np.load(FILE) as held:
        return held["hashes"], held["owners"], held["titles"].tolist()
