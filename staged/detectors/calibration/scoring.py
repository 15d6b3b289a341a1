"""Scores of many texts, a file a batch, so that a killed run finds what it had scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from staged.detectors.contract import Detector
from staged.engines.blocks import Job
from staged.errors import CheckpointError
from staged.progress import Progress
from staged.storage.digests import digest
from staged.storage.pieces import JSON

AT_ONCE = 64  # texts whose scores are one file


def in_batches(texts: Sequence[str]) -> list[list[str]]:
    """Each distinct text once, in order, `AT_ONCE` to a batch."""
    distinct = list(dict.fromkeys(texts))
    return [distinct[start : start + AT_ONCE] for start in range(0, len(distinct), AT_ONCE)]


@dataclass(frozen=True)
class Scoring(Job[list[float]]):
    """Scores of many texts, a batch a block.

    Attributes:
        batches: texts that are scored together, each in one batch alone; `in_batches` makes them.
        load: opens the detector. One that is open already goes by `by`.
    """

    batches: Sequence[Sequence[str]]
    load: Callable[[], Detector]

    encoding = JSON

    @cached_property
    def names(self) -> Sequence[str]:
        return tuple(f"{digest(texts)}.scores.json" for texts in self.batches)

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], list[float]]]:
        yield self.by(self.load())

    def by(self, detector: Detector) -> Callable[[int], list[float]]:
        """What scores a batch, with a detector that is open.

        Raises:
            CheckpointError: (by what is returned) a score is not finite.
        """
        return lambda number: finite_scores(detector, self.batches[number])

    def scores(self, values: Iterator[list[float]]) -> dict[str, float]:
        """The score of each text, from the batches' in order."""
        batches = zip(self.batches, values, strict=True)
        return {
            text: score
            for texts, of_each in batches
            for text, score in zip(texts, of_each, strict=True)
        }

    def in_texts(self, progress: Progress) -> Progress:
        """A progress in batches as one in texts."""
        ends = list(accumulate(map(len, self.batches), initial=0))
        return lambda done, _: progress(ends[done], ends[-1])


def finite_scores(detector: Detector, texts: Sequence[str]) -> list[float]:
    """A score a text.

    Raises:
        CheckpointError: one is not finite.
    """
    scores = detector.score(texts)
    if not all(map(math.isfinite, scores)):
        raise CheckpointError(
            f"detector {detector.name}: gave a score that is not finite; the detector is broken"
        )
    return scores
