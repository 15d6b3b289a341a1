"""SynthID-Text: a tournament between the tokens that a method keeps, in layers.

In each layer every candidate has a bit g of its context, itself and the layer's key; two draws meet
and the greater bit wins: p ← p · (1 + g − Σ g p). The bits are those of transformers 5.23
(`SynthIDTextWatermarkLogitsProcessor`) and of synthid-text 0.2.1 on a CPU, on whatever device a
model runs: a table of bits by seed and size, drawn on a CPU, looked up at a linear congruential
hash. Both draw it on the model's device, and CUDA's generator makes another table: marks that were
made with it are not found here. What is missing of a text's first contexts is hashed as token 0, as
there.

Paper: Dathathri et al. 2024, Nature 634, https://doi.org/10.1038/s41586-024-08025-4.
Axes: B rows of a batch · K kept tokens · W tokens of a context · N pairs · L layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from staged.errors import PlanError
from staged.model.grouped_search import invert
from staged.settings import check_each
from staged.stats.weighted_bits import weighted_bits_survival

MULTIPLIER = 6364136223846793005  # of the generator in newlib and musl; all sums modulo 2^64
LAYERS = 30  # of a key of ours, as in the paper
LARGEST_TABLE = 1 << 24
SIMULATIONS = 64  # tournaments, for about 0.002 of the mean


@dataclass(frozen=True)
class SynthID:
    """The keys of one SynthID-Text watermark with its settings.

    Attributes:
        keys: one signed 64-bit integer a layer.
        ngram: tokens that a bit is made of, the candidate among them; ≥ 2.
        table_size: bits in the table, at most 2^24.
        table_seed: of the table.
        skip_first: whether a text's first ngram − 1 tokens are drawn without a mark.

    Raises:
        PlanError: a setting out of its range.
    """

    keys: tuple[int, ...] = field(repr=False)
    ngram: int = 5
    table_size: int = 1 << 16
    table_seed: int = 0
    skip_first: bool = False

    scheme = "synthid"
    fixes_text = False

    def __post_init__(self) -> None:
        checks = (
            (len(self.keys) > 0, "no keys"),
            (
                all(-(2**63) <= key < 2**63 for key in self.keys),
                "a key is no signed 64-bit integer",
            ),
            (self.ngram >= 2, f"ngram must be 2 or more, not {self.ngram}"),
            (
                1 < self.table_size <= LARGEST_TABLE,
                f"a table has 2 to {LARGEST_TABLE:,} bits, not {self.table_size}",
            ),
            (-(2**63) <= self.table_seed < 2**64, "table_seed is no 64-bit integer"),
        )
        check_each(checks, where="watermark synthid")
        if not 0 < self.share < 1:
            raise PlanError("watermark synthid: all bits of this table are the same")

    @property
    def width(self) -> int:
        return self.ngram - 1

    @property
    def takes_short_contexts(self) -> bool:
        return not self.skip_first

    @property
    def share(self) -> float:
        """The table's share of ones: the exact chance of a bit over the layers' random keys, as
        every entry of the table is as likely as any other.
        """
        return float(_table(self.table_size, self.table_seed).double().mean())

    @property
    def weights(self) -> tuple[int, ...]:
        """Whole numbers that fall from 10 to 1 in proportion, one a layer: the first layers tell
        most.
        """
        last = len(self.keys) - 1
        weights = [10 * last - 9 * layer for layer in range(last + 1)] if last else [1]
        return tuple(weight // math.gcd(*weights) for weight in weights)

    def choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        """As `Watermark.choose`, on the tensors' device."""
        return invert(self.tournament(mass_BK, ids_BK, contexts_BW), u_B)

    def tournament(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor) -> Tensor:
        """float32 (B, K): the chance of each token after all layers; rows sum to 1."""
        p_BK = mass_BK / mass_BK.sum(dim=1, keepdim=True)
        places_BK = self._hashes(contexts_BW, ids_BK)
        table = _table(self.table_size, self.table_seed).to(p_BK.device)
        for key in self.keys:
            g_BK = table[self._entries(places_BK, key)]
            p_BK = _layer(p_BK, g_BK)
        return p_BK

    def bits(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """float32 (N, L): each token's bit in each layer."""
        hashes_N = self._hashes(contexts_NW.cpu(), tokens_N.cpu()[:, None])[:, 0]
        table = _table(self.table_size, self.table_seed)
        return torch.stack([table[self._entries(hashes_N, key)] for key in self.keys], dim=1)

    def values(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """The weighted mean of the bits, in [0, 1], as synthid-text's `weighted_mean_score`."""
        weights = torch.tensor(self.weights, dtype=torch.float64)
        return self.bits(contexts_NW, tokens_N).double() @ weights / weights.sum()

    def draws(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """By the places in the table: different contexts can share them in all layers at once."""
        hashes_N = self._hashes(contexts_NW.cpu(), tokens_N.cpu()[:, None])[:, 0]
        places_NL = torch.stack([self._entries(hashes_N, key) for key in self.keys], dim=1)
        return places_NL.unique(dim=0, return_inverse=True)[1]

    def p_value(self, total: float, count: int) -> float:
        """Of a weighted sum of independent bits, each 1 with the table's share of ones."""
        units = round(total * sum(self.weights))
        return weighted_bits_survival(units, count, self.weights, self.share)

    def expected_value(self, mass_BK: Tensor, *, simulations: int = SIMULATIONS) -> Tensor:
        """(B,) float64: the mean value of a marked token over all keys.

        A layer that starts from p gives a mean bit of 2q − q² − q(1 − q) Σ p², with q the share of
        ones (q = ½: ¾ − ¼ Σ p², the paper's Corollary 27); the first layer's is exact. What p the
        later layers start from depends on bits: they are simulated, by one seed always.

        Args:
            mass_BK: ≥ 0, of the tokens that are kept; rows need not sum to 1.
            simulations: tournaments whose means are averaged.
        """
        q, weights = self.share, self.weights
        p_BK = (mass_BK / mass_BK.sum(dim=1, keepdim=True)).double().cpu()
        p_BK = p_BK.repeat(simulations, 1)
        generator = torch.Generator().manual_seed(0)
        mean_B = torch.zeros(len(p_BK), dtype=torch.float64)
        for weight in weights:
            mean_B += weight * (2 * q - q * q - q * (1 - q) * p_BK.square().sum(dim=1))
            g_BK = torch.rand(p_BK.shape, generator=generator, dtype=torch.float64) < q
            p_BK = _layer(p_BK, g_BK.double())
        return mean_B.view(simulations, len(mass_BK)).mean(dim=0) / sum(weights)

    def _hashes(self, contexts_BW: Tensor, ids_BK: Tensor) -> Tensor:
        """int64 (B, K): of each context with each token behind it."""
        hash_B1 = torch.ones_like(contexts_BW[:, :1])
        for column in range(contexts_BW.size(1)):
            hash_B1 = _absorb(hash_B1, contexts_BW[:, column : column + 1].clamp(min=0))
        return _absorb(hash_B1, ids_BK)

    def _entries(self, hashes: Tensor, key: int) -> Tensor:
        """Where in the table a layer's bits stand."""
        hashes = _absorb(hashes, key)
        if self.table_size & (self.table_size - 1):
            return hashes % self.table_size
        return hashes & (self.table_size - 1)  # the same, and several times as fast


def _absorb(hashes: Tensor, data: Tensor | int) -> Tensor:
    return (hashes + data) * MULTIPLIER + 1


def _layer(p_BK: Tensor, g_BK: Tensor) -> Tensor:
    return p_BK * (1 + g_BK - (g_BK * p_BK).sum(dim=1, keepdim=True))


@lru_cache(maxsize=4)
def _table(size: int, seed: int) -> Tensor:
    """float32 (size,): 0s and 1s."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (size,), generator=generator).float()
