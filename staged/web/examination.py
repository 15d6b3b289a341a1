"""What is asked of a detector: everything that a page shows of one text, or the verdicts of a batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from staged.detectors.contract import Segment, TokenEvidence, Verdict
from staged.web.worker import Check

STEP_TEXTS = 8  # examined at once; between steps a request that nobody waits for is dropped


class Examiner(Protocol):
    """A detector with its calibration, as `staged.detectors.detect.Examiner` is; called from one thread only."""

    name: str
    fpr: float

    def examine(self, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
        """(id, text) → one verdict a text, in order."""
        ...

    def segments(self, text: str) -> list[Segment]:
        """Parts of a normalised text, each with its own verdict."""
        ...

    def tokens(self, text: str) -> list[TokenEvidence]:
        """Tokens of a normalised text, in order."""
        ...

    def distributions(self, words: int) -> tuple[list[float], list[float]]:
        """Scores of human and of machine calibration texts about this long; either may be empty."""
        ...

    def token_counts(self, text: str) -> tuple[int, int]:
        """(all tokens of a normalised text, those that the verdict rests on)."""
        ...

    @property
    def gives_odds(self) -> bool:
        """Whether scores are log-odds, so that they have a probability."""
        ...

    def machine_probability(self, verdict: Verdict) -> float:
        """In [0, 1], of a detector that `gives_odds`."""
        ...


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that the page shows of one text.

    Attributes:
        segments, tokens: of the verdict's normalised text.
        human, machine: calibration scores at this length.
        counts: (all tokens, tokens that the verdict rests on).
    """

    verdict: Verdict
    segments: Sequence[Segment]
    tokens: Sequence[TokenEvidence]
    human: Sequence[float]
    machine: Sequence[float]
    counts: tuple[int, int]


def examine_text(examiner: Examiner, text: str, still_wanted: Check) -> Examination:
    """Examine one text for the page."""
    (verdict,) = examiner.examine([("text", text)])
    still_wanted()
    human, machine = examiner.distributions(verdict.words)
    segments = examiner.segments(verdict.normalized)
    still_wanted()
    tokens, counts = examiner.tokens(verdict.normalized), examiner.token_counts(verdict.normalized)
    return Examination(verdict, segments, tokens, human, machine, counts)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a batch's results hold beside the verdict."""

    segments: bool = False
    tokens: bool = False


def examine_batch(
    examiner: Examiner, texts: Sequence[tuple[str, str]], wanted: Wanted, still_wanted: Check
) -> list[dict[str, Any]]:
    """One JSON object a text, in order: the verdict's fields, and what else was wanted."""
    results = []
    for start in range(0, len(texts), STEP_TEXTS):
        step = texts[start : start + STEP_TEXTS]
        for verdict in examiner.examine(step):
            still_wanted()
            results.append(verdict.row() | dict(_evidence(examiner, verdict.normalized, wanted)))
        still_wanted()
    return results


def _evidence(examiner: Examiner, text: str, wanted: Wanted) -> Iterator[tuple[str, Any]]:
    if wanted.segments or wanted.tokens:
        yield "normalized", text
    if wanted.segments:
        yield "segments", [asdict(segment) for segment in examiner.segments(text)]
    if wanted.tokens:
        yield "tokens", [asdict(token) for token in examiner.tokens(text)]


def at_rate(examiner: Examiner, fpr: float | None) -> Examiner:
    """The examiner at another false-positive rate; models and calibration are shared."""
    if fpr is None or fpr == examiner.fpr:
        return examiner
    other = copy.copy(examiner)
    other.fpr = fpr
    return other
