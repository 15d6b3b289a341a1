"""What every detector is: texts in, one finite score a text out, higher is more machine-like.

`tests/test_detector_contract.py` runs over every detector: finite, deterministic, independent of order and batch, empty,
one-token and over-long text, no change to global gradient or random state.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Detector(Protocol):
    """A detector ready to score."""

    name: str

    def score(self, texts: Sequence[str]) -> list[float]:
        """One finite number a text; 0 is the detector's own even odds."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `detectors.catalog.load_detector` reads."""
        ...
