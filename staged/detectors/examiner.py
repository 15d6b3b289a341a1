"""A text in hand: normalised, scored, and set against the human texts of its length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from staged.corpus.passages import sentence_spans
from staged.detectors.calibration.calibration import Calibration, check_fpr
from staged.detectors.calibration.exact import ExactTest
from staged.detectors.contract import (
    MACHINE_WRITTEN,
    NOT_ENOUGH,
    Counting,
    Detector,
    Explaining,
    Scored,
    Segment,
    TokenRank,
    Verdict,
)
from staged.detectors.coverage.reasons import is_unspaced
from staged.detectors.coverage.recited import REASON, is_recited
from staged.detectors.coverage.repetition import distinct_text
from staged.detectors.kinds.marks import MarkDetector
from staged.detectors.kinds.readers.detector import ReadersDetector
from staged.detectors.kinds.readers.sentences import Share, WordWeight
from staged.detectors.kinds.zero_shot import ZeroShotDetector
from staged.detectors.normal.normalize import Normalized, normalize
from staged.detectors.scorer import Scorer, reading_of
from staged.errors import CheckpointError, PlanError
from staged.pages.figures import counted
from staged.records import count_words
from staged.settings import nearest

SEGMENT_WORDS = 75  # of a segment at least, where the text has them: what is shorter says nothing


@dataclass(frozen=True)
class Examiner:
    """A detector with its calibration, ready to be shown texts; `open_examiner` makes one by name.

    Attributes:
        calibration: of this detector's scores, or what judges scores that need none; without it
            every p-value is None.
        name: what verdicts call the detector.
        fpr: the share of human texts that may be called machine-written, in (0, 1).
        kind: of text that all are, which its human texts then are too; empty where each text's own
            counts, by its words.
        identity: what scores and p-values depend on, JSON values: work that another has begun is
            not continued.
        scorer: the language model that shows texts token by token.

    Raises:
        PlanError: fpr out of range; a kind that the calibration does not have.
    """

    detector: Detector
    calibration: Calibration | ExactTest | None = None
    name: str = ""
    fpr: float = 0.01
    kind: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    scorer: Scorer | None = None

    def __post_init__(self) -> None:
        check_fpr(self.fpr)
        known = self.calibration.by_kind if self.calibration else {}
        if self.kind and self.kind not in known:
            raise PlanError(
                f"kind {self.kind!r}: the calibration has none of it;"
                f" {nearest(self.kind, known) if known else 'it knows no kinds'}"
            )

    def at(self, *, fpr: float, kind: str) -> Examiner:
        """The same at another false-positive rate, for another kind of text; models are shared.

        Raises:
            PlanError: as the examiner.
        """
        return replace(self, fpr=fpr, kind=kind, identity=dict(self.identity) | {"kind": kind})

    def examine(self, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
        """Judge (id, text) pairs, in order."""
        return self._verdicts([(name, normalize(text)) for name, text in texts])

    def _verdicts(self, texts: Sequence[tuple[str, Normalized]]) -> list[Verdict]:
        read = [self._read(normalized.text) for _, normalized in texts]
        scored = iter(self._scored([text for text, why in read if not why]))
        return [
            (
                self._unjudged(name, normalized, text, why)
                if why
                else self._verdict(name, next(scored), normalized, text)
            )
            for (name, normalized), (text, why) in zip(texts, read, strict=True)
        ]

    def _read(self, text: str) -> tuple[str, str]:
        """What of a normalised text is judged, and why nothing can be said of it; a sentence, or
        nothing where something can.
        """
        if not text.strip():
            return text, "The text is empty."
        if not isinstance(self.calibration, Calibration) or self._is_short(text):
            return text, ""
        if why := self.calibration.coverage.why_not(text):
            return text, why
        once = distinct_text(text)
        if not self._is_short(once):
            return once, ""
        words, least = counted(count_words(once), "word"), self.calibration.edges_words[0]
        return (
            once,
            (
                f"The text repeats itself: it has {words} without that; below {least} words there"
                " is too little to judge by."
            ),
        )

    def _is_short(self, text: str) -> bool:
        assert self.calibration is not None
        return self.calibration.bin_of(count_words(text)) is None and not is_unspaced(text)

    def _scored(self, texts: list[str]) -> list[Scored]:
        """A score for each text, by a detector of several readers with what each says; in batches
        that memory can hold.
        """
        if isinstance(self.detector, Explaining):
            scored = self.detector.scored(texts)
        else:
            scored = [
                Scored(score, (), ()) for score in (self.detector.score(texts) if texts else [])
            ]
        if len(scored) != len(texts):
            gave = f"gave {counted(len(scored), 'score')} for {counted(len(texts), 'text')}"
            raise CheckpointError(f"detector {self.name}: {gave}; the detector is broken")
        return scored

    def _unjudged(self, name: str, normalized: Normalized, read: str, why: str) -> Verdict:
        return Verdict(
            name,
            None,
            None,
            NOT_ENOUGH,
            self.name,
            why,
            self.fpr,
            count_words(read),
            0,
            normalized.changes,
            normalized.text,
        )

    def _verdict(self, name: str, scored: Scored, normalized: Normalized, read: str) -> Verdict:
        words = count_words(read)
        verdict, p, n, reason, kind = self._judge(scored, words)
        if (
            verdict == MACHINE_WRITTEN
            and (reading := reading_of(self.detector))
            and is_recited(reading, read)
        ):
            return self._unjudged(name, normalized, read, REASON)
        if len(read) < len(normalized.text):
            reason += " What comes again in the text was read once."
        facts = (
            scored.score,
            p,
            verdict,
            self.name,
            reason,
            self.fpr,
            words,
            n,
            normalized.changes,
            normalized.text,
        )
        return Verdict(name, *facts, kind=kind, opinions=scored.opinions)

    def _judge(self, scored: Scored, words: int) -> tuple[str, float | None, int, str, str]:
        if self.calibration is None:
            reason = (
                f"The detector {self.name} has not been calibrated on human text here: `staged"
                " calibrate` does that."
            )
            return NOT_ENOUGH, None, 0, reason, ""
        kinds = (self.kind,) if self.kind else scored.kinds
        return self.calibration.verdict(scored.score, words, self.fpr, kinds=kinds)

    def reason_for_no_verdict(self, verdict: Verdict) -> str:
        """Why this verdict could not have been another, in words that fit all such texts; nothing
        where it could.
        """
        if self.calibration and self.calibration.can_call(
            verdict.p_value, verdict.n_human, verdict.fpr
        ):
            return ""
        short = self.calibration is not None and self.calibration.bin_of(verdict.words) is None
        if (
            self.calibration is None
            or not short
            or verdict.score is None
            or is_unspaced(verdict.normalized)
        ):
            return verdict.reason
        return f"below {self.calibration.edges_words[0]} words there is too little to judge by."

    def segments(self, text: str) -> list[Segment]:
        """Whole sentences of a normalised text in parts of at least `SEGMENT_WORDS` words, each
        judged by itself.

        Of k parts of a human text about k times fpr are called machine-written by chance. Of a text
        of which nothing can be said nothing is said of its parts: the comments of a program are no
        essay.
        """
        parts = segment_spans(text)
        if self._read(text)[1]:
            return [Segment(a, b, None, None, NOT_ENOUGH) for a, b in parts]
        verdicts = self._verdicts([("", Normalized(text[a:b], ())) for a, b in parts])
        return [
            Segment(a, b, verdict.score, verdict.p_value, verdict.verdict)
            for (a, b), verdict in zip(parts, verdicts, strict=True)
        ]

    def share(self, text: str) -> Share | None:
        """How much of a normalised text looks machine-written; None where its detector does not
        tell, or the text has too few sentences or is none that anything can be said of.
        """
        if not isinstance(self.detector, ReadersDetector) or self._read(text)[1]:
            return None
        return self.detector.share(text)

    def word_weights(self, text: str) -> list[WordWeight]:
        """What each word of a normalised text adds to its log-odds by words and phrases alone; none
        where its detector does not tell.
        """
        return (
            self.detector.word_weights(text) if isinstance(self.detector, ReadersDetector) else []
        )

    def tokens(self, text: str) -> list[TokenRank]:
        """A normalised text token by token, under the scorer; none without one."""
        return self.scorer.tokens(text) if self.scorer else []

    def load_scorer(self) -> str:
        """As `Scorer.load`."""
        return self.scorer.load() if self.scorer else ""

    def distributions(self, words: int, *, kind: str = "") -> tuple[list[float], list[float]]:
        """Scores of human calibration texts of this length and kind, and of machine ones; empty
        where there are none.
        """
        return self.calibration.scores(words, kind=kind) if self.calibration else ([], [])

    def token_counts(self, text: str) -> tuple[int, int]:
        """(all tokens of a normalised text, those that count), by the tokenizer of the model that
        reads; words where none does.
        """
        if isinstance(self.detector, Counting):
            return self.detector.token_counts(text)
        if reading := reading_of(self.detector):
            tokenizer = reading.scorer.tokenizer
            before = len(tokenizer.before)  # which are not the text's, and yet read
            total = len(tokenizer.encode(text)) - before
            return total, min(total, reading.most_tokens - before)
        return count_words(text), count_words(text)

    @property
    def gives_odds(self) -> bool:
        """Whether its scores are log-odds; those of zero-shot scores and of marks are others."""
        return not isinstance(self.detector, ZeroShotDetector | MarkDetector)

    def machine_probability(self, verdict: Verdict) -> float:
        """The score as a probability under even odds, in [0, 1]; 0.5 without a score. Only of a
        detector that `gives_odds`.
        """
        return (
            0.5
            if verdict.score is None
            else 1 / (1 + math.exp(-max(min(verdict.score, 500.0), -500.0)))
        )


def segment_spans(text: str) -> list[tuple[int, int]]:
    """Characters start … end − 1 of parts of whole sentences; a short rest joins the last part."""
    parts: list[tuple[int, int]] = []
    start, words = None, 0
    for a, b in sentence_spans(text):
        start = a if start is None else start
        words += count_words(text[a:b])
        if words >= SEGMENT_WORDS:
            parts.append((start, b))
            start, words = None, 0
    if start is not None:
        end = len(text.rstrip())
        parts = [*parts[:-1], (parts[-1][0], end)] if parts else [(start, end)]
    return parts
