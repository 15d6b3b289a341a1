"""`staged detect`: a text in hand → normalised, scored, and set against the human texts of its length."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from staged.artifacts import continued, write_atomic
from staged.corpus.passages import sentence_spans
from staged.detectors.calibrate import Calibration, check_fpr, humans_needed, load_calibration
from staged.detectors.catalog import calibration_file, full_name, known_by, open_detector, scored_by
from staged.detectors.contract import MACHINE_WRITTEN, NOT_ENOUGH, Counting, Reading, Segment, TokenEvidence, Verdict
from staged.detectors.coverage import is_unspaced
from staged.detectors.normalize import Normalized, normalize
from staged.detectors.recited import REASON, is_recited
from staged.detectors.repetition import distinct_text
from staged.detectors.token_evidence import token_evidence
from staged.detectors.zero_shot import MOST_TOKENS, SCORER, ZeroShotDetector
from staged.digests import digest
from staged.errors import CheckpointError
from staged.figures import counted
from staged.gate import rows_have_keys
from staged.model.causal import CausalLM, load_causal
from staged.progress import Progress, silent
from staged.records import count_words
from staged.samples.decoders import chosen_device

PLAIN = {one.name for one in fields(Verdict)} - {"normalized", "segments"}
VERDICTS = rows_have_keys(*PLAIN, also=("normalized", "segments"))  # the form of a file of verdicts
AT_ONCE = 64  # texts scored together
KEPT = 16  # verdicts of a file that is being written, of which a kill takes at most so many
SEGMENT_WORDS = 75  # of a segment at least, where the text has them: what is shorter says nothing


class Examiner:
    """A detector with its calibration, ready to be shown texts.

    Args:
        detector_name: as `open_detector` takes it.
        fpr: the share of human texts that may be called machine-written, in (0, 1).
        calibration: the file to judge by; without it, the detector's own if it has one, else every p-value is None.
        device: as `open_detector` takes it.

    Raises:
        CheckpointError: no such detector; a calibration of another detector.
        PlanError: fpr out of range.
    """

    def __init__(
        self, detector_name: str = "evidence", *, fpr: float = 0.01, calibration: str | Path | None = None, device: str = "auto"
    ) -> None:
        check_fpr(fpr)
        self.name, self.fpr, self.device = detector_name, fpr, chosen_device(device)
        self.detector = open_detector(detector_name, device=self.device)
        file = Path(calibration) if calibration else calibration_file(detector_name)
        self.calibration: Calibration | None = load_calibration(file) if file else None
        if self.calibration and file and not self._is_calibrated_by(self.calibration, file):
            raise CheckpointError(
                f"{file}: calibrates the detector {self.calibration.detector!r}, not {detector_name!r} as it is now; "
                "run `staged calibrate`"
            )
        self._reader: CausalLM | None = None
        self._unread = ""  # why there is nothing to read with

    def _is_calibrated_by(self, calibration: Calibration, file: Path) -> bool:
        """Whether these are scores of this detector: its files say so where the calibration knows them, else its name."""
        if calibration.known_by:
            return calibration.known_by == known_by(self.name)
        names, own = {full_name(self.name)}, calibration_file(self.name)
        if not Path(self.name).exists() or (own and own.samefile(file)):  # another folder's detector may call itself the same
            names.add(self.detector.name)
        return full_name(calibration.detector) in names

    def identity(self) -> dict[str, Any]:
        """What its scores and p-values depend on, JSON values: work that another has begun is not continued."""
        return scored_by(self.name, self.device) | {"calibration": self.calibration.fingerprint if self.calibration else None}

    def examine(self, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
        """Judge (id, text) pairs, in order."""
        return self._verdicts([(name, normalize(text)) for name, text in texts])

    def _verdicts(self, texts: Sequence[tuple[str, Normalized]]) -> list[Verdict]:
        read = [self._read(one.text) for _, one in texts]
        scores = iter(self._scores([text for text, why in read if not why]))
        return [
            self._verdict(name, None if why else next(scores), one, text, why)
            for (name, one), (text, why) in zip(texts, read, strict=True)
        ]

    def _read(self, text: str) -> tuple[str, str]:
        """What of a normalised text is judged, and why nothing can be said of it; a sentence, or nothing where something can."""
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
        return once, f"The text repeats itself: it has {words} without that; below {least} words there is too little to judge by."

    def _is_short(self, text: str) -> bool:
        assert self.calibration is not None
        return self.calibration.bin_of(count_words(text)) is None and not is_unspaced(text)

    def _scores(self, texts: list[str]) -> list[float]:
        scores = self.detector.score(texts) if texts else []
        if len(scores) != len(texts):
            gave = f"gave {counted(len(scores), 'score')} for {counted(len(texts), 'text')}"
            raise CheckpointError(f"detector {self.name}: {gave}; the detector is broken")
        return scores

    def _verdict(self, name: str, score: float | None, one: Normalized, read: str, why: str) -> Verdict:
        words = count_words(read)
        verdict, p, n, reason = (NOT_ENOUGH, None, 0, why) if why else self._judge(score, words)
        if verdict == MACHINE_WRITTEN and isinstance(self.detector, Reading) and is_recited(self.detector, read):
            score, verdict, p, n, reason = None, NOT_ENOUGH, None, 0, REASON
        elif len(read) < len(one.text) and not why:
            reason += " What comes again in the text was read once."
        return Verdict(name, score, p, verdict, self.name, reason, self.fpr, words, n, one.changes, one.text)

    def _judge(self, score: float | None, words: int) -> tuple[str, float | None, int, str]:
        if self.calibration is None:
            said = f"The detector {self.name} has not been calibrated on human text here: `staged calibrate` does that."
            return NOT_ENOUGH, None, 0, said
        return self.calibration.verdict(score, words, self.fpr)

    def why_nothing(self, verdict: Verdict) -> str:
        """Why this verdict could not have been another, in words that fit all such texts; nothing where it could."""
        if verdict.p_value is not None and verdict.n_human >= humans_needed(verdict.fpr):
            return ""
        short = self.calibration is not None and self.calibration.bin_of(verdict.words) is None
        if self.calibration is None or not short or verdict.score is None or is_unspaced(verdict.normalized):
            return verdict.reason
        return f"below {self.calibration.edges_words[0]} words there is too little to judge by."

    def segments(self, text: str) -> list[Segment]:
        """Whole sentences of a normalised text in parts of at least `SEGMENT_WORDS` words, each judged by itself.

        Of k parts of a human text about k times fpr are called machine-written by chance. Of a text of which nothing can be said
        nothing is said of its parts: the comments of a program are no essay.
        """
        parts = segment_spans(text)
        if self._read(text)[1]:
            return [Segment(a, b, None, None, NOT_ENOUGH) for a, b in parts]
        verdicts = self._verdicts([("", Normalized(text[a:b], ())) for a, b in parts])
        return [Segment(a, b, one.score, one.p_value, one.verdict) for (a, b), one in zip(parts, verdicts, strict=True)]

    def tokens(self, text: str) -> list[TokenEvidence]:
        """A normalised text token by token, under the detector's own model or, where it has none, `SCORER`; none after
        `reads_without` has said why.

        Raises:
            CheckpointError: that model is not installed.
        """
        if self._unread:
            return []
        return token_evidence(self._open_reader(), text, most_tokens=MOST_TOKENS)

    def reads_without(self) -> str:
        """Load what `tokens` reads with, and say nothing; or say why texts are not shown token by token from now on."""
        try:
            self._open_reader()
        except CheckpointError as error:
            self._unread = f"texts are not shown word by word: {error}"
        return self._unread

    def _open_reader(self) -> CausalLM:
        if self._reader is None:
            self._reader = self.detector.scorer if isinstance(self.detector, Reading) else load_causal(SCORER, device=self.device)
        return self._reader

    def distributions(self, words: int) -> tuple[list[float], list[float]]:
        """Scores of human and of machine calibration texts of this length; empty where there are none."""
        return self.calibration.scores(words) if self.calibration else ([], [])

    def token_counts(self, text: str) -> tuple[int, int]:
        """(all tokens of a normalised text, those that count), by the tokenizer of the model that reads; words where none does."""
        if isinstance(self.detector, Reading):
            tokenizer = self.detector.scorer.tokenizer
            before = len(tokenizer.before)  # which are not the text's, and yet read
            total = len(tokenizer.encode(text)) - before
            return total, min(total, self.detector.most_tokens - before)
        if isinstance(self.detector, Counting):
            return self.detector.token_counts(text)
        return count_words(text), count_words(text)

    @property
    def gives_odds(self) -> bool:
        """Whether its scores are log-odds; a zero-shot score has a scale of its own."""
        return not isinstance(self.detector, ZeroShotDetector)

    def machine_probability(self, verdict: Verdict) -> float:
        """The score as a probability under even odds, in [0, 1]; 0.5 without a score. Only of a detector that `gives_odds`."""
        return 0.5 if verdict.score is None else 1 / (1 + math.exp(-max(min(verdict.score, 500.0), -500.0)))


def segment_spans(text: str) -> list[tuple[int, int]]:
    """Characters start … end − 1 of parts of whole sentences; a short rest joins the part before it."""
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
    examiner: Examiner, texts: Iterable[tuple[str, str]], *, segments: bool = False, at_once: int = AT_ONCE
) -> Iterator[Verdict]:
    """Verdicts in the order of the (id, text) pairs, which are read as they are needed.

    Args:
        segments: judge the parts of each text as well.
        at_once: texts scored together.
    """
    waiting = iter(texts)
    while some := list(islice(waiting, at_once)):
        for verdict in examiner.examine(some):
            yield replace(verdict, segments=examiner.segments(verdict.normalized)) if segments else verdict


def write_judged(
    out: Path,
    examiner: Examiner,
    texts: Sequence[tuple[str, str]],
    *,
    segments: bool = False,
    progress: Progress = silent,
) -> None:
    """Verdicts into a .jsonl file that appears when whole; what a killed run has judged is kept in `OUT.blocks` and used.

    Raises:
        ArtifactError: the place cannot be written.
    """
    wanted = examiner.identity() | {"fpr": examiner.fpr, "segments": segments}
    with continued(out, wanted, pieces="*.jsonl", form=VERDICTS) as blocks:
        files = []
        progress(0, len(texts))
        for start in range(0, len(texts), KEPT):
            some = texts[start : start + KEPT]
            file = blocks / f"{start:09d}-{digest(chain(*some))}.jsonl"
            if not file.is_file():
                rows = (one.row() for one in judged(examiner, some, segments=segments))
                write_atomic(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
            files.append(file)
            progress(start + len(some), len(texts))
        write_atomic(out, b"".join(file.read_bytes() for file in files), form=VERDICTS)
