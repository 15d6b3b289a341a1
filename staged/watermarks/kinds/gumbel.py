"""Keyed Gumbel-max, under one key and under two, bit for bit as in vLLM.

The token with the largest ln(mass) + Gumbel noise is chosen, the noise a function of key, context
and token: over keys the distribution of a token is the model's own. With one key nothing is left to
chance, so that a prompt has one text; with two, each token is chosen by the second one with
probability α. A token that a key chose has a large u; in text that knows nothing of the key
−ln(1 − u) is exponentially distributed. Sources: Aaronson 2022; vLLM's documentation of
`vllm.v1.watermarking`.

Axes: B rows · K kept tokens · W tokens of a context · N pairs of a context and its token.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor

from staged.errors import PlanError
from staged.model.grouped_search import columns
from staged.watermarks.kinds.nulls import gamma_survival, two_gammas_survival
from staged.watermarks.kinds.philox import (
    Word,
    Words,
    context_state,
    first_words,
    key_words,
    token_words,
    uniform,
)

ALPHA = 0.1
MOST_NOISE = 16.64  # a little above its bound
MANY, LIKELIEST = 2048, 64  # columns
AT_ONCE = 2  # rows of many columns


@dataclass(frozen=True)
class Gumbel:
    """Gumbel-max under one key.

    Attributes:
        key: 0 … 2⁶⁴ − 1.
        width: tokens of a context.

    Raises:
        PlanError: a key or a width out of range.
    """

    key: int = field(repr=False)
    width: int = 4

    scheme = "gumbel"
    takes_short_contexts = True
    fixes_text = True

    def __post_init__(self) -> None:
        check_key(self.key)
        check_width(self.width)

    def choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        return _largest(mass_BK, ids_BK, contexts_BW, key_words(self.key))

    def values(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        return _evidence(contexts_NW, tokens_N, self.key)

    def draws(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        return torch.arange(len(tokens_N))

    def p_value(self, total: float, count: int) -> float:
        return gamma_survival(total, count)


@dataclass(frozen=True)
class DualGumbel:
    """Gumbel-max under two keys derived from one.

    Attributes:
        key: 0 … 2⁶⁴ − 1.
        alpha: the probability that a token is chosen by the second key, and its weight in the
            evidence, in [0, 1].
        width: tokens of a context.

    Raises:
        PlanError: one of them out of range.
    """

    key: int = field(repr=False)
    alpha: float = ALPHA
    width: int = 4

    scheme = "gumbel-dual"
    takes_short_contexts = True

    def __post_init__(self) -> None:
        check_key(self.key)
        check_width(self.width)
        if not 0 <= self.alpha <= 1:
            raise PlanError(f"watermark: alpha must lie in [0, 1], not {self.alpha}")

    @property
    def fixes_text(self) -> bool:
        return self.alpha in (0, 1)

    @property
    def keys(self) -> tuple[int, int]:
        """The two keys."""
        return _derived(self.key, b"key_a"), _derived(self.key, b"key_b")

    def choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        is_first_B = u_B < 1 - self.alpha
        first, second = (key_words(key) for key in self.keys)
        low_B, high_B = (torch.where(is_first_B, a, b) for a, b in zip(first, second, strict=True))
        return _largest(mass_BK, ids_BK, contexts_BW, (low_B, high_B))

    def values(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        first_N, second_N = (_evidence(contexts_NW, tokens_N, key) for key in self.keys)
        return (1 - self.alpha) * first_N + self.alpha * second_N

    def draws(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        return torch.arange(len(tokens_N))

    def p_value(self, total: float, count: int) -> float:
        return two_gammas_survival(total, count, self.alpha)


def _largest(
    mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, key: tuple[Word, Word]
) -> Tensor:
    """(B,) the column with the largest ln(mass) + noise."""
    count, state = mass_BK.size(1), context_state(contexts_BW, key)
    if count <= MANY or mass_BK.is_cuda:
        return (mass_BK.log() + _noise(token_words(state, key, ids_BK))).argmax(dim=1)
    is_whole = ids_BK.stride(0) == 0 and torch.equal(ids_BK[0], torch.arange(count))
    at_B = []
    for first in range(0, len(mass_BK), AT_ONCE):  # so that what is in work stays in a cache
        rows = slice(first, first + AT_ONCE)
        s0, s1, s2, s3 = (word[rows] for word in state)
        low, high = (word[rows] if isinstance(word, Tensor) else word for word in key)
        some = (mass_BK[rows], ids_BK[rows], (s0, s1, s2, s3), (low, high))
        at_B.append(_largest_of_many(*some, is_whole=is_whole))
    return torch.cat(at_B)


def _largest_of_many(
    mass_BK: Tensor, ids_BK: Tensor, state: Words, key: tuple[Word, Word], *, is_whole: bool
) -> Tensor:
    """The same, where noise is computed of columns alone that can win against the best of the
    likeliest ones, as it is bounded.

    Args:
        is_whole: whether the columns are all tokens from 0 on; where many can win, the noise of all
            is cheaper.
    """

    def scores(columns_BN: Tensor) -> Tensor:
        words_BN = token_words(state, key, ids_BK.gather(1, columns_BN))
        return mass_BK.gather(1, columns_BN).log() + _noise(words_BN)

    best_B1 = scores(mass_BK.topk(LIKELIEST, dim=1).indices).amax(dim=1, keepdim=True)
    can_win_BK = mass_BK > (best_B1 - MOST_NOISE).exp()
    if is_whole and int(can_win_BK.sum(dim=1).max()) > mass_BK.size(1) // 4:
        words_BK = first_words(state, key, mass_BK.size(1))
        return (mass_BK.log() + _noise(words_BK)).argmax(dim=1)
    columns_BN, is_there_BN = columns(can_win_BK)
    at_B1 = scores(columns_BN).masked_fill(~is_there_BN, -torch.inf).argmax(dim=1, keepdim=True)
    return columns_BN.gather(1, at_B1)[:, 0]


def _noise(words: Tensor) -> Tensor:
    """Float32 Gumbel noise, in [−2.8115, 16.6355]."""
    return -(-uniform(words).log()).log()


def _evidence(contexts_NW: Tensor, tokens_N: Tensor, key: int) -> Tensor:
    contexts_NW, tokens_N = contexts_NW.cpu(), tokens_N.cpu()
    words = key_words(key)
    words_N1 = token_words(context_state(contexts_NW, words), words, tokens_N[:, None])
    return -torch.log1p(-uniform(words_N1[:, 0]).double())


def _derived(key: int, use: bytes) -> int:
    return int.from_bytes(hashlib.sha256(use + key.to_bytes(8, "big")).digest()[:8], "big")


def check_key(key: int) -> None:
    """Refuse a key that 64 bits don't hold, without showing it.

    Raises:
        PlanError: it is such.
    """
    if not 0 <= key < 2**64:
        raise PlanError("watermark: a key must be a whole number from 0 to 2⁶⁴ − 1")


def check_width(width: int) -> None:
    """Refuse a context of no tokens.

    Raises:
        PlanError: it is such.
    """
    if width < 1:
        raise PlanError(f"watermark: a context has at least 1 token, not {width}")
