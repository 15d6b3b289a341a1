"""Scores of many texts, a file a batch, so that a killed run finds what it had scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from staged.detectors.contract import Detector
from staged.errors import CheckpointError
from staged.progress import Progress, silent
from staged.storage.digests import digest
from staged.storage.json_files import read_json, write_json

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
    found: dict[str, float] = {}
    total = len({text for texts in batches for text in texts})
    for texts in batches:
        if new := [text for text in dict.fromkeys(texts) if text not in found]:
            file = folder / f"{digest(new)}.scores.json"
            if not file.is_file():
                scores = detector.score(new)
                if not all(map(math.isfinite, scores)):
                    raise CheckpointError(
                        f"detector {detector.name}: gave a score that is not finite; the detector"
                        " is broken"
                    )
                write_json(file, scores)
            found |= dict(zip(new, read_json(file), strict=True))
            progress(len(found), total)
    return found
