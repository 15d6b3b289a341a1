"""Random streams: sample i of a run depends on the run's seed and on i, never on the batch it is
computed in.
"""

from __future__ import annotations

import hashlib

import numpy as np


def uniforms(seed: int, sample: int, count: int) -> np.ndarray:
    """`count` numbers in [0, 1), float64, of sample `sample`: Philox keyed by (seed, sample)."""
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, sample], dtype=np.uint64))
    ).random(count)


def derive(seed: int, *names: str) -> int:
    """A seed for one named part of a run, independent of the seeds of its other parts."""
    return int.from_bytes(
        hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()[:8], "big"
    )
