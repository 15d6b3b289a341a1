"""Attention and products of few new tokens as embedding bags: weighted sums of a table's rows,
which read memory in order.

An embedding bag is Σ_i w_i table[id_i, :], and what one token asks of a decoder is just that: x W =
Σ_i x_i W[i, :], the scores q·k of all positions are Σ_d q_d K[d, :], and their weighted values Σ_s
w_s V[s, :]. PyTorch's kernels for bags (FBGEMM) prefetch and run at the speed of memory; its matrix
products, made for many rows on both sides, take two to four times as long.

Axes as in model.py; G blocks of W positions · N rows · I inputs · O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import causal_mask

BLOCK = 32  # positions: keys are read in whole blocks
FEW_TOKENS = 8  # new ones of a sequence, for which keys and values are read once each


class BlockCache:
    """bfloat16 keys and values in blocks of positions: keys (layers, G, B, H, D, W), a position a
    column, values (…, W, D).
    """

    def __init__(self, config: GPT2Config, batch: int, positions: int) -> None:
        head = config.n_embd // config.n_head
        start = (config.n_layer, -(-positions // BLOCK), batch, config.n_head)
        keys = torch.empty((*start, head, BLOCK), dtype=torch.bfloat16)
        self._hold(keys, torch.empty((*start, BLOCK, head), dtype=torch.bfloat16))
        self.length = 0

    def _hold(self, keys: Tensor, values: Tensor) -> None:
        """Take these; in views of both a position has one place: (layers, G, B, W, H, 1, D)."""
        self.keys, self.values = keys, values
        self.places = (
            keys.permute(0, 1, 2, 5, 3, 4)[..., None, :],
            values.permute(0, 1, 2, 4, 3, 5)[..., None, :],
        )
        self.ready: tuple[int, int] | None = None  # tokens and blocks that bags stand ready for

    def begin(self, tokens: int) -> None:
        """Get ready for so many new tokens of each sequence: the places where their keys and values
        go, and for few tokens the bags of `attend`; for all layers at once, since every operation
        costs microseconds.
        """
        end = self.length + tokens
        used = -(-end // BLOCK)
        self.new: list[
            tuple[Sequence[Tensor], Sequence[Tensor]]
        ] = []  # block by block the layers' (B, T, H, 1, D)
        self.counts: list[int] = []
        for block in range(self.length // BLOCK, used):
            first, last = max(self.length - block * BLOCK, 0), min(end - block * BLOCK, BLOCK)
            keys, values = (places[:, block, :, first:last].unbind() for places in self.places)
            self.new.append((keys, values))
            self.counts.append(last - first)
        if tokens <= FEW_TOKENS:
            self._begin_bags(tokens, end, used)

    def _begin_bags(self, tokens: int, end: int, used: int) -> None:
        batch, heads, head = self.keys.shape[2:5]
        rows = batch * tokens * heads
        if self.ready != (tokens, used):
            self.tables = [
                part[:, :used].flatten(1, 4).unbind() for part in (self.keys, self.values)
            ]
            # once for each block
            self.queries = torch.empty((batch, tokens, heads, used, head), dtype=torch.bfloat16)
            self.flat_queries = self.queries.view(-1)
            self.key_bags = bags(used, batch, tokens, heads, head)
            self.positions = bags(used, batch, tokens, heads, BLOCK)[0].view(rows, -1)
            self.ready = (tokens, used)
        self.value_bags = (
            self.positions[:, :end].flatten(),
            torch.arange(0, rows * end, end, dtype=torch.int32),
        )
        # shape and strides, without what stands in the last block behind the end
        self.scores = ((rows, end), (used * BLOCK, 1))
        # which positions each of several new tokens may not see: (T, 1, positions)
        self.later = (
            None if tokens == 1 else ~causal_mask(tokens, self.length, self.keys.device)[:, None]
        )

    def append(self, layer: int, k_BTH1D: Tensor, v_BTH1D: Tensor) -> None:
        """Store the keys and values of the tokens that `begin` was told of, behind the first
        `length` positions.
        """
        if len(self.new) == 1:
            keys, values = self.new[0]
            keys[layer].copy_(k_BTH1D)
            values[layer].copy_(v_BTH1D)
            return
        parts = zip(
            self.new,
            k_BTH1D.split(self.counts, dim=1),
            v_BTH1D.split(self.counts, dim=1),
            strict=True,
        )
        for (keys, values), k, v in parts:
            keys[layer].copy_(k)
            values[layer].copy_(v)

    def read(self, layer: int, end: int) -> tuple[Tensor, Tensor]:
        """The first `end` positions' keys and values as (B, H, S, D), copied."""
        used = -(-end // BLOCK)
        keys = self.keys[layer, :used].permute(1, 2, 0, 4, 3)
        values = self.values[layer, :used].permute(1, 2, 0, 3, 4)
        return keys.flatten(2, 3)[:, :, :end], values.flatten(2, 3)[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Drop all batch rows but these (the others have ended)."""
        used = -(-self.length // BLOCK)
        self._hold(_kept(self.keys, rows, used), _kept(self.values, rows, used))

    def attend(self, layer: int, q_BTH1D: Tensor, k_BTH1D: Tensor, v_BTH1D: Tensor) -> Tensor:
        """Attention (B · T · H, D) of few new tokens, whose queries are scaled already, to what
        stands before and to themselves.
        """
        self.append(layer, k_BTH1D, v_BTH1D)
        self.queries.copy_(q_BTH1D)
        keys, values = self.tables[0][layer], self.tables[1][layer]
        scores = torch.embedding_bag(keys, *self.key_bags, False, 0, False, self.flat_queries)[
            0
        ].as_strided(*self.scores)
        if self.later is not None:
            # (B, T, H, positions)
            scores = scores.unflatten(0, self.queries.shape[:3]).masked_fill_(
                self.later, -torch.inf
            )
        weights = scores.softmax(dim=-1).flatten()
        return torch.embedding_bag(values, *self.value_bags, False, 0, False, weights)[0]


@lru_cache(maxsize=16)
def bags(blocks: int, batch: int, tokens: int, heads: int, size: int) -> tuple[Tensor, Tensor]:
    """Which rows of a (blocks · B · H · size) table each of B · T · H · blocks bags holds, and
    where a bag begins among these.
    """
    ids = (
        torch.arange(blocks * batch * heads * size, dtype=torch.int32)
        .view(blocks, batch, 1, heads, size)
        .permute(1, 2, 3, 0, 4)
    )
    ids = ids.expand(-1, tokens, -1, -1, -1).flatten()
    return ids, torch.arange(0, len(ids), size, dtype=torch.int32)


def _kept(part: Tensor, rows: Tensor, used: int) -> Tensor:
    """The same for some rows of the batch; of the blocks those alone that are in use are copied."""
    kept = part.new_empty((*part.shape[:2], int(rows.sum()), *part.shape[3:]))
    kept[:, :used] = part[:, :used, rows]
    return kept
