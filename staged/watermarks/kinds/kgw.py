"""KGW: of each context the key makes a list of green tokens, whose logits are raised by δ.

    left-hash   the last token seeds a shuffle of the vocabulary; its first γ·V tokens are green
    self-hash   each candidate seeds a shuffle of its own, with the tokens before it: it is green if
                it comes out among the first; only the 40 likeliest candidates are looked at

The lists are those of transformers 5.23 (`WatermarkLogitsProcessor`) on a CPU, on whatever device a
model runs: the key alone decides them. There a CUDA device's generator makes other lists, so that
texts marked on one are found only by a detector on one; those marks are not found here. Left-hash
reads the last token alone, whatever `context_width` says, as there; after token 0 its list is the
same under every key.

Papers: Kirchenbauer et al. 2023, arXiv:2301.10226, algorithm 2, and arXiv:2306.04634, algorithm 3.
Axes: B rows of a batch · K kept tokens · W tokens of a context · N pairs · V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from staged.errors import PlanError
from staged.model.grouped_search import invert
from staged.settings import check_each
from staged.watermarks.contract import MISSING
from staged.watermarks.kinds.nulls import binomial_survival

SEEDINGS = ("lefthash", "selfhash")
TABLE_SIZE = 1_000_003  # of the permutation that self-hash hashes tokens with
CANDIDATES = 40  # the likeliest tokens, the only ones that self-hash marks
MOST_DELTA = 100  # with which a red token's mass is still above 0
CACHED_BYTES = 1 << 26  # of left-hash lists
CACHED_CANDIDATES = 1 << 16
LARGEST_SEED = 2**64 - 1  # seeds are taken modulo it, as in transformers
EXPONENTS, STEP = (-37.0, 4.0), 0.2  # of an integral by the trapezoidal rule, for 12 digits


@dataclass(frozen=True)
class KGW:
    """One KGW key with its settings.

    Attributes:
        key: the hashing key, a signed 64-bit integer.
        vocabulary: size of the model's output, not of its tokenizer.
        gamma: share of the vocabulary that is green, in (0, 1).
        delta: what green tokens' logits are raised by, 0 … 100.
        seeding: `lefthash` or `selfhash`.
        context_width: tokens that self-hash reads, the candidate itself among them; ≥ 1.

    Raises:
        PlanError: a setting out of its range.
    """

    key: int = field(repr=False)
    vocabulary: int
    gamma: float = 0.25
    delta: float = 2.0
    seeding: str = "lefthash"
    context_width: int = 4

    scheme = "kgw"
    takes_short_contexts = False
    fixes_text = False

    def __post_init__(self) -> None:
        checks = (
            (-(2**63) <= self.key < 2**63, "the key is no signed 64-bit integer"),
            (self.vocabulary > 1, f"a vocabulary of {self.vocabulary} tokens"),
            (0 < self.gamma < 1, f"gamma must lie between 0 and 1, not {self.gamma}"),
            (0 <= self.delta <= MOST_DELTA, f"delta is 0 to {MOST_DELTA}, not {self.delta}"),
            (self.seeding in SEEDINGS, f"seeding {self.seeding!r}; known: {', '.join(SEEDINGS)}"),
            (self.context_width >= 1, f"context_width must be 1 or more: {self.context_width}"),
        )
        check_each(checks, where="watermark kgw")
        if not 0 < self.green_size < self.vocabulary:
            raise PlanError("watermark kgw: gamma leaves no token on one side of the list")

    @property
    def width(self) -> int:
        """Self-hash of one token reads no other one; a token tells its contexts apart."""
        return 1 if self.seeding == "lefthash" else max(1, self.context_width - 1)

    @property
    def green_size(self) -> int:
        """How many tokens are on a list."""
        return int(self.vocabulary * self.gamma)

    def choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        """As `Watermark.choose`; the lists are looked up on the CPU, which a GPU waits for."""
        return invert(mass_BK.double() * self.factors(mass_BK, ids_BK, contexts_BW), u_B)

    def factors(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor) -> Tensor:
        """float64 (B, K): 1 where a token is green, else e^−δ."""
        columns_BK = torch.arange(mass_BK.size(1), device=mass_BK.device).expand(mass_BK.shape)
        if self.seeding == "selfhash" and mass_BK.size(1) > CANDIDATES:
            columns_BK = mass_BK.topk(CANDIDATES, dim=1).indices
        green_BK = self._green(contexts_BW.cpu(), ids_BK.gather(1, columns_BK).cpu())
        green_BK &= (contexts_BW != MISSING).all(dim=1, keepdim=True).cpu()
        red = math.exp(-self.delta)
        factors_BK = torch.full_like(mass_BK, red, dtype=torch.float64)
        green_BK = green_BK.to(mass_BK.device)
        return factors_BK.scatter_(1, columns_BK, torch.where(green_BK, 1.0, red).double())

    def values(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """1 for a green token, else 0."""
        return self._green(contexts_NW.cpu(), tokens_N.cpu()[:, None])[:, 0].double()

    def draws(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """Of self-hash by seed and token: a seed can be one that the token had in another context.
        Of left-hash each context has a list of its own.
        """
        if self.seeding == "lefthash":
            return torch.arange(len(tokens_N))
        seeds_N = self._seeds(contexts_NW.cpu(), tokens_N.cpu()[:, None])[:, 0]
        return torch.stack([seeds_N, tokens_N.cpu()]).unique(dim=1, return_inverse=True)[1]

    def p_value(self, total: float, count: int) -> float:
        """Binomial over the lists' true share, size / V."""
        return binomial_survival(round(total), count, self.green_size / self.vocabulary)

    def expected_value(self, mass_BK: Tensor) -> Tensor:
        """(B,) float64: the mean value of a marked token over all keys.

        With α = e^δ and G the green mass among the candidates, a green token is drawn with αG / (1
        + (α − 1)G), and from beyond them with γ times what is left. 1 / x is the integral of e^−sx,
        under which the tokens' memberships separate: exact where they are independent, as for
        self-hash; left-hash draws without replacement, which differs by the order of K / V.

        Args:
            mass_BK: ≥ 0, of the tokens that are kept; rows need not sum to 1.
        """
        p_BK = (mass_BK / mass_BK.sum(dim=1, keepdim=True)).double().cpu()
        share, alpha = self.green_size / self.vocabulary, math.exp(self.delta)
        if self.delta == 0:
            return torch.full((len(p_BK),), share, dtype=torch.float64)
        if self.seeding == "selfhash":
            p_BK = p_BK.topk(min(CANDIDATES, p_BK.size(1)), dim=1).values
        inverse_B = torch.zeros(len(p_BK), dtype=torch.float64)
        for v in torch.arange(*EXPONENTS, STEP, dtype=torch.float64):  # s = e^v
            factors_BK = 1 - share + share * torch.exp(-v.exp() * (alpha - 1) * p_BK)
            inverse_B += STEP * (v - v.exp() + factors_BK.log().sum(dim=1)).exp()
        beyond_B = (1 - p_BK.sum(dim=1)).clamp(min=0)
        return alpha / (alpha - 1) * (1 - inverse_B) + share * beyond_B * inverse_B

    def _green(self, contexts_BW: Tensor, ids_BK: Tensor) -> Tensor:
        """bool (B, K), on the CPU; a token beyond the vocabulary is on no list."""
        green_BK = torch.zeros(ids_BK.shape, dtype=torch.bool)
        if self.seeding == "lefthash":
            for row, last in enumerate(contexts_BW[:, -1].tolist()):
                green_BK[row] = self._list_after(last)[ids_BK[row].clamp(max=self.vocabulary)]
            return green_BK
        seeds, tokens = self._seeds(contexts_BW, ids_BK).flatten(), ids_BK.flatten()
        for place, (seed, token) in enumerate(zip(seeds.tolist(), tokens.tolist(), strict=True)):
            green_BK.view(-1)[place] = in_own_list(
                seed % LARGEST_SEED, token, self.vocabulary, self.green_size
            )
        return green_BK

    @cached_property
    def _list_after(self) -> Callable[[int], Tensor]:
        return lru_cache(maxsize=max(1, CACHED_BYTES // self.vocabulary))(self._drawn_list)

    def _drawn_list(self, last: int) -> Tensor:
        """bool (V + 1,): the tokens that are green after a token."""
        generator = torch.Generator().manual_seed(self.key * last % LARGEST_SEED)
        shuffled_V = torch.randperm(self.vocabulary, generator=generator)
        green = torch.zeros(self.vocabulary + 1, dtype=torch.bool)
        green[shuffled_V[: self.green_size]] = True
        return green

    def _seeds(self, contexts_BW: Tensor, ids_BK: Tensor) -> Tensor:
        """int64 (B, K): the least of key · hash(token) · hash(candidate), with overflow, over the
        candidate and the tokens that are read before it.
        """
        table = _hashes(self.key)
        own_BK = table[ids_BK % TABLE_SIZE]
        seeds_BK = self.key * own_BK * own_BK
        for place in range(1, self.context_width):
            before_B1 = table[contexts_BW[:, -place] % TABLE_SIZE][:, None]
            seeds_BK = torch.minimum(seeds_BK, self.key * before_B1 * own_BK)
        return seeds_BK


@lru_cache(maxsize=4)
def _hashes(key: int) -> Tensor:
    generator = torch.Generator().manual_seed(key)
    return torch.randperm(TABLE_SIZE, generator=generator) + 1


@lru_cache(maxsize=CACHED_CANDIDATES)
def in_own_list(seed: int, token: int, vocabulary: int, size: int) -> bool:
    """Whether `token` stands among the first `size` of `torch.randperm(vocabulary)` on a CPU
    generator with this seed.

    A shuffle exchanges place i with a place from i on: after `size` exchanges its beginning is
    final, and one token's way through them is all that is needed. The generator is the Mersenne
    Twister, of which torch takes 32 bits of the seed.
    """
    if not 0 <= token < vocabulary:
        return False
    words = np.random.RandomState(seed & 0xFFFFFFFF).randint(0, 1 << 32, size, dtype=np.uint32)
    steps = np.arange(size, dtype=np.uint32)
    partners = steps + words % (np.uint32(vocabulary) - steps)
    place, step = token, 0
    while True:
        if (partners[step : min(place, size)] == place).any():
            return True  # it was exchanged for the token at an earlier place, where it stays
        if place >= size:
            return False
        step, place = place + 1, int(partners[place])
        if place == step - 1:
            return True
