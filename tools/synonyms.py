"""Make staged/attacks/synonyms.tsv, the word list of the synonym attack, from WordNet 3.0.

    python tools/synonyms.py /usr/share/wordnet staged/attacks/synonyms.tsv    (Debian's package
                                                                               wordnet-base)

A word is listed when one synset has at least four fifths of its counted uses in WordNet's tagged
texts, over all parts of speech, and at least five of them; its synonyms are the other single words
counted there.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path

SHARE, USES, LETTERS = 0.8, 5, 4
NOTICE = (
    "# From WordNet 3.0, Copyright 2006 by Princeton University. All rights reserved."
    " https://wordnet.princeton.edu/license"
)
# How a sense key numbers parts of speech; an adjective satellite (5) stands among the adjectives.
PARTS = {"noun": "1", "verb": "2", "adj": "3", "adv": "4"}
# Words that are something else besides what WordNet lists (it has no conjunctions), and words not
# to be put into anyone's text.
LEFT_OUT = {
    "while",
    "after",
    "before",
    "very",
    "through",
    "given",
    "used",
    "within",
    "unlike",
    "next",
    "last",
    "several",
    "gone",
}
LEFT_OUT |= {
    "done",
    "also",
    "likely",
    "babe",
    "bastard",
    "corpse",
    "cadaver",
    "damn",
    "damned",
    "darned",
    "goddam",
    "goddamned",
}
LEFT_OUT |= {"dumb", "naked", "nude", "queer", "diarrhea", "diarrhoea"}


def counted(folder: Path) -> dict[tuple[str, ...], int]:
    """(word, part, file, number in it) → uses in the tagged texts."""
    uses: Counter[tuple[str, ...]] = Counter()
    for line in (folder / "cntlist.rev").read_text(encoding="utf-8").splitlines():
        key, _, count = line.split()
        word, sense = key.split("%")
        part, file, number, *_ = sense.split(":")
        uses[word, part.replace("5", "3"), file, number] += int(count)
    return uses


def synsets(folder: Path) -> list[list[tuple[str, ...]]]:
    """Every synset, as the keys of its words."""
    found = []
    for part, number in PARTS.items():
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                continue  # the licence
            _, file, _, words, *fields = line.split(" ")
            pairs = [fields[2 * i : 2 * i + 2] for i in range(int(words, 16))]
            found.append(
                [(word.split("(")[0], number, file, f"{int(i, 16):02d}") for word, i in pairs]
            )
    return found


def plain(word: str) -> bool:
    return (
        word.isascii()
        and word.isalpha()
        and word.islower()
        and len(word) >= LETTERS
        and word not in LEFT_OUT
    )


def table(folder: Path) -> dict[str, list[str]]:
    """word → synonyms, the most used first."""
    uses, every = counted(folder), synsets(folder)
    places = Counter(
        key for synset in every for key in synset
    )  # more than one: satellites of several adjectives share a key
    of_word: dict[str, int] = defaultdict(int)
    for key, count in uses.items():
        of_word[key[0]] += count
    rows = {}
    for synset in every:
        common = sorted(
            {key for key in synset if plain(key[0]) and uses[key] and places[key] == 1},
            key=lambda key: (-uses[key], key),
        )
        for key in common:
            if uses[key] >= max(USES, SHARE * of_word[key[0]]) and len(common) > 1:
                rows[key[0]] = [other[0] for other in common if other != key]
    return dict(sorted(rows.items()))


if __name__ == "__main__":
    lines = [f"{word}\t{' '.join(others)}\n" for word, others in table(Path(sys.argv[1])).items()]
    Path(sys.argv[2]).write_text(
        f"{NOTICE}\n# Made by tools/synonyms.py: word, then its synonyms.\n{''.join(lines)}",
        encoding="utf-8",
    )
