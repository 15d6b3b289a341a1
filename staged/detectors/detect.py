"""`staged detect`: a text in hand → normalised, scored, and set against the human texts of its
length.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from staged.corpus.passages import sentence_spans
from staged.detectors.calibration.calibration import Calibration, check_fpr, humans_needed
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.catalog import calibration_file, full_name, open_detector
from staged.detectors.contract import (
    MACHINE_WRITTEN,
    NOT_ENOUGH,
    Counting,
    Detector,
    Explaining,
    Reading,
    Scored,
    Segment,
    TokenEvidence,
    Verdict,
)
from staged.detectors.coverage.reasons import is_unspaced
from staged.detectors.coverage.recited import REASON, is_recited
from staged.detectors.coverage.repetition import distinct_text
from staged.detectors.identity import known_by, scored_by
from staged.detectors.kinds.readers.detector import ReadersDetector
from staged.detectors.kinds.readers.sentences import Share, WordWeight
from staged.detectors.kinds.zero_shot import MOST_TOKENS, SCORER, ZeroShotDetector
from staged.detectors.normal.normalize import Normalized, normalize
from staged.detectors.token_ranks import token_evidence
from staged.errors import CheckpointError, PlanError
from staged.model.causal import CausalLM, load_causal
from staged.model.devices import chosen_device
from staged.pages.figures import counted
from staged.progress import Progress, silent
from staged.records import count_words
from staged.settings import nearest
from staged.storage.digests import digest
from staged.storage.gate import rows_have_keys
from staged.storage.pieces import BYTES, cached, continued
from staged.storage.writing import write_atomic

LATER = ("normalized", "kind", "opinions", "segments")  # what not every file of verdicts has
PLAIN = {one.name for one in fields(Verdict)} - set(LATER)
VERDICTS = rows_have_keys(*PLAIN, also=LATER)  # the form of a file of verdicts
AT_ONCE = 64  # texts scored together
KEPT = 16  # verdicts of a file that is being written, of which a kill takes at most so many
SEGMENT_WORDS = 75  # of a segment at least, where the text has them: what is shorter says nothing


class Examiner:
    """A detector with its calibration, ready to be shown texts.

    Args:
        detector_name: as `open_detector` takes it.
        fpr: the share of human texts that may be called machine-written, in (0, 1).
        calibration: the file to judge by; without it, the detector's own if it has one, else every
            p-value is None.
        kind: of text that all are, which its human texts then are too; without it, each text's own
            by its words.
        device: as `open_detector` takes it.

    Raises:
        CheckpointError: no such detector; a calibration of another detector.
        PlanError: fpr out of range; a kind that the calibration does not have.
    """

    def __init__(
        self,
        detector_name: str = "evidence",
        *,
        fpr: float = 0.01,
        calibration: str | Path | None = None,
        kind: str = "",
        device: str = "auto",
    ) -> None:
        check_fpr(fpr)
        self.name, self.fpr, self.device = detector_name, fpr, chosen_device(device)
        self.detector = open_detector(detector_name, device=self.device)
        file = Path(calibration) if calibration else calibration_file(detector_name)
        self.calibration: Calibration | None = load_calibration(file) if file else None
        if self.calibration and file and not self._is_calibrated_by(self.calibration, file):
            raise CheckpointError(
                f"{file}: calibrates the detector {self.calibration.detector!r}, not"
                f" {detector_name!r} as it is now; run `staged calibrate`"
            )
        self.kind = kind
        self.check_kind(kind)
        self._reader: CausalLM | None = None
        self._unread = ""  # why there is nothing to read with

    def check_kind(self, kind: str) -> None:
        """Refuse a kind of text that the calibration has no human texts of; empty stands for each
        text's own.

        Raises:
            PlanError: it has none.
        """
        known = self.calibration.by_kind if self.calibration else {}
        if kind and kind not in known:
            raise PlanError(
                f"kind {kind!r}: the calibration has none of it;"
                f" {nearest(kind, known) if known else 'it knows no kinds'}"
            )

    def _is_calibrated_by(self, calibration: Calibration, file: Path) -> bool:
        """Whether these are scores of this detector: its files say so where the calibration knows
        them, else its name.
        """
        if calibration.known_by or isinstance(
            self.detector, Explaining
        ):  # whose name another detector had before it
            return calibration.known_by == known_by(self.name)
        names, own = {full_name(self.name)}, calibration_file(self.name)
        if not Path(self.name).exists() or (
            own and own.samefile(file)
        ):  # another folder's detector may call itself the same
            names.add(self.detector.name)
        return full_name(calibration.detector) in names

    def identity(self) -> dict[str, Any]:
        """What its scores and p-values depend on, JSON values: work that another has begun is not
        continued.
        """
        fingerprint = self.calibration.fingerprint if self.calibration else None
        return scored_by(self.name, self.device) | {"calibration": fingerprint, "kind": self.kind}

    def examine(self, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
        """Judge (id, text) pairs, in order."""
        return self._verdicts([(name, normalize(text)) for name, text in texts])

    def _verdicts(self, texts: Sequence[tuple[str, Normalized]]) -> list[Verdict]:
        read = [self._read(one.text) for _, one in texts]
        scored = iter(self._scored([text for text, why in read if not why]))
        return [
            (
                self._unjudged(name, one, text, why)
                if why
                else self._verdict(name, next(scored), one, text)
            )
            for (name, one), (text, why) in zip(texts, read, strict=True)
        ]

    def _read(self, text: str) -> tuple[str, str]:
        """What of a normalised text is judged, and why nothing can be said of it; a sentence, or
        nothing where something can.
        """
        if not text.strip():
            return text, "The text is empty."
        if self.calibration is None or self._is_short(text):
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
            found = self.detector.scored(texts)
        else:
            found = [
                Scored(score, (), ()) for score in (self.detector.score(texts) if texts else [])
            ]
        if len(found) != len(texts):
            gave = f"gave {counted(len(found), 'score')} for {counted(len(texts), 'text')}"
            raise CheckpointError(f"detector {self.name}: {gave}; the detector is broken")
        return found

    def _unjudged(self, name: str, one: Normalized, read: str, why: str) -> Verdict:
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
            one.changes,
            one.text,
        )

    def _verdict(self, name: str, scored: Scored, one: Normalized, read: str) -> Verdict:
        words = count_words(read)
        verdict, p, n, reason, kind = self._judge(scored, words)
        if (
            verdict == MACHINE_WRITTEN
            and (reader := reader_of(self.detector))
            and is_recited(reader, read)
        ):
            return self._unjudged(name, one, read, REASON)
        if len(read) < len(one.text):
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
            one.changes,
            one.text,
        )
        return Verdict(name, *facts, kind=kind, opinions=scored.opinions)

    def _judge(self, scored: Scored, words: int) -> tuple[str, float | None, int, str, str]:
        if self.calibration is None:
            said = (
                f"The detector {self.name} has not been calibrated on human text here: `staged"
                " calibrate` does that."
            )
            return NOT_ENOUGH, None, 0, said, ""
        kinds = (self.kind,) if self.kind else scored.kinds
        return self.calibration.verdict(scored.score, words, self.fpr, kinds=kinds)

    def why_nothing(self, verdict: Verdict) -> str:
        """Why this verdict could not have been another, in words that fit all such texts; nothing
        where it could.
        """
        if verdict.p_value is not None and verdict.n_human >= humans_needed(verdict.fpr):
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
            Segment(a, b, one.score, one.p_value, one.verdict)
            for (a, b), one in zip(parts, verdicts, strict=True)
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

    def tokens(self, text: str) -> list[TokenEvidence]:
        """A normalised text token by token, under the detector's own model or, where it has none,
        `SCORER`; none after `reads_without` has said why.

        Raises:
            CheckpointError: that model is not installed.
        """
        if self._unread:
            return []
        return token_evidence(self._open_reader(), text, most_tokens=MOST_TOKENS)

    def reads_without(self) -> str:
        """Load what `tokens` reads with, and say nothing; or say why texts are not shown token by
        token from now on.
        """
        try:
            self._open_reader()
        except CheckpointError as error:
            self._unread = f"texts are not shown word by word: {error}"
        return self._unread

    def _open_reader(self) -> CausalLM:
        if self._reader is None:
            reader = reader_of(self.detector)
            self._reader = reader.scorer if reader else load_causal(SCORER, device=self.device)
        return self._reader

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
        if reader := reader_of(self.detector):
            tokenizer = reader.scorer.tokenizer
            before = len(tokenizer.before)  # which are not the text's, and yet read
            total = len(tokenizer.encode(text)) - before
            return total, min(total, reader.most_tokens - before)
        return count_words(text), count_words(text)

    @property
    def gives_odds(self) -> bool:
        """Whether its scores are log-odds; a zero-shot score has a scale of its own."""
        return not isinstance(self.detector, ZeroShotDetector)

    def machine_probability(self, verdict: Verdict) -> float:
        """The score as a probability under even odds, in [0, 1]; 0.5 without a score. Only of a
        detector that `gives_odds`.
        """
        return (
            0.5
            if verdict.score is None
            else 1 / (1 + math.exp(-max(min(verdict.score, 500.0), -500.0)))
        )


def reader_of(detector: Detector) -> Reading | None:
    """What of a detector reads with a language model: itself, one of its readers, or nothing."""
    one = detector.numbers if isinstance(detector, ReadersDetector) else detector
    return one if isinstance(one, Reading) else None


def segment_spans(text: str) -> list[tuple[int, int]]:
    """Characters start … end − 1 of parts of whole sentences; a short rest joins the part before
    it.
    """
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


def judged(
    examiner: Examiner,
    texts: Iterable[tuple[str, str]],
    *,
    segments: bool = False,
    at_once: int = AT_ONCE,
) -> Iterator[Verdict]:
    """Verdicts in the order of the (id, text) pairs, which are read as they are needed.

    Args:
        segments: judge the parts of each text as well.
        at_once: texts scored together.
    """
    waiting = iter(texts)
    while some := list(islice(waiting, at_once)):
        for verdict in examiner.examine(some):
            yield (
                replace(verdict, segments=examiner.segments(verdict.normalized))
                if segments
                else verdict
            )


def write_judged(
    out: Path,
    examiner: Examiner,
    texts: Sequence[tuple[str, str]],
    *,
    segments: bool = False,
    progress: Progress = silent,
) -> None:
    """Verdicts into a .jsonl file that appears when whole; what a killed run has judged is kept in
    `OUT.blocks` and used.

    Raises:
        ArtifactError: the place cannot be written.
    """
    wanted = examiner.identity() | {"fpr": examiner.fpr, "segments": segments}
    with continued(out, wanted, pieces="*.jsonl", form=VERDICTS) as blocks:
        progress(0, len(texts))
        parts = [texts[start : start + KEPT] for start in range(0, len(texts), KEPT)]
        pieces = (
            (
                f"{number * KEPT:09d}-{digest(chain(*part))}.jsonl",
                partial(_lines, examiner, part, segments=segments),
            )
            for number, part in enumerate(parts)
        )
        lines, done = b"", 0
        for part, some in zip(parts, cached(blocks, pieces, BYTES), strict=True):
            lines, done = lines + some, done + len(part)
            progress(done, len(texts))
        write_atomic(out, lines, form=VERDICTS)


def _lines(examiner: Examiner, texts: Sequence[tuple[str, str]], *, segments: bool) -> bytes:
    rows = (verdict.row() for verdict in judged(examiner, texts, segments=segments))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
