"""Scores of many texts, a file a batch, so that a killed run finds what it had scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from staged.detectors.contract import Detector
from staged.errors import CheckpointError
from staged.progress import Progress, silent
from staged.storage.digests import digest
from staged.storage.pieces import JSON, cached

AT_ONCE = 64  # texts whose scores are one file


def in_batches(texts: Sequence[str]) -> list[list[str]]:
    """Each distinct text once, in order, `AT_ONCE` to a batch."""
    distinct = list(dict.fromkeys(texts))
    return [distinct[start : start + AT_ONCE] for start in range(0, len(distinct), AT_ONCE)]


def scored(
    folder: Path,
    detector: Detector,
    batches: Sequence[Sequence[str]],
    progress: Progress = silent,
) -> dict[str, float]:
    """The score of each text; of each batch a file in the folder, which a killed run finds again.

    Args:
        folder: of this detector's scores alone, as `storage.pieces.continued` gives one.
        batches: texts that are scored together; what came up before is not scored again.
        progress: called with (texts scored, all).

    Raises:
        CheckpointError: a score is not finite.
    """
    total = len({text for texts in batches for text in texts})
    fresh = list(_fresh(batches))
    pieces = (
        (f"{digest(texts)}.scores.json", partial(_scores, detector, texts)) for texts in fresh
    )
    scores: dict[str, float] = {}
    for texts, of_each in zip(fresh, cached(folder, pieces, JSON), strict=True):
        scores |= dict(zip(texts, of_each, strict=True))
        progress(len(scores), total)
    return scores


def _fresh(batches: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Of each batch the texts that no earlier one has."""
    seen: set[str] = set()
    for texts in batches:
        if new := [text for text in dict.fromkeys(texts) if text not in seen]:
            seen.update(new)
            yield new


def _scores(detector: Detector, texts: Sequence[str]) -> list[float]:
    scores = detector.score(texts)
    if not all(map(math.isfinite, scores)):
        raise CheckpointError(
            f"detector {detector.name}: gave a score that is not finite; the detector is broken"
        )
    return scores
