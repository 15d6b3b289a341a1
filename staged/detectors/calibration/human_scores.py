"""Human scores by length and kind of text: those that a new text's score is set against.

What is usual in a learner's essay is rare in a news report, so one threshold for all kinds accuses
plain writers and misses machines. A text whose kind is open is set against each of the kinds that
it may be of, and the highest p-value counts. A kind with too few texts of a length borrows the
others', moved by how much higher it scores: their spread is alike, where they lie is not. A text of
no known kind is set against all of its length.

Source  Vovk, Gammerman, Shafer 2005, Algorithmic Learning in a Random World, section 4.5.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# human texts of one length and kind, which certify 0.1%; a kind with fewer borrows the others'
FEWEST_OF_KIND = 999
LEVEL, DRAWN = 0.9, 10  # quantile that tells how high a kind scores; texts that its mean counts as


@dataclass(frozen=True)
class HumanScores:
    """What human texts score, by length: of all kinds together, and of each that is known.

    Attributes:
        every: scores of each length, ascending.
        by_kind: for each kind of text its scores by length, as `every` has them.
    """

    every: tuple[tuple[float, ...], ...]
    by_kind: Mapping[str, tuple[tuple[float, ...], ...]]

    def p_value(self, score: float, index: int, kinds: Sequence[str]) -> tuple[float, int, str]:
        """(conformal p-value, human texts that it rests on, kind that they are of) of a score among
        texts of length `index`: the highest of the kinds that the text may be of; the kind is empty
        for texts of all.
        """
        return max(
            (_share_above(human, score), len(human), kind)
            for kind, human in self._cells(index, kinds)
        )

    def of(self, index: int, kind: str) -> Sequence[float]:
        """Scores of length `index`, ascending, as texts of this kind have them: the kind's own or,
        where these are too few, those of all kinds, moved by how much higher this kind scores than
        all. Without a kind, those of all kinds as they are.
        """
        if not kind:
            return self.every[index]
        scores = self.by_kind[kind][index]
        if len(scores) >= FEWEST_OF_KIND:
            return scores
        shift = self._shifts[kind][index]
        return [level + shift for level in self._levels[index]]

    def _cells(self, index: int, kinds: Sequence[str]) -> list[tuple[str, Sequence[float]]]:
        """The scores that a text of these kinds is set against, each with its kind; all of the
        length where a kind is unknown.
        """
        known = [kind for kind in kinds if kind in self.by_kind]
        if not known or len(known) < len(kinds):
            known.append("")
        return [(kind, self.of(index, kind)) for kind in known]

    @cached_property
    def _shifts(self) -> dict[str, tuple[float, ...]]:
        """For each kind and length how much its scores lie above all, at the quantile `LEVEL`; what
        rests on few texts is drawn towards the kind's mean of all lengths, and that towards 0.
        """
        shifts = {}
        for kind, bins in self.by_kind.items():
            numbers = [len(scores) for scores in bins]
            gaps = [
                _level(scores) - _level(every) if scores else 0.0
                for scores, every in zip(bins, self.every, strict=True)
            ]
            weighed = [n * gap for n, gap in zip(numbers, gaps, strict=True)]
            mean = sum(weighed) / (sum(numbers) + DRAWN)
            shifts[kind] = tuple(
                (part + DRAWN * mean) / (n + DRAWN)
                for n, part in zip(numbers, weighed, strict=True)
            )
        return shifts

    @cached_property
    def _levels(self) -> list[list[float]]:
        """Of each length all scores, those of a kind less its shift, ascending."""
        levels = []
        for index, every in enumerate(self.every):
            rest = Counter(every)
            moved = []
            for kind, bins in self.by_kind.items():
                rest.subtract(bins[index])
                moved += [score - self._shifts[kind][index] for score in bins[index]]
            levels.append(sorted([*moved, *(+rest).elements()]))
        return levels


def _level(scores: Sequence[float]) -> float:
    """Where a kind's scores lie, told by their upper end, which is what decides about a verdict."""
    return float(np.quantile(scores, LEVEL))


def _share_above(human: Sequence[float], score: float) -> float:
    """The conformal p-value among human scores in ascending order."""
    return (1 + len(human) - bisect_left(human, score)) / (len(human) + 1)
