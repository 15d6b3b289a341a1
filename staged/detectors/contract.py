"""What every detector is: texts in, one finite score a text out, higher is more machine-like; and
what is said of a text.

`tests/test_detector_contract.py` runs over every detector: finite, deterministic, independent of
order and batch, empty, one-token and over-long text, no change to global gradient or random state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:  # what is only said of it needs no model
    from staged.model.causal import CausalLM

MACHINE_WRITTEN, HUMAN_LIKE, NOT_ENOUGH = "machine", "human-like", "not enough evidence"
VERDICTS = (MACHINE_WRITTEN, HUMAN_LIKE, NOT_ENOUGH)
GLTR_BUCKETS = (10, 100, 1000)  # the ranks up to which GLTR colours a token alike


class Detector(Protocol):
    """A detector ready to score."""

    name: str

    def score(self, texts: Sequence[str]) -> list[float]:
        """One finite number a text; of a trained detector 0 is even odds, of a zero-shot score
        nothing by itself.

        Whoever has a text of unknown origin normalises it first (`normalize.py`); no detector does.
        A score does not depend on the texts beside it beyond 1e-4 in float32; zero-shot scores,
        which read in bfloat16 where the device has it, move by some hundredths of their spread
        there, which is why `calibrate` reads as `detect` does.
        """
        ...


class Trained(Detector, Protocol):
    """A detector that we trained, and that can be kept."""

    def save(self, folder: Path) -> None:
        """Write what `detectors.catalog.load_detector` reads."""
        ...


@runtime_checkable
class ReadsWithModel(Protocol):
    """A detector, or one of its readers, that reads the first `most_tokens` of a text's tokens with
    the language model `scorer`.
    """

    @property
    def scorer(self) -> CausalLM: ...

    @property
    def most_tokens(self) -> int: ...


@runtime_checkable
class Counting(Detector, Protocol):
    """A detector that reads the beginning of a text without a language model, and says how much
    that is.
    """

    def token_counts(self, text: str) -> tuple[int, int]:
        """(all tokens of the text, those that are read)."""
        ...


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one reader of several says of a text.

    Attributes:
        reader: what it reads, in a person's words.
        log_odds: of machine against human; None where it was not asked.
        says: its log-odds in words, or why it was not asked.
    """

    reader: str
    log_odds: float | None
    says: str


@dataclass(frozen=True, slots=True)
class Scored:
    """A score, the kinds that the text may be of, likeliest first, and what each reader says."""

    score: float
    kinds: tuple[str, ...]
    opinions: tuple[Opinion, ...]


@runtime_checkable
class Explaining(Detector, Protocol):
    """A detector of several readers, which tells what each of them says."""

    def scored(self, texts: Sequence[str]) -> list[Scored]:
        """One a text, in order; the scores are those of `score`."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of thing that can hide machine text and was undone: `count` places, and what a
    reader would call it.
    """

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says of one text.

    Attributes:
        score: higher is more machine-like; None where the text cannot be scored (it is empty).
        p_value: conformal: the share of human calibration texts of like length, this one counted,
            that score as high or higher; None where calibration has none.
        verdict: `machine` when p_value ≤ fpr; `human-like` when few machine texts score so low, or,
            without any to compare with, half of the human ones score as high; `not enough evidence`
            otherwise.
        reason: one sentence for a person: what the p-value means here, or why there is not enough
            evidence.
        fpr: the false-positive rate asked for, in (0, 1).
        words: words of the text after normalisation.
        n_human: human calibration texts of like length that the p-value rests on.
        changes: what in its characters can hide machine text; normalisation undid it.
        normalized: the text that is judged.
        kind: of text that the human texts it was compared with are; empty where they are of all
            kinds.
        opinions: what each of the detector's readers says, where it has several.
        segments: its parts, where they were asked for.
    """

    id: str
    score: float | None
    p_value: float | None
    verdict: str
    detector: str
    reason: str
    fpr: float
    words: int
    n_human: int
    changes: tuple[Change, ...]
    normalized: str = field(repr=False)
    kind: str = ""
    opinions: tuple[Opinion, ...] = ()
    segments: Sequence[Segment] | None = None

    def row(self) -> dict[str, Any]:
        """A JSON object; of the text itself only with the segments, which count its characters."""
        # a third of the time of judging a short text, were all copied deeply
        row = {name: getattr(self, name) for name in _FIELDS}
        for name in ("changes", "opinions"):
            row[name] = tuple(asdict(part) for part in row[name])
        if self.segments is None:
            del row["normalized"], row["segments"]
        else:
            row["segments"] = [asdict(segment) for segment in self.segments]
        return row


_FIELDS = tuple(field.name for field in fields(Verdict))


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a text, scored by itself: characters start … end − 1 of the normalised text."""

    start: int
    end: int
    score: float | None
    p_value: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class TokenRank:
    """One token of a text under a language model: characters start … end − 1 of the normalised
    text.

    Attributes:
        rank: 1 is the model's first choice; None for a first token that nothing stands before.
        probability: in [0, 1], of this token in its place.
        alternatives: the model's likeliest tokens there, with their probabilities.
    """

    start: int
    end: int
    rank: int | None
    probability: float | None
    alternatives: tuple[tuple[str, float], ...]
