"""What a calibration achieves: the rate that its thresholds promise, and the one that held-out
human texts show.

Two uncertainties meet in a measured rate. The held-out texts are few: that is the interval beside
each rate here. And the calibration texts were few: a threshold fitted on n of them has a true rate
that is itself a draw, `promised` says from where.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from staged.detectors.calibration.calibration import Calibration
from staged.detectors.calibration.exact import ExactTest
from staged.detectors.contract import MACHINE_WRITTEN
from staged.stats.comparing import CONFIDENCE, exact

ALL = "all"


def expected_fpr(n: int, fpr: float) -> tuple[float, float, float] | None:
    """The true false-positive rate of a threshold fitted on n human texts: (mean, low, high), 95%;
    None where n is too few for fpr.

    With k = ⌊fpr (n + 1)⌋ the threshold is the k-th highest score, and the rate above it is Beta(k,
    n + 1 − k) for scores of any continuous distribution; ties only lower it.

    Source: Vovk 2012, "Conditional validity of inductive conformal predictors", section 3.
    """
    k = math.floor(fpr * (n + 1) + 1e-9)
    if k < 1 or k > n:
        return None
    low, high = (
        float(stats.beta.ppf(share, k, n + 1 - k))
        for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    )
    return k / (n + 1), low, high


@dataclass(frozen=True, slots=True)
class Achieved:
    """False positives among one group of held-out human texts.

    Attributes:
        domain, length: the group; `all` where it spans them.
        n: texts that could have been called machine-written.
        abstained: texts that could not, being too short or of a length with too few calibration
            texts; not in n.
        rate, low, high: false_positives / n with its exact (Clopper–Pearson) 95% interval; None
            where n is 0.
        within: whether the nominal rate lies in that interval; None where n is 0.
        off_by: 0 where it does; else from the nominal rate to the interval's nearer end, positive
            where too many were flagged.
    """

    domain: str
    length: str
    false_positives: int
    n: int
    abstained: int
    rate: float | None
    low: float | None
    high: float | None
    within: bool | None
    off_by: float | None


def achieved_rates(
    calibration: Calibration, held_out: Sequence[tuple[float, int, str]], fpr: float
) -> list[Achieved]:
    """What share of held-out human texts is called machine-written at a nominal rate: in all, by
    length, by domain, by both.

    Args:
        held_out: (score, words, domain) of human texts that calibration never saw, nor anything cut
            from the same source.
        fpr: the nominal rate, in (0, 1).

    Returns:
        The groups that hold a text: all; lengths; domains; domains by length. With one domain only
        the former two.
    """
    flags = [is_called_machine(calibration, score, words, fpr) for score, words, _ in held_out]
    groups = grouped(calibration, [(words, domain) for _, words, domain in held_out])
    return [
        _achieved(domain, length, [flags[i] for i in places], fpr)
        for (domain, length), places in groups.items()
    ]


def grouped(
    calibration: Calibration | ExactTest, texts: Sequence[tuple[int, str]]
) -> dict[tuple[str, str], list[int]]:
    """(domain, length) → which of the texts: all; lengths; domains; domains by length. With one
    domain only the former two.

    Args:
        texts: (words, domain) of each.
    """
    groups: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    several = len({domain for _, domain in texts}) > 1
    for i, (words, domain) in enumerate(texts):
        length = calibration.bin_of(words)
        bin_number = -1 if length is None else length
        for key in [(0, "", -2), (1, "", bin_number)] + [
            (2, domain, -2),
            (3, domain, bin_number),
        ] * several:
            groups[key].append(i)
    return {
        (key[1] or ALL, _length_name(calibration, key[2])): groups[key] for key in sorted(groups)
    }


def is_called_machine(
    calibration: Calibration | ExactTest,
    score: float,
    words: int,
    fpr: float,
    *,
    kinds: Sequence[str] = (),
) -> bool | None:
    """Whether a text, which may be of these kinds, is called machine-written; None where it could
    not be, whatever its score.
    """
    verdict, p, n, *_ = calibration.verdict(score, words, fpr, kinds=kinds)
    return verdict == MACHINE_WRITTEN if calibration.can_call(p, n, fpr) else None


def _length_name(calibration: Calibration | ExactTest, index: int) -> str:
    if index == -2:
        return ALL
    return (
        calibration.bin_name(index) if index >= 0 else f"under {calibration.edges_words[0]} words"
    )


def _achieved(domain: str, length: str, flags: Sequence[bool | None], fpr: float) -> Achieved:
    decided = [flag for flag in flags if flag is not None]
    hits, n = sum(decided), len(decided)
    if not n:
        return Achieved(domain, length, 0, 0, len(flags), None, None, None, None, None)
    low, high = exact(hits, n)
    off_by = min(high - fpr, 0.0) + max(low - fpr, 0.0)
    return Achieved(
        domain, length, hits, n, len(flags) - n, hits / n, low, high, off_by == 0, off_by
    )
