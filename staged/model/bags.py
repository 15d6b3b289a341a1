"""Attention and products of one new token as embedding bags: weighted sums of a table's rows, which read memory once and in order.

An embedding bag is Σ_i w_i table[id_i, :], and what one token asks of a decoder is just that: x W = Σ_i x_i W[i, :], the scores
q·k of all positions are Σ_d q_d K[d, :], and their weighted values Σ_s w_s V[s, :]. PyTorch's kernels for bags (FBGEMM) prefetch
and run at the speed of memory; its matrix products, made for many rows on both sides, take two to four times as long.

Axes as in gpt2.py; G blocks of W positions · N rows · I inputs · O outputs.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from staged.model.config import GPT2Config

BLOCK = 32  # positions: keys are read in whole blocks


class BlockCache:
    """bfloat16 keys and values in blocks of positions: keys (layers, G, B, H, D, W), a position a column, values (…, W, D)."""

    def __init__(self, config: GPT2Config, batch: int) -> None:
        head = config.n_embd // config.n_head
        start = (config.n_layer, -(-config.n_ctx // BLOCK), batch, config.n_head)
        self.keys = torch.empty((*start, head, BLOCK), dtype=torch.bfloat16)
        self.values = torch.empty((*start, BLOCK, head), dtype=torch.bfloat16)
        self.length = 0

    def append(self, layer: int, k_BTHD: Tensor, v_BTHD: Tensor) -> None:
        """Store this call's keys and values behind the first `length` positions."""
        tokens, done = k_BTHD.size(1), 0
        while done < tokens:
            block, at = divmod(self.length + done, BLOCK)
            count = min(tokens - done, BLOCK - at)
            new = slice(done, done + count)
            self.keys[layer, block, ..., at : at + count] = k_BTHD[:, new].permute(0, 2, 3, 1)
            self.values[layer, block, :, :, at : at + count] = v_BTHD[:, new].transpose(1, 2)
            done += count

    def read(self, layer: int, end: int) -> tuple[Tensor, Tensor]:
        """The first `end` positions' keys and values as (B, H, S, D), copied."""
        used = -(-end // BLOCK)
        keys, values = self.keys[layer, :used].permute(1, 2, 0, 4, 3), self.values[layer, :used].permute(1, 2, 0, 3, 4)
        return keys.flatten(2, 3)[:, :, :end], values.flatten(2, 3)[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Drop all batch rows but these (the others have ended)."""
        used = -(-self.length // BLOCK)
        self.keys, self.values = (_kept(part, rows, used) for part in (self.keys, self.values))

    def begin_token(self) -> None:
        """Get ready for one new token: views for all layers at once, since each costs about a microsecond."""
        block, at = divmod(self.length, BLOCK)
        rows, head = self.keys.size(2) * self.keys.size(3), self.keys.size(4)
        self.new_keys, self.new_values = self.keys[:, block, ..., at].unbind(), self.values[:, block, :, :, at].unbind()
        self.tables = [part[:, : block + 1].flatten(1, 4).unbind() for part in (self.keys, self.values)]
        self.key_bags = bags(block + 1, rows, head)
        self.queries = torch.empty((*self.keys.shape[2:4], block + 1, head), dtype=torch.bfloat16)  # once for each block
        places, end = bags(block + 1, rows, BLOCK)[0].view(rows, -1), self.length + 1
        self.value_bags = places[:, :end].flatten(), torch.arange(0, rows * end, end, dtype=torch.int32)

    def attend_once(self, layer: int, q_BHD: Tensor, k_BHD: Tensor, v_BHD: Tensor) -> Tensor:
        """Attention (B · H, D) of the new token, whose query is scaled already, to itself and everything before it."""
        self.new_keys[layer].copy_(k_BHD)
        self.new_values[layer].copy_(v_BHD)
        self.queries.copy_(q_BHD.unsqueeze(2))
        scores = weighted_rows(self.tables[0][layer], self.key_bags, self.queries.view(-1)).view(-1, self.queries.size(2) * BLOCK)
        weights = scores[:, : self.length + 1].softmax(dim=1).flatten()
        return weighted_rows(self.tables[1][layer], self.value_bags, weights)


def weighted_rows(table: Tensor, bags: tuple[Tensor, Tensor], weights: Tensor) -> Tensor:
    """One sum of weighted rows a bag, (bags, columns of the table)."""
    ids, starts = bags
    return torch.embedding_bag(table, ids, starts, False, 0, False, weights)[0]


@lru_cache(maxsize=16)
def bags(blocks: int, rows: int, size: int) -> tuple[Tensor, Tensor]:
    """Which rows of a (blocks · rows · size) table each of rows · blocks bags holds, and where a bag begins among these."""
    ids = torch.arange(blocks * rows * size, dtype=torch.int32)
    return ids.view(blocks, rows, size).transpose(0, 1).flatten(), ids[::size].contiguous()


def _kept(part: Tensor, rows: Tensor, used: int) -> Tensor:
    """The same for some rows of the batch; only blocks in use are copied, the others were never touched."""
    kept = part.new_empty((*part.shape[:2], int(rows.sum()), *part.shape[3:]))
    kept[:, :used] = part[:, :used, rows]
    return kept
