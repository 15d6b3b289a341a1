"""A family of tests → each one's p after Holm's correction, and its verdict.

A family is what is read together: the rows of one table, the comparisons of one finding, all that
is said of one pair of models. A result that is not significant is `no difference found` only where
a difference that matters would have been found; everywhere else it is `not enough evidence`.

    tests of the family ─► Holm ─► significant at alpha?
                                     yes ─► the word for the effect's sign
                                     no  ─► `no difference found`, or `not enough evidence`

Source: Holm 1979, A simple sequentially rejective multiple test procedure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

ALPHA, POWER = 0.05, 0.8
DIFFERS, NONE, UNKNOWN = "differs", "no difference found", "not enough evidence"


@dataclass(frozen=True)
class Hypothesis:
    """One hypothesis of a family, tested.

    Attributes:
        p: two-sided, in [0, 1], before any correction.
        effect: the estimate, in any unit; its sign says which way a significant result goes.
        powered: whether the smallest effect that matters would have been found, with probability
            POWER at the family's corrected level.
    """

    p: float
    effect: float = 0.0
    powered: bool = False


@dataclass(frozen=True)
class Judgement:
    """What came of one test: its p after the correction, in [0, 1], and its verdict."""

    p_holm: float
    verdict: str


@overload
def judged(
    family: Sequence[Hypothesis], *, alpha: float = ..., words: tuple[str, str] = ...
) -> Sequence[Judgement]: ...


@overload
def judged(
    family: Sequence[Hypothesis | None], *, alpha: float = ..., words: tuple[str, str] = ...
) -> Sequence[Judgement | None]: ...


def judged(
    family: Sequence[Hypothesis | None],
    *,
    alpha: float = ALPHA,
    words: tuple[str, str] = (DIFFERS, DIFFERS),
) -> Sequence[Judgement | None]:
    """Each test's judgement, in the family's order; None stands for a row that was not tested, and
    counts for nothing in the correction.

    Args:
        alpha: a corrected p below it is significant.
        words: the verdicts of a significant effect above 0, and of any other significant one.
    """
    tests = [test for test in family if test is not None]
    adjusted = iter(holm([test.p for test in tests]))
    return [
        None if test is None else _judgement(test, next(adjusted), alpha, words) for test in family
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, for a family of tests read together."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def _judgement(test: Hypothesis, p_holm: float, alpha: float, words: tuple[str, str]) -> Judgement:
    if p_holm < alpha:
        return Judgement(p_holm, words[0] if test.effect > 0 else words[1])
    return Judgement(p_holm, NONE if test.powered else UNKNOWN)
