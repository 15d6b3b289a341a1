"""GPT-2 for generation on a GPU: fixed places in memory, so that a step is one replay of a CUDA
graph.

What `model.py` computes. A step of a small model is a few hundred kernels of some microseconds,
which Python launches more slowly than a GPU runs them; a graph launches all of them at once, but
only ever on the same addresses and shapes. So keys and values stand in one block of a span, the
position is a number on the device, and attention looks at the whole span of the cache, with a mask,
where the span is the next power of two: few shapes, and short texts don't pay for the whole
context. On a CPU, or for many tokens at once (a prompt), the same code runs without a graph.

Axes as in model.py; S = the span.
Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs; gpt-fast (static cache,
one graph a step).
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from staged.model.gpt2.model import GPT2, Attention, Block

VOCABULARY_MULTIPLE = 64
SHORTEST_SPAN = 128
GRAPHED_TOKENS = (
    8  # at most so many in a call are replayed: a step, and a draft's tokens under judgement
)
WARMUPS = 2  # runs before the capture, in which libraries choose their kernels


def static_is_native() -> bool:
    """Whether there is a GPU that PyTorch can use and that computes in bfloat16."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


@dataclass
class Step:
    """A captured call: tokens (B, T), the position it reads, where logits (B, T, V) appear."""

    graph: torch.cuda.CUDAGraph
    tokens: Tensor
    position: Tensor
    logits: Tensor


@dataclass
class Store:
    """A (layers, 2, B, H, S, D) block of keys and values and the graphs over it: by rows, tokens
    and span.
    """

    kv: Tensor
    steps: dict[tuple[int, int, int], Step] = field(default_factory=dict)


class StaticCache:
    """Keys and values of the first `rows` rows of a store; `length` may be set back."""

    def __init__(self, store: Store, rows: int) -> None:
        self.store, self.rows, self.length = store, rows, 0

    def keep(self, rows: Tensor) -> None:
        """Drop all batch rows but these; the others move to the front, within the same memory."""
        chosen = rows.nonzero()[:, 0].to(self.store.kv.device)
        for layer in self.store.kv:  # one at a time: moving takes a copy
            layer[:, : len(chosen)] = layer[:, chosen]
        self.rows = len(chosen)


class StaticGPT2:
    """Generates like `GPT2` and keeps its surface: `config`, `device`, `new_cache`, calling it,
    `next_logits`.

    Args:
        model: in evaluation mode, in its precision and on its device; its embedding is replaced by
            a padded copy.
    """

    @torch.no_grad()
    def __init__(self, model: GPT2) -> None:
        self.config, self.device = model.config, model.device
        self.blocks = cast(list[Block], list(model.h))
        self.ln_f = model.ln_f
        self.wpe = model.wpe.weight
        # rows of an odd number are slow to multiply
        padding = -self.config.n_vocab % VOCABULARY_MULTIPLE
        self.wte = F.pad(model.wte.weight, (0, 0, 0, padding))
        self.pool = torch.cuda.graph_pool_handle() if self.device.type == "cuda" else None
        self.spare: list[
            Store
        ] = []  # of caches that are gone: at most one, whose graphs serve the next batch

    def new_cache(self, batch: int, positions: int | None = None) -> StaticCache:
        """An empty cache for `batch` sequences of so many positions, by default the whole context;
        where the last one stood if nobody holds that any more and it is large enough.
        """
        store = self.spare.pop() if self.spare else None
        span = span_of(positions or self.config.n_ctx, self.config.n_ctx)
        if store is None or store.kv.size(2) < batch or store.kv.size(4) < span:
            store = None  # first, so that its memory serves the new one
            store = Store(self._new_block(batch, span))
        cache = StaticCache(store, batch)
        weakref.finalize(cache, _give_back, self.spare, store).atexit = False
        return cache

    @torch.inference_mode(False)
    def _new_block(self, batch: int, span: int) -> Tensor:
        config = self.config
        shape = (config.n_layer, 2, batch, config.n_head, span, config.n_embd // config.n_head)
        # what is masked counts 0 times what stands there
        return torch.zeros(shape, dtype=self.wte.dtype, device=self.device)

    def __call__(self, tokens_BT: Tensor, cache: StaticCache) -> Tensor:
        """Logits (B, T, V) for the token after each position; appends to the cache.

        Raises:
            ValueError: more tokens than the context holds.
        """
        return self._logits(tokens_BT, cache, last=tokens_BT.size(1))

    def next_logits(self, tokens_BT: Tensor, cache: StaticCache) -> Tensor:
        """Float32 logits (B, V) for the token after the last; appends to the cache."""
        return self._logits(tokens_BT, cache, last=1)[:, 0].float()

    @torch.no_grad()
    def _logits(self, tokens_BT: Tensor, cache: StaticCache, *, last: int) -> Tensor:
        end = cache.length + tokens_BT.size(1)
        if end > self.config.n_ctx:
            raise ValueError(f"{end} tokens don't fit a context of {self.config.n_ctx}")
        span = span_of(end, self.config.n_ctx)
        if self.pool is not None and tokens_BT.size(1) <= GRAPHED_TOKENS:
            logits_BTV = self._replay(tokens_BT, cache, span)
        else:
            position = torch.tensor(cache.length, device=self.device)
            hidden_BTC = self._hidden(
                tokens_BT.to(self.device), position, cache.store.kv[:, :, : cache.rows], span
            )
            logits_BTV = F.linear(hidden_BTC[:, -last:], self.wte)
        cache.length = end
        return logits_BTV[:, -last:, : self.config.n_vocab]

    def _hidden(self, tokens_BT: Tensor, position: Tensor, kv: Tensor, span: int) -> Tensor:
        """Final hidden states (B, T, C) of tokens that stand at `position` (a number on the device)
        and after it.
        """
        positions_T = position + torch.arange(tokens_BT.size(1), device=self.device)
        later_TS = torch.arange(span, device=self.device) > positions_T[:, None]
        mask_TS = torch.zeros(later_TS.shape, dtype=self.wte.dtype, device=self.device).masked_fill(
            later_TS, -torch.inf
        )
        x_BTC = F.embedding(tokens_BT, self.wte) + F.embedding(positions_T, self.wpe)
        for layer, block in enumerate(self.blocks):
            x_BTC = x_BTC + attend(block.attn, block.ln_1(x_BTC), kv[layer], positions_T, mask_TS)
            x_BTC = x_BTC + block.mlp(block.ln_2(x_BTC))
        hidden_BTC: Tensor = self.ln_f(x_BTC)
        return hidden_BTC

    def _replay(self, tokens_BT: Tensor, cache: StaticCache, span: int) -> Tensor:
        """Logits (B, T, V) by the graph for this shape, which is captured when first asked for."""
        key = (*tokens_BT.shape, span)
        step = cache.store.steps.get(key)
        if step is None:
            step = cache.store.steps[key] = self._capture(tokens_BT, cache, span)
        step.tokens.copy_(tokens_BT)
        step.position.fill_(cache.length)
        step.graph.replay()
        return step.logits.clone()  # the next replay writes in the same place

    @torch.inference_mode(False)
    @torch.no_grad()
    def _capture(self, tokens_BT: Tensor, cache: StaticCache, span: int) -> Step:
        """Run the call some times, which leaves in the cache what the call itself will write there,
        and record it.
        """
        tokens_BT = tokens_BT.to(self.device, copy=True)
        position = torch.tensor(cache.length, device=self.device)
        kv = cache.store.kv[:, :, : cache.rows]
        beside = torch.cuda.Stream(self.device)
        beside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(beside):
            for _ in range(WARMUPS):
                F.linear(self._hidden(tokens_BT, position, kv, span), self.wte)
        torch.cuda.current_stream(self.device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            logits_BTV = F.linear(self._hidden(tokens_BT, position, kv, span), self.wte)
        return Step(graph, tokens_BT, position, logits_BTV)


def attend(
    attention: Attention, x_BTC: Tensor, kv: Tensor, positions_T: Tensor, mask_TS: Tensor
) -> Tensor:
    """Self-attention (B, T, C) over the first S places of one layer's (2, B, H, span, D) keys and
    values, written into them.

    Args:
        mask_TS: 0 where a token may look, −∞ elsewhere, in the precision of x: made of booleans, it
            would be made in every layer.
    """
    B, T, C = x_BTC.shape
    qkv = attention.c_attn(x_BTC).view(B, T, 3, attention.n_head, -1).permute(2, 0, 3, 1, 4)
    kv.index_copy_(3, positions_T, qkv[1:])
    keys, values = kv[:, :, :, : mask_TS.size(1)]
    y_BHTD = F.scaled_dot_product_attention(qkv[0], keys, values, attn_mask=mask_TS)
    y_BTC: Tensor = attention.c_proj(y_BHTD.transpose(1, 2).reshape(B, T, C))
    return y_BTC


def span_of(end: int, n_ctx: int) -> int:
    """The smallest power of two from `SHORTEST_SPAN` on that holds `end`, at most the context."""
    return min(n_ctx, max(SHORTEST_SPAN, 1 << (end - 1).bit_length()))


def _give_back(spare: list[Store], store: Store) -> None:
    spare[:] = [store]
