"""What a corpus's `counts.json` holds, which studies and models record as well."""

from __future__ import annotations

from dataclasses import dataclass

COUNTS = "counts.json"


@dataclass(frozen=True)
class Removed:
    """Passages left out as repeats, word for word or nearly, and how many of these repeated one of
    another split.
    """

    verbatim: int
    near: int
    verbatim_across_splits: int
    near_across_splits: int


@dataclass(frozen=True)
class CorpusCounts:
    """Split → passages, and split → the sources they are of; what was removed."""

    passages: dict[str, int]
    sources: dict[str, int]
    removed: Removed
