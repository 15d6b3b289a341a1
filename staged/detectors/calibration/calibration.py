"""Score → decision: thresholds and conformal p-values, always from other texts than those a rate is
reported on.

Measures  how unusual a score is among human texts of the same length: the p-value of "drawn like
          the calibration's human texts".
Fails     on human text unlike the calibration's (another domain, another time, learners' English,
          edited or attacked text): the rate holds for texts drawn as those were, not for all that
          people write. `error_rates.py` measures by how much.
Cost      O(log n) a text.
Source    Vovk, Gammerman, Shafer 2005, Algorithmic Learning in a Random World, chapters 2 and 4.

By kind of text too, where a calibration has human texts of a kind: `human_scores.py` says how.

Length bins double: a mean over tokens spreads like 1 / √length, so within a bin the spread differs
by at most √2. The last one is open, as an encoder reads about 400 words (510 tokens) and no
further. Below 50 words no detector tells much, and nothing is said.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from staged.detectors.calibration import reasons
from staged.detectors.calibration.human_scores import HumanScores
from staged.detectors.contract import HUMAN_LIKE, MACHINE_WRITTEN, NOT_ENOUGH
from staged.detectors.coverage.reasons import Coverage
from staged.errors import CheckpointError, PlanError
from staged.stats.thresholds import threshold_at_fpr
from staged.storage.forms import holds
from staged.storage.json_files import write_json
from staged.storage.writing import disk_errors

PLAIN_DOMAIN = "text"  # of files that lie in no folder of their own
EDGES_WORDS = (50, 100, 200, 400)
MACHINE_P = 0.05  # at most this share of machine texts scores as low as what is called human-like
HUMAN_P = 0.5  # without machine texts: a score that half of the human ones reach
LEAST_FPR = 1e-6  # takes a million human texts of each length
KIND = "calibration"
FORM = holds("kind", "detector", "edges_words", "human", "fingerprint")  # of a calibration's file


def check_fpr(fpr: float) -> None:
    """Refuse a false-positive rate that is none, or that no calibration could hold.

    Raises:
        PlanError: not in [`LEAST_FPR`, 1).
    """
    if not LEAST_FPR <= fpr < 1:
        raise PlanError(
            f"the false-positive rate must lie between 0 and 1 and be at least {LEAST_FPR:g}, such"
            f" as 0.01 for 1%, not {fpr:g}"
        )


@dataclass(frozen=True)
class Calibration:
    """Scores of texts whose author is known, by length: what a new text's score is compared with.
    A bin is named by its shortest length: bin i holds texts of edges_words[i] … edges_words[i + 1]
    − 1 words, the last one all longer texts. Below the first edge nothing is said.

    Attributes:
        detector: whose scores these are; scores of another detector mean something else.
        edges_words: ascending, words of the normalised text.
        human, machine: scores of each bin, ascending; machine's may be empty.
        domains: what kinds of human text went in, as the user calls them.
        by_kind: for each kind of text its human scores by bin, as `human` has them; may be empty.
        known_by: what the detector whose scores these are is beside its name (`identity.known_by`);
            none where that says it all.
        covers: the scripts and languages of its human texts; None of a file from before this was
            recorded: English.
    """

    detector: str
    edges_words: tuple[int, ...]
    human: tuple[tuple[float, ...], ...]
    machine: tuple[tuple[float, ...], ...]
    domains: tuple[str, ...] = ()
    known_by: tuple[str, ...] = ()
    covers: Coverage | None = None
    by_kind: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)

    @property
    def coverage(self) -> Coverage:
        """Which texts may be set against its human texts."""
        return self.covers or Coverage()

    def bin_of(self, words: int) -> int | None:
        """Which bin a text of so many words belongs to; None below the shortest."""
        return bisect_right(self.edges_words, words) - 1 if words >= self.edges_words[0] else None

    def bin_name(self, index: int) -> str:
        """A bin's lengths for a person: `50–99 words`."""
        low, *above = self.edges_words[index : index + 2]
        return f"{low}–{above[0] - 1} words" if above else f"{low}+ words"

    def p_value(
        self, score: float | None, words: int, *, kinds: Sequence[str] = ()
    ) -> tuple[float | None, int]:
        """Conformal p-value: (1 + #{human ≥ score}) / (n + 1) among the n human texts of like
        length and kind.

        For a human text drawn as the calibration texts were, P(p ≤ a) ≤ a for every a; ties count
        against the text.

        Args:
            score: finite, of this calibration's detector; None where the text could not be scored.
            words: of the normalised text.
            kinds: those that the text may be of; the highest p-value counts. Without any, or where
                one is unknown, all human texts of the length.

        Returns:
            p in (0, 1] and n; p is None without a score, below the shortest length, and in an empty
            bin.

        Source: Vovk et al. 2005, chapter 2; by length and kind: Mondrian conformal prediction,
        section 4.5 there.
        """
        p, n, _ = self._compared(score, words, kinds)
        return p, n

    def _compared(
        self, score: float | None, words: int, kinds: Sequence[str]
    ) -> tuple[float | None, int, str]:
        """`p_value`, and the kind that it was set against; empty for all of them."""
        index = self.bin_of(words)
        if index is None:
            return None, 0, ""
        if score is None or not self.human[index]:
            return None, len(self.human[index]), ""
        return self._human_scores.p_value(score, index, kinds)

    @cached_property
    def _human_scores(self) -> HumanScores:
        return HumanScores(self.human, self.by_kind)

    def scores(self, words: int, *, kind: str = "") -> tuple[list[float], list[float]]:
        """Scores that a text of this length, of one kind or of any, is set against, and those of
        machine texts, ascending; empty below the shortest.
        """
        index = self.bin_of(words)
        if index is None:
            return [], []
        return list(self._human_scores.of(index, kind)), list(self.machine[index])

    def machine_p_value(self, score: float, words: int) -> float | None:
        """(1 + #{machine ≤ score}) / (n + 1) in the text's bin: how usual so low a score is for
        machine text; None without any.
        """
        index = self.bin_of(words)
        machine = self.machine[index] if index is not None else ()
        return (1 + bisect_right(machine, score)) / (len(machine) + 1) if machine else None

    def verdict(
        self, score: float | None, words: int, fpr: float, *, kinds: Sequence[str] = ()
    ) -> tuple[str, float | None, int, str, str]:
        """What may be said of a text: (one of contract.VERDICTS, p, n, one sentence for a person,
        the kind it was compared with).

        `machine` when p ≤ fpr. `human-like` when at most 5% of machine texts score so low or,
        without machine texts, when at least half of the human ones score as high. A bin of too few
        human texts for fpr says nothing. A higher score never moves the verdict away from
        `machine`.

        Args:
            score, words, kinds: as `p_value`.
            fpr: the share of human texts that may be called machine-written, in (0, 1).
        """
        p, n, kind = self._compared(score, words, kinds)
        if p is None or score is None or n < humans_needed(fpr):
            return NOT_ENOUGH, p, n, self._why_nothing(score, words, n, fpr), kind
        low = self.machine_p_value(score, words)
        human_like = p >= HUMAN_P if low is None else low <= MACHINE_P
        verdict = MACHINE_WRITTEN if p <= fpr else HUMAN_LIKE if human_like else NOT_ENOUGH
        return verdict, p, n, reasons.of_verdict(verdict, p, low, fpr, kind), kind

    def can_call(self, p_value: float | None, n_human: int, fpr: float) -> bool:
        """Whether a text could be called machine-written: enough human texts were compared with."""
        return p_value is not None and n_human >= humans_needed(fpr)

    def threshold(self, index: int, fpr: float) -> float:
        """The score above which, and not at which, bin `index` says `machine` of a text of any
        kind; infinity where it has too few human texts.
        """
        return threshold_at_fpr(self.human[index], fpr)

    def save(self, path: Path) -> None:
        """Write one JSON file, whole or not at all.

        Raises:
            ArtifactError: the place cannot be written.
        """
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            facts = {"kind": KIND} | self._facts() | {"fingerprint": self.fingerprint}
            write_json(path, facts, form=FORM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything it holds: two calibrations are the same when these are."""
        facts = json.dumps(self._facts(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(facts.encode()).hexdigest()

    def _facts(self) -> dict[str, Any]:
        """What its file holds; of what files from before did not know, only what there is."""
        unsaid = {name for name in ("known_by", "covers", "by_kind") if not getattr(self, name)}
        return {name: value for name, value in asdict(self).items() if name not in unsaid}

    def _why_nothing(self, score: float | None, words: int, n: int, fpr: float) -> str:
        index = self.bin_of(words)
        if index is None:
            return reasons.too_short(words, self.edges_words[0])
        if score is None:
            return reasons.NOT_SCORED
        return reasons.too_few_humans(n, humans_needed(fpr), self.bin_name(index), fpr)


def humans_needed(fpr: float) -> int:
    """The fewest human texts that let a p-value reach `fpr`: n + 1 ≥ 1 / fpr."""
    return math.ceil(1 / fpr - 1e-9) - 1


Scored = Sequence[tuple[float, int]]  # score and words of each text


def fit_calibration(
    detector_name: str,
    human: Scored,
    machine: Scored = (),
    *,
    domains: Sequence[str] = (),
    edges_words: Sequence[int] = EDGES_WORDS,
    known_by: Sequence[str] = (),
    covers: Coverage | None = None,
    kinds: Sequence[str] = (),
) -> Calibration:
    """A calibration from scored texts.

    Args:
        human, machine: (finite score, words of the normalised text) of each; none of them may have
            trained the detector. Texts below the shortest length are left out.
        domains: what kinds of human text these are.
        edges_words, known_by, covers: as `Calibration` has them.
        kinds: of each human text, what it is set against beside its length; empty without any.

    Raises:
        CheckpointError: no human text long enough, a score that is not finite, or edges that do not
            ascend.
    """
    edges = tuple(edges_words)
    _check_texts(detector_name, human, machine, edges)
    of_kind = {
        kind: [text for text, text_kind in zip(human, kinds, strict=True) if text_kind == kind]
        for kind in sorted(set(kinds) - {""})
    }
    return Calibration(
        detector_name,
        edges,
        human=_binned(human, edges),
        machine=_binned(machine, edges),
        domains=tuple(sorted(set(domains))),
        known_by=tuple(known_by),
        covers=covers,
        by_kind={kind: _binned(texts, edges) for kind, texts in of_kind.items()},
    )


def _check_texts(
    detector_name: str, human: Scored, machine: Scored, edges: tuple[int, ...]
) -> None:
    if not edges or edges[0] < 1 or any(a >= b for a, b in pairwise(edges)):
        raise CheckpointError(
            f"calibration of {detector_name!r}: lengths must ascend from at least 1 word, not"
            f" {list(edges)}"
        )
    if not all(math.isfinite(score) for score, _ in (*human, *machine)):
        raise CheckpointError(
            f"calibration of {detector_name!r}: a score is not finite; the detector is broken"
        )
    if all(words < edges[0] for _, words in human):
        raise CheckpointError(
            f"calibration of {detector_name!r}: none of {len(human):,} human texts has {edges[0]}"
            " words; give longer ones"
        )


def _binned(scored: Scored, edges: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    bins: list[list[float]] = [[] for _ in edges]
    for score, words in scored:
        if words >= edges[0]:
            bins[bisect_right(edges, words) - 1].append(float(score))
    return tuple(tuple(sorted(scores)) for scores in bins)
