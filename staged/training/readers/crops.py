"""What a trained reader is shown: batches of crops, both classes alike in number and length, every
source and generator in turn.

A reader learns whatever tells the classes apart; so length, place in the text, white space
(`kinds/readers/plain.py`) and carelessness must not. Crops of one batch have the same length in
words; half begin where the text does, half at a random word; some of either class are careless.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from staged.attacks.kinds import attack
from staged.errors import CorpusError
from staged.records import HUMAN, LABELS, MACHINE
from staged.training.readers.labelled import Example

CARELESS = ("misspelling", "article_deletion", "alternative_spelling")
Weigh = Callable[[Example], str]


@dataclass(frozen=True, slots=True)
class Crop:
    """A piece of an example as it is read this time."""

    text: str
    example: Example


class Crops:
    """An endless, repeatable stream of crops.

    Args:
        examples: of both classes.
        shares: group → how often it is drawn relative to its class's others; what is not named has
            share 1.
        group: the group of an example; groups are drawn first, then a text within.
        words: shortest and longest crop; lengths are drawn evenly on a logarithmic scale.
        careless: the share of crops that are misspelt, lose their articles, or are spelt the other
            way.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        shares: Mapping[str, float],
        group: Weigh,
        *,
        words: tuple[int, int] = (50, 400),
        careless: float = 0.2,
        seed: int = 1,
    ) -> None:
        self.words, self.careless, self.seed = words, careless, seed
        grouped: dict[int, dict[str, list[Example]]] = {
            label: defaultdict(list) for label in LABELS
        }
        for example in examples:
            grouped[example.label][group(example)].append(example)
        if not all(grouped.values()):
            raise CorpusError("training takes texts of both kinds, human and machine-written")
        self._piles = {}
        for label, groups in grouped.items():
            names = sorted(groups)
            share = np.asarray([shares.get(name, 1.0) for name in names])
            piles = [
                sorted(groups[name], key=lambda example: (example.words, example.id))
                for name in names
            ]
            self._piles[label] = (
                share / share.sum(),
                piles,
                [[example.words for example in pile] for pile in piles],
            )

    def batch(self, number: int, words: int | None = None, *, tokens: int = 4096) -> list[Crop]:
        """Batch `number`: half people's, half machines', of one length; about `tokens` words and
        marks in all.
        """
        stream = np.random.default_rng([self.seed, number])
        low, high = np.log(self.words)
        words = words or int(np.exp(stream.uniform(low, high)))
        per_class = int(np.clip(tokens / (1.35 * words) / 2, 4, 16))
        return [
            self._draw(label, words, stream) for label in (HUMAN, MACHINE) for _ in range(per_class)
        ]

    def _draw(self, label: int, words: int, stream: np.random.Generator) -> Crop:
        share, piles, lengths = self._piles[label]
        chosen = int(stream.choice(len(piles), p=share))
        pile, long_enough = piles[chosen], bisect_left(lengths[chosen], words)
        example = pile[int(stream.integers(min(long_enough, len(pile) * 4 // 5), len(pile)))]
        text = cropped(example.text, words, stream)
        return Crop(careless(text, stream) if stream.random() < self.careless else text, example)


def cropped(text: str, words: int, stream: np.random.Generator) -> str:
    """So many words in a row of a plain text, all where it has no more; of its beginning in one
    half of the cases.
    """
    every = text.split(" ")
    if len(every) <= words:
        return text
    start = 0 if stream.random() < 0.5 else int(stream.integers(len(every) - words + 1))
    return " ".join(every[start : start + words])


def careless(text: str, stream: np.random.Generator) -> str:
    """The text of a careless writer: misspelt, without articles, or spelt the other way."""
    kind = CARELESS[int(stream.integers(len(CARELESS)))]
    return attack(kind, text, seed=int(stream.integers(2**31)), id="")
