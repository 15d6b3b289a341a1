"""What every watermark is: a keyed choice among the tokens that a method keeps, and the evidence of
it that tokens carry.

A context is what stands before a token in the same generated text: its last `width` tokens, the
prompt never among them. The key and the context alone decide a mark, not the device, the batch or
the seed. Axes: B rows of a batch · K kept tokens · W tokens of a context · N pairs of a context and
its token.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

MISSING = -1  # in place of a token that a context at a text's beginning does not have
SCHEMES = ("gumbel", "gumbel-dual", "kgw", "sbw", "synthid")


class Watermark(Protocol):
    """One scheme under one key, with its settings; its `repr` never shows the key."""

    @property
    def scheme(self) -> str:
        """One of `SCHEMES`."""

    @property
    def width(self) -> int:
        """Tokens before a token that decide its mark."""

    @property
    def takes_short_contexts(self) -> bool:
        """Whether the first `width` tokens of a text are marked too, MISSING standing for what is
        not there; else they are drawn without a mark, and carry no evidence.
        """

    @property
    def fixes_text(self) -> bool:
        """Whether one prompt always gives one text, whatever the seed."""

    def choose(self, mass_BK: Tensor, ids_BK: Tensor, contexts_BW: Tensor, u_B: Tensor) -> Tensor:
        """(B,) int64: in each row the column of the marked choice, never one without mass.

        Args:
            mass_BK: float32, ≥ 0, of the tokens that the method keeps; rows need not sum to 1.
            ids_BK: int64 token ids.
            contexts_BW: int64 token ids, or MISSING.
            u_B: float64 in [0, 1); what is left to chance is drawn with it.
        """

    def values(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """(N,) float64: the evidence of each token in its context, higher where the key chose it;
        computed on the CPU.
        """

    def draws(self, contexts_NW: Tensor, tokens_N: Tensor) -> Tensor:
        """(N,) int64: which of the key's draws decides each value. Pairs with equal numbers have
        one value between them, though their contexts differ, and count once.
        """

    def p_value(self, total: float, count: int) -> float:
        """The chance, in (0, 1], that `count` tokens of different draws have values that sum to
        `total` or more, in text that knows nothing of the key: exact, not an approximation.
        """
