"""Stateless Bernoulli watermarks: each token is green with probability γ, and green ones become
likelier; bit for bit as in the package `sbw` (its schemes `gpu-simple_1` and `gpu-selfhash`) and in
vLLM.

A seed of 64 bits keys Philox, whose word for the token says whether it is green. Left-hash: the
seed is the last token times the key. Self-hash: the seed is the least product of the key, the
token's hash and the hash of one of the tokens before it, or of itself. Sources: Ceppi and Sanchez
2026, arXiv:2609.03844; vLLM's documentation of `vllm.v1.watermarking.sbw`.

Two things that both have and we keep, for their detectors' sake. Token 0 leaves a left-hash seed of
0, under every key. A self-hash seed is often one that the same token had in another context: such
pairs share a draw, so that a test that counts them twice calls human text marked in 9% of cases at
p ≤ 0.01 (200 tokens of English). `draws` tells them apart, and each counts once.

Axes: B rows · K kept tokens · W tokens of a context · N pairs of a context and its token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from staged.errors import PlanError
from staged.model.grouped_search import invert
from staged.settings import nearest
from staged.watermarks.kinds.gumbel import check_key
from staged.watermarks.kinds.nulls import binomial_survival
from staged.watermarks.kinds.philox import MASK, philox4x32, word_of

WIDTHS = {"selfhash": 3, "lefthash": 1}  # tokens before a token; theirs count a self-hash token too
LOW_BITS = 2**31 - 1
MOST_TRIALS = 32  # of a rejection, after which all colours are asked for
MANY = 2048  # columns, from which on not all are asked for their colour


@dataclass(frozen=True)
class SBW:
    """Green tokens by independent draws.

    Attributes:
        key: 0 … 2⁶⁴ − 1.
        gamma: the chance that a token is green, in (0, 1).
        delta: what is added to a green token's logit, > 0.
        seeding: `selfhash` or `lefthash`.

    Raises:
        PlanError: one of them out of range.
    """

    key: int = field(repr=False)
    gamma: float = 0.5
    delta: float = 2.0
    seeding: str = "selfhash"

    scheme = "sbw"
    takes_short_contexts = False
    fixes_text = False

    def __post_init__(self) -> None:
        check_key(self.key)
        if not 1 <= self.threshold < LOW_BITS:
            raise PlanError(f"watermark: gamma must lie in (0, 1), not {self.gamma}")
        if not 0 < self.delta < math.inf:
            raise PlanError(f"watermark: delta must be above 0, not {self.delta}")
        if self.seeding not in WIDTHS:
            raise PlanError(f"watermark: seeding {self.seeding!r}; {nearest(self.seeding, WIDTHS)}")

    @property
    def width(self) -> int:
        return WIDTHS[self.seeding]

    @property
    def threshold(self) -> int:
        """Of the 2³¹ values of a word's low bits so many are green."""
        return int(self.gamma * LOW_BITS)

    def choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        if mass_BK.size(1) > MANY and not mass_BK.is_cuda:
            return self._choose_of_many(mass_BK, ids_BK, contexts_BW, u_B)
        return self._choose(mass_BK, ids_BK, contexts_BW, u_B)

    def _choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        is_green_BK = self._are_green(contexts_BW, ids_BK)
        # red ones are made smaller, so that no delta overflows
        factor_BK = torch.where(is_green_BK, 1.0, math.exp(-self.delta))
        return invert(mass_BK.double() * factor_BK, u_B)

    def _choose_of_many(
        self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor
    ) -> Tensor:
        """The same distribution by rejection, which asks of few tokens whether they are green:
        drawn as without a mark, a red one is drawn again unless chance, e^−δ, keeps it.
        """
        at_B = torch.empty(len(u_B), dtype=torch.int64)
        rows, trial = torch.arange(len(u_B)), 0
        while len(rows):
            if trial == MOST_TRIALS:  # next to all mass is red: the rest as it is where few are
                first_N, _ = _more_chance(u_B[rows], trial)
                at_B[rows] = self._choose(mass_BK[rows], ids_BK[rows], contexts_BW[rows], first_N)
                break
            first_N, second_N = _more_chance(u_B[rows], trial)
            whole = len(rows) == len(u_B)
            at_N = invert(mass_BK if whole else mass_BK[rows], first_N if trial else u_B[rows])
            at_B[rows] = at_N
            tokens_N1 = ids_BK[rows, at_N][:, None]
            is_green_N = self._are_green(contexts_BW[rows], tokens_N1)[:, 0]
            rows = rows[~is_green_N & (second_N >= math.exp(-self.delta))]
            trial += 1
        return at_B

    def values(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """1 for a green token, 0 for another."""
        return self._are_green(contexts_NW.cpu(), tokens_N.cpu()[:, None])[:, 0].double()

    def draws(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """By seed and token: a self-hash seed can be one that the token had in another context."""
        seeds_N = self.seeds(contexts_NW.cpu(), tokens_N.cpu()[:, None])[:, 0]
        return torch.stack([seeds_N, tokens_N.cpu()]).unique(dim=1, return_inverse=True)[1]

    def p_value(self, total: float, count: int) -> float:
        return binomial_survival(round(total), count, self.threshold / 2**31)

    def _are_green(self, contexts_NW: Tensor, tokens_NK: Tensor) -> Tensor:
        seeds_NK = self.seeds(contexts_NW, tokens_NK)
        counter = (tokens_NK >> 2, 0, 0, 0)
        words = philox4x32(counter, (seeds_NK & MASK, (seeds_NK >> 32) & MASK))
        return (word_of(words, tokens_NK) & LOW_BITS) < self.threshold

    def seeds(self, contexts_NW: Tensor, tokens_NK: Tensor) -> Tensor:
        """(N, K) int64 seeds of tokens in contexts; (N, 1) where a context's tokens share one."""
        if self.seeding == "lefthash":
            return contexts_NW[:, -1:] * _signed(self.key)
        of_tokens_NK = _hashed(tokens_NK)
        seeds_NK = _signed(self.key) * of_tokens_NK * of_tokens_NK
        for before_N in _hashed(contexts_NW).unbind(dim=1):
            product_NK = _signed(self.key) * before_N[:, None] * of_tokens_NK
            seeds_NK = torch.minimum(seeds_NK, product_NK)
        return seeds_NK


def _more_chance(u_N: Tensor, trial: int) -> tuple[Tensor, Tensor]:
    """Two numbers in [0, 1) for a trial, made of one."""
    bits_N = (u_N * 2**53).long()
    words = philox4x32((bits_N & MASK, bits_N >> 32, trial, 0), (0, 0))
    return ((words[0] << 21) + (words[1] >> 11)).double() / 2**53, words[2].double() / 2**32


def _signed(key: int) -> int:
    """The number that int64 holds in the same 64 bits; products are modulo 2⁶⁴."""
    return key - 2**64 if key >= 2**63 else key


def _hashed(tokens: Tensor) -> Tensor:
    """Bob Jenkins' hash of 32 bits, signed, of each id plus 1."""
    x = (tokens + 1).to(torch.int32)
    x = x - (x << 6)
    x = x ^ (x >> 17)
    x = x - (x << 9)
    x = x ^ (x << 4)
    x = x - (x << 3)
    x = x ^ (x << 10)
    x = x ^ (x >> 15)
    return x.long()
