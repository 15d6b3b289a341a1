"""What is asked of a detector: all that a page shows of a text, or the verdicts of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from staged.detectors.calibration.calibration import humans_needed
from staged.detectors.contract import Segment, TokenRank, Verdict
from staged.errors import PlanError
from staged.web.limits import RefusedError
from staged.web.worker import Check

if TYPE_CHECKING:  # which imports a model's library
    from staged.detectors.kinds.readers.sentences import Share, WordWeight

STEP_TEXTS = 8  # examined at once; between steps a request that nobody waits for is dropped


class Examining(Protocol):
    """A detector with its calibration, as `staged.detectors.examiner.Examiner` is; called from one
    thread only.
    """

    @property
    def name(self) -> str: ...

    @property
    def fpr(self) -> float: ...

    @property
    def kind(self) -> str: ...

    def examine(self, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
        """(id, text) → one verdict a text, in order."""
        ...

    def segments(self, text: str) -> list[Segment]:
        """Parts of a normalised text, each with its own verdict."""
        ...

    def tokens(self, text: str) -> list[TokenRank]:
        """Tokens of a normalised text, in order."""
        ...

    def share(self, text: str) -> Share | None:
        """How much of a normalised text looks machine-written; None where it is not told."""
        ...

    def word_weights(self, text: str) -> list[WordWeight]:
        """What each word of a normalised text adds to its score, in order; none where the detector
        does not tell.
        """
        ...

    def distributions(self, words: int, *, kind: str = "") -> tuple[list[float], list[float]]:
        """Scores of human calibration texts about this long and of this kind, and of machine ones;
        either may be empty.
        """
        ...

    def at(self, *, fpr: float, kind: str) -> Examining:
        """The same at another false-positive rate, for another kind of text; models are shared.

        Raises:
            PlanError: its calibration knows no such kind of text; empty stands for all.
        """
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
        human, machine: calibration scores at this length, the human ones of the verdict's kind.
        counts: (all tokens, tokens that the verdict rests on).
        share: how much of it looks machine-written; None where nothing can be said, or the detector
            does not tell.
        word_weights: what each of its words adds to the score; none where nothing can be said, or
            the detector does not tell.
    """

    verdict: Verdict
    segments: Sequence[Segment]
    tokens: Sequence[TokenRank]
    human: Sequence[float]
    machine: Sequence[float]
    counts: tuple[int, int]
    share: Share | None = None
    word_weights: Sequence[WordWeight] = ()


def examine_text(examiner: Examining, text: str, still_wanted: Check) -> Examination:
    """Examine one text for the page."""
    (verdict,) = examiner.examine([("text", text)])
    still_wanted()
    human, machine = examiner.distributions(verdict.words, kind=verdict.kind)
    segments = examiner.segments(verdict.normalized)
    still_wanted()
    tokens, counts = examiner.tokens(verdict.normalized), examiner.token_counts(verdict.normalized)
    still_wanted()
    share, weights = _where(examiner, verdict)
    return Examination(verdict, segments, tokens, human, machine, counts, share, weights)


def is_judged(verdict: Verdict) -> bool:
    """Whether something could be said of the text: what a single reader or word says of any other
    one is no evidence.
    """
    return verdict.p_value is not None and verdict.n_human >= humans_needed(verdict.fpr)


def _where(examiner: Examining, verdict: Verdict) -> tuple[Share | None, list[WordWeight]]:
    """How much of a text looks machine-written, and which words weigh; nothing of a text of which
    nothing can be said.
    """
    if not is_judged(verdict):
        return None, []
    return examiner.share(verdict.normalized), examiner.word_weights(verdict.normalized)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a batch's results hold beside the verdict."""

    segments: bool = False
    tokens: bool = False
    words: bool = False


def examine_batch(
    examiner: Examining, texts: Sequence[tuple[str, str]], wanted: Wanted, still_wanted: Check
) -> list[dict[str, Any]]:
    """One JSON object a text, in order: the verdict's fields, and what else was wanted."""
    results = []
    for start in range(0, len(texts), STEP_TEXTS):
        step = texts[start : start + STEP_TEXTS]
        for verdict in examiner.examine(step):
            still_wanted()
            results.append(verdict.row() | dict(_evidence(examiner, verdict, wanted)))
        still_wanted()
    return results


def _evidence(examiner: Examining, verdict: Verdict, wanted: Wanted) -> Iterator[tuple[str, Any]]:
    text = verdict.normalized
    if wanted != Wanted():
        yield "normalized", text
    if wanted.segments:
        yield "segments", [asdict(segment) for segment in examiner.segments(text)]
    if wanted.tokens:
        yield "tokens", [asdict(token) for token in examiner.tokens(text)]
    if wanted.words:
        share, weights = _where(examiner, verdict)
        yield "share", share and asdict(share)
        yield "word_weights", [asdict(weight) for weight in weights]


def asked(examiner: Examining, *, fpr: float | None = None, kind: str | None = None) -> Examining:
    """The examiner at another false-positive rate, for another kind of text; models and calibration
    are shared.

    Raises:
        RefusedError: 422, a kind that its calibration does not know.
    """
    fpr, kind = examiner.fpr if fpr is None else fpr, examiner.kind if kind is None else kind
    if (fpr, kind) == (examiner.fpr, examiner.kind):
        return examiner
    try:
        return examiner.at(fpr=fpr, kind=kind)
    except PlanError as error:
        raise RefusedError(422, str(error)) from None
