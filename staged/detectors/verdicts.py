"""Verdicts of many texts, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from staged.detectors.contract import Verdict
from staged.detectors.examiner import Examiner

AT_ONCE = 64  # texts scored together


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
    while batch := list(islice(waiting, at_once)):
        for verdict in examiner.examine(batch):
            yield (
                replace(verdict, segments=examiner.segments(verdict.normalized))
                if segments
                else verdict
            )
