"""GPT-2, smallest part first, the whole model last.

Axes: B batch · T tokens in this call · P past tokens in the cache · S = P + T · C = n_embd · H
heads · D = C / H · V vocabulary. Parameter names and (in, out) weight order are the hub layout's,
so a checkpoint's tensors load without renaming or transposing. Source:
https://github.com/openai/gpt-2/blob/master/src/model.py; Radford et al. 2019.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from staged.model.gpt2.config import GPT2Config


class Projection(nn.Module):
    """x W + b with the weight stored (in, out), as TensorFlow and the hub's Conv1D store it."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)


class Cache:
    """Keys and values of the tokens already seen, one (2, B, H, positions, D) block per layer."""

    def __init__(
        self,
        config: GPT2Config,
        batch: int,
        positions: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (config.n_layer, 2, batch, config.n_head, positions, config.n_embd // config.n_head)
        self.kv = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    def append(self, layer: int, k_BHTD: Tensor, v_BHTD: Tensor) -> tuple[Tensor, Tensor]:
        """Store this call's keys and values and return all S of them."""
        end = self.length + k_BHTD.size(2)
        self.kv[layer, 0, :, :, self.length : end] = k_BHTD
        self.kv[layer, 1, :, :, self.length : end] = v_BHTD
        return self.kv[layer, 0, :, :, :end], self.kv[layer, 1, :, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Drop all batch rows but these (the others have ended)."""
        self.kv = self.kv[:, :, rows].contiguous()


class Attention(nn.Module):
    """Causal self-attention; query, key and value are thirds of `c_attn`, a head is contiguous."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        self.n_head, self.layer = config.n_head, layer
        self.c_attn = Projection(config.n_embd, 3 * config.n_embd)
        self.c_proj = Projection(config.n_embd, config.n_embd)

    def forward(self, x_BTC: Tensor, cache: Cache | None) -> Tensor:
        B, T, C = x_BTC.shape
        q, k, v = (
            part.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            for part in self.c_attn(x_BTC).split(C, dim=2)
        )
        past = 0
        if cache is not None:
            past = cache.length
            k, v = cache.append(self.layer, k, v)
        # With a past, row t may look at columns 0 … past + t; a single new token may look at all of
        # them.
        mask = None if past == 0 or T == 1 else causal_mask(T, past, q.device)
        y_BHTD = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=past == 0 and T > 1
        )
        return self.c_proj(y_BHTD.transpose(1, 2).reshape(B, T, C))


def causal_mask(tokens: int, past: int, device: torch.device) -> Tensor:
    """(T, S) booleans, true where row t may look."""
    return torch.ones(tokens, past + tokens, dtype=torch.bool, device=device).tril(past)


class Dropout(nn.Module):
    """Dropout whose randomness is one byte an element: on a CPU several times cheaper than
    Bernoulli draws.

    Args:
        rate: in [0, 1), rounded to a multiple of 1/256.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped_of_256 = round(rate * 256)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped_of_256 == 0:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(
            -(2**63), None
        )
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped_of_256
        return x * kept * (256 / (256 - self.dropped_of_256))


class MLP(nn.Module):
    """Two projections with GPT-2's tanh form of GELU between them."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.c_fc = Projection(config.n_embd, 4 * config.n_embd)
        self.c_proj = Projection(4 * config.n_embd, config.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    """h + attn(ln_1(h)), then h + mlp(ln_2(h))."""

    def __init__(self, config: GPT2Config, layer: int, dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=1e-5)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=1e-5)
        self.mlp = MLP(config)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        x = x + self.drop(self.attn(self.ln_1(x), cache))
        return x + self.drop(self.mlp(self.ln_2(x)))


class GPT2(nn.Module):
    """The whole model; the output head is tied to `wte`.

    Args:
        config: the shape.
        dropout: rate on embeddings and residuals while training.
    """

    def __init__(self, config: GPT2Config, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.n_vocab, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.drop = Dropout(dropout)
        self.h = nn.ModuleList(Block(config, layer, dropout) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=1e-5)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.wte.weight.device

    def hidden(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        """Final hidden states (B, T, C), after `ln_f`; appends to the cache when given one."""
        past = cache.length if cache is not None else 0
        positions_T = torch.arange(past, past + tokens_BT.size(1), device=tokens_BT.device)
        x_BTC = self.drop(self.wte(tokens_BT) + self.wpe(positions_T))
        for block in self.h:
            x_BTC = block(x_BTC, cache)
        if cache is not None:
            cache.length += tokens_BT.size(1)
        return self.ln_f(x_BTC)

    def forward(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        """Logits (B, T, V) for the token after each position."""
        return F.linear(self.hidden(tokens_BT, cache), self.wte.weight)

    def new_cache(self, batch: int, positions: int | None = None) -> Cache:
        """An empty cache for this many rows and positions, by default the whole context, in the
        weights' type and place.
        """
        return Cache(
            self.config,
            batch,
            positions or self.config.n_ctx,
            dtype=self.wte.weight.dtype,
            device=self.device,
        )

    def next_logits(self, tokens_BT: Tensor, cache: Cache) -> Tensor:
        """Float32 logits (B, V) for the token after the last; appends to the cache."""
        return F.linear(self.hidden(tokens_BT, cache)[:, -1], self.wte.weight).float()


def initialise(model: GPT2, generator: torch.Generator) -> None:
    """Fresh weights: N(0, .02), wpe N(0, .01), gains 1, biases 0; residual projections scaled by
    1/√(2L).

    Source: initialisers of gpt-2/src/model.py; the residual scale is the paper's (section 2.3).
    """
    residual = 0.02 / math.sqrt(2 * model.config.n_layer)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(weight)
        elif "ln_" in name:
            nn.init.ones_(weight)
        else:
            std = 0.01 if name.startswith("wpe") else residual if "c_proj" in name else 0.02
            nn.init.normal_(weight, std=std, generator=generator)
