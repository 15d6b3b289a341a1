"""A text's zero-shot numbers as one vector: what `evidence` weighs.

Machine text differs from human text less in how likely it is on average than in how its surprises are spread: sampled text
stays close to what the model expects everywhere, human text is now plain, now full of names. So beside the known scores there
are quantiles and spreads, and a detector may use each of them on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from staged.detectors import zero_shot
from staged.detectors.token_statistics import TokenStatistics

FEWEST_TOKENS = 8  # below, a text's numbers say nothing: it counts as a text without any sign
RANKS = (10, 100, 1000)
HIGH = (0.5, 0.9, 0.97)  # quantiles of the surprise
LOW = 0.1  # quantile of how much likelier than expected a token was

FEATURES = (
    *("likelihood", "log-rank", "entropy", "lrr", "fast-detectgpt", "log-length"),
    *("surprise-spread", "surprise-jump", "variance", "z-spread", f"z-q{LOW:g}"),
    *(f"surprise-q{q:g}" for q in HIGH),
    *(f"rank-{rank}" for rank in RANKS),
)

# Which way a feature moves in text that is smoother than people write; of the others neither way is a sign of it.
SMOOTHER = {
    "fast-detectgpt": 1,
    "surprise-spread": -1,
    "surprise-jump": -1,
    f"z-q{LOW:g}": 1,
    "surprise-q0.9": -1,
    "surprise-q0.97": -1,
    "rank-100": 1,
    "rank-1000": 1,
}


def feature_matrix(statistics: Sequence[TokenStatistics]) -> npt.NDArray[np.float64]:
    """(texts, `len(FEATURES)`), all finite; a row of zeros for a text of fewer than `FEWEST_TOKENS` scored tokens."""
    rows = [_features(one) if len(one.rank) >= FEWEST_TOKENS else [0.0] * len(FEATURES) for one in statistics]
    return np.asarray(rows, dtype=float).reshape(len(rows), len(FEATURES))


def _features(s: TokenStatistics) -> list[float]:
    surprise = -s.logprob
    z = (s.logprob - s.mean) / np.sqrt(s.variance + 1e-3)
    return [
        *(zero_shot.likelihood(s), zero_shot.log_rank(s), zero_shot.entropy(s), min(zero_shot.lrr(s), 10.0)),
        *(zero_shot.fast_detectgpt(s), float(np.log(len(s.rank)))),
        *(float(surprise.std()), float(np.abs(np.diff(surprise)).mean()), float(s.variance.mean())),
        *(float(z.std()), float(np.quantile(z, LOW))),
        *(float(q) for q in np.quantile(surprise, HIGH)),
        *(float((s.rank <= rank).mean()) for rank in RANKS),
    ]
