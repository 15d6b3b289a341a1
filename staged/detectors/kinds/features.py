"""A text's zero-shot numbers as one vector: what `evidence` weighs.

Machine text differs from human text less in how likely it is on average than in how its surprises
are spread: text drawn from likely tokens stays close to what the model expects everywhere, human
text is now plain, now full of names. So beside the known scores there are quantiles and spreads,
and a detector may use each of them on both sides.

All are taken over the tokens that begin a word, a number or a mark. Inside a word, surprise tells
of spelling: a misspelt word is a rare series of pieces. It is a feature of its own, which tells
careless human text from machine text that is odd in its choice of words.

Where the scorer is sure, most writers follow it, and how closely a generator does is its own habit;
where it is unsure, people go further afield than text drawn from a generator's likely tokens. So
some are taken once more over the tokens of high entropy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from staged.detectors.contract import GLTR_BUCKETS
from staged.detectors.kinds import zero_shot
from staged.model.reading.token_statistics import TokenStatistics

# that begin a word; below, a text's numbers say nothing: it counts as a text without any sign
FEWEST_TOKENS = 8
HIGH = (0.5, 0.9, 0.97)  # quantiles of the surprise
LOW = 0.1  # quantile of how much likelier than expected a token was
# nats of entropy from which the scorer counts as unsure: about half of the tokens that begin a word
UNSURE = 3.0

# Of the tokens that begin a word, in nats unless said otherwise; surprise is −log p, z a token's
# distance above its expected log-probability in standard deviations.
#   likelihood … fast-detectgpt   as in zero_shot.py; lrr at most 10
#   log-length                    natural logarithm of the number of tokens
#   surprise-spread, -jump        standard deviation; mean distance between neighbours
#   variance                      mean variance of the scorer's log-probabilities
#   z-spread, z-q0.1              standard deviation and 10% quantile of z
#   surprise-q…                   quantiles
#   rank-…                        share of tokens of at most this rank, in [0, 1]
#   surprise-inside               of tokens inside words, summed, over all tokens of the text
#   unsure-…                      where the scorer's entropy is at least `UNSURE`: mean of z; share
#                                 below z = −1; of surprise the 90% quantile, standard deviation,
#                                 and mean distance between neighbours
FEATURES = (
    "likelihood",
    "log-rank",
    "entropy",
    "lrr",
    "fast-detectgpt",
    "log-length",
    "surprise-spread",
    "surprise-jump",
    "variance",
    "z-spread",
    f"z-q{LOW:g}",
    *(f"surprise-q{q:g}" for q in HIGH),
    *(f"rank-{rank}" for rank in GLTR_BUCKETS),
    "surprise-inside",
    "unsure-z",
    "unsure-low",
    "unsure-q0.9",
    "unsure-spread",
    "unsure-jump",
)

# Which way a feature moves in text that is smoother than people write; of the others neither way is
# a sign of it.
SMOOTHER = {
    "fast-detectgpt": 1,
    "surprise-spread": -1,
    "surprise-jump": -1,
    f"z-q{LOW:g}": 1,
    "surprise-q0.9": -1,
    "surprise-q0.97": -1,
    "rank-100": 1,
    "rank-1000": 1,
    "unsure-z": 1,
    "unsure-low": -1,
    "unsure-q0.9": -1,
    "unsure-spread": -1,
    "unsure-jump": -1,
}


def feature_matrix(
    statistics: Sequence[TokenStatistics], inside: Sequence[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.float64]:
    """(texts, `len(FEATURES)`), all finite; a row of zeros for a text in which fewer than
    `FEWEST_TOKENS` tokens begin a word.

    Args:
        inside: of each text, as `inside_words` gives it.
    """
    rows = [
        _features(text, within) if (~within).sum() >= FEWEST_TOKENS else [0.0] * len(FEATURES)
        for text, within in zip(statistics, inside, strict=True)
    ]
    return np.asarray(rows, dtype=float).reshape(len(rows), len(FEATURES))


def inside_words(text: str, spans: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """(N − 1,) of every token but the first, whether it goes on with a word: a letter that follows
    a letter.

    Args:
        spans: the characters start … end − 1 of the text's N tokens.
    """
    return np.asarray(
        [
            text[start - 1 : start].isalpha() and text[start : start + 1].isalpha()
            for start, _ in spans[1:]
        ],
        dtype=bool,
    )


def _features(text: TokenStatistics, inside: npt.NDArray[np.bool_]) -> list[float]:
    s = _where(text, ~inside)
    z, surprise = _z(s), -s.logprob
    unsure = -s.mean >= UNSURE
    u = _where(s, unsure) if unsure.sum() >= FEWEST_TOKENS else s
    return [
        zero_shot.likelihood(s),
        zero_shot.log_rank(s),
        zero_shot.entropy(s),
        min(zero_shot.lrr(s), 10.0),
        zero_shot.fast_detectgpt(s),
        float(np.log(len(s.rank))),
        float(surprise.std()),
        _jump(surprise),
        float(s.variance.mean()),
        float(z.std()),
        float(np.quantile(z, LOW)),
        *(float(q) for q in np.quantile(surprise, HIGH)),
        *(float((s.rank <= rank).mean()) for rank in GLTR_BUCKETS),
        -float(text.logprob[inside].sum()) / len(inside),
        float(_z(u).mean()),
        float((_z(u) < -1).mean()),
        float(np.quantile(-u.logprob, 0.9)),
        float(u.logprob.std()),
        _jump(u.logprob),
    ]


def _where(s: TokenStatistics, kept: npt.NDArray[np.bool_]) -> TokenStatistics:
    """The numbers of those tokens alone."""
    return replace(
        s, logprob=s.logprob[kept], mean=s.mean[kept], variance=s.variance[kept], rank=s.rank[kept]
    )


def _z(s: TokenStatistics) -> npt.NDArray[np.float64]:
    """Of each token, by how many standard deviations it was likelier than the scorer expected."""
    return (s.logprob - s.mean) / np.sqrt(s.variance + 1e-3)


def _jump(values: npt.NDArray[np.float64]) -> float:
    """Mean distance between neighbours."""
    return float(np.abs(np.diff(values)).mean())
