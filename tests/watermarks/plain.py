"""Watermarks of a few lines, with hashes of their own: what evidence is counted by is tested
against these, and does not depend on any scheme.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from scipy import stats
from torch import Tensor


def hashed(key: int, contexts_NW: Tensor, tokens_N: Tensor) -> np.ndarray:
    """(N,) uniform in (0, 1)."""
    state = np.full(len(tokens_N), key, dtype=np.uint64)
    for column in (*contexts_NW.numpy().T, tokens_N.numpy()):
        state = (state ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        state ^= state >> np.uint64(32)
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


@dataclass(frozen=True)
class Exponential:
    """As Gumbel-max: the value is −ln(1 − u)."""

    key: int = field(repr=False)
    width: int = 4
    takes_short_contexts: bool = True
    scheme: ClassVar[str] = "gumbel"
    fixes_text: ClassVar[bool] = True

    def choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        contexts = contexts_BW.repeat_interleave(ids_BK.size(1), 0)
        u = torch.from_numpy(hashed(self.key, contexts, ids_BK.flatten())).view(ids_BK.shape)
        return (mass_BK.double().log() - (-u.log()).log()).argmax(1)

    def values(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        return torch.from_numpy(-np.log1p(-hashed(self.key, contexts_NW, tokens_N)))

    def draws(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        return torch.arange(len(tokens_N))

    def p_value(self, total: float, count: int) -> float:
        return max(float(stats.gamma.sf(total, count)), 5e-324)


@dataclass(frozen=True)
class Listed:
    """As a green list: the value is 1 for a quarter of all tokens."""

    key: int = field(repr=False)
    width: int = 1
    takes_short_contexts: bool = False
    scheme: ClassVar[str] = "kgw"
    fixes_text: ClassVar[bool] = False

    def choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        contexts = contexts_BW.repeat_interleave(ids_BK.size(1), 0)
        green = torch.from_numpy(hashed(self.key, contexts, ids_BK.flatten()) < 0.25)
        tilted = mass_BK.double() * torch.where(green.view(ids_BK.shape), np.exp(2.0), 1.0)
        shares = tilted.cumsum(1) / tilted.sum(1, keepdim=True)
        return (shares <= u_B[:, None]).sum(1).clamp(max=ids_BK.size(1) - 1)

    def values(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        return torch.from_numpy((hashed(self.key, contexts_NW, tokens_N) < 0.25).astype(float))

    def draws(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        return torch.arange(len(tokens_N))

    def p_value(self, total: float, count: int) -> float:
        return max(float(stats.binom.sf(np.ceil(total - 1e-9) - 1, count, 0.25)), 5e-324)
