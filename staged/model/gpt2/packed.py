"""GPT-2 packed for generation on a CPU: every weight matrix reordered once for oneDNN, in bfloat16
or int8 (`packed_linear.py`).

What `model.py` computes, with less traffic: LayerNorm's gain and shift are folded into the
projection behind it, and the scale of queries into theirs, GELU runs inside the matrix product
(bfloat16), the vocabulary is padded to a multiple of 64, residuals stay float32, keys and values
are bfloat16 and attention of a few tokens is sums of their rows (`bag_attention.py`).

A position's numbers depend neither on its neighbours nor on its batch beyond rounding. A packed
model for one row at a time (`rows=1`) leaves activations as they are, and rounds them to bfloat16
where it reads more than 8 tokens at once. float32 (`gpt2.GPT2`) is the exact one.

Axes as in model.py; N = B · T rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from staged.model.gpt2.bag_attention import FEW_TOKENS, BlockCache
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import causal_mask
from staged.model.gpt2.packed_linear import Linear, packed

VOCABULARY_MULTIPLE = 64
PRECISIONS = ("fp32", "bf16", "int8")


class PackedBlock:
    """h + attn(norm(h)), then h + mlp(norm(h)), on N rows of B sequences."""

    def __init__(
        self,
        config: GPT2Config,
        layer: int,
        take: Callable[[str], Tensor],
        precision: str,
        rows: int,
    ) -> None:
        self.n_head, self.layer = config.n_head, layer
        name = f"h.{layer}."

        def pack(norm: str, projection: str, *, gelu: bool = False) -> Linear:
            weight, bias = take(f"{name}{projection}.weight"), take(f"{name}{projection}.bias")
            if norm:
                gain, shift = take(f"{name}{norm}.weight"), take(f"{name}{norm}.bias")
                weight, bias = fold(gain, shift, weight, bias)
            if projection == "attn.c_attn":
                scale_3C = torch.ones(3, config.n_embd)
                scale_3C[0] = (config.n_embd / config.n_head) ** -0.5  # of queries
                weight, bias = weight * scale_3C.flatten(), bias * scale_3C.flatten()
            return packed(weight, bias, precision, rows, gelu=gelu)

        self.c_attn, self.attn_proj = pack("ln_1", "attn.c_attn"), pack("", "attn.c_proj")
        self.c_fc, self.mlp_proj = pack("ln_2", "mlp.c_fc", gelu=True), pack("", "mlp.c_proj")

    def __call__(self, h_NC: Tensor, cache: BlockCache, batch: int) -> Tensor:
        h_NC = self.attn_proj(self._attend(self.c_attn(normalise(h_NC)), cache, batch)) + h_NC
        return h_NC.add_(self.mlp_proj(self.c_fc(normalise(h_NC))))

    def _attend(self, qkv_N3C: Tensor, cache: BlockCache, batch: int) -> Tensor:
        tokens, past = len(qkv_N3C) // batch, cache.length
        if tokens <= FEW_TOKENS:
            q, k, v = qkv_N3C.view(batch, tokens, 3, self.n_head, 1, -1).unbind(2)
            return cache.attend(self.layer, q, k, v).view(len(qkv_N3C), -1)
        q, k, v = qkv_N3C.to(torch.bfloat16).view(batch, tokens, 3, self.n_head, -1).unbind(2)
        cache.append(self.layer, k.unsqueeze(3), v.unsqueeze(3))
        if past:
            k, v = cache.read(self.layer, past + tokens)
        else:
            k, v = k.transpose(1, 2), v.transpose(1, 2)
        mask = causal_mask(tokens, past, q.device) if past else None
        y_BHTD = F.scaled_dot_product_attention(
            q.transpose(1, 2), k, v, attn_mask=mask, is_causal=past == 0, scale=1.0
        )
        return y_BHTD.transpose(1, 2).reshape(len(qkv_N3C), -1)


def normalise(h_NC: Tensor) -> Tensor:
    """LayerNorm without gain and shift, which are folded into the next projection."""
    return torch.native_layer_norm(h_NC, h_NC.shape[1:], None, None, 1e-5)[0]


def fold(
    gain_I: Tensor, shift_I: Tensor, weight_IO: Tensor, bias_O: Tensor
) -> tuple[Tensor, Tensor]:
    """(weight, bias) that do to a bare LayerNorm's output what gain, shift, weight and bias did."""
    weight_IO = weight_IO.float()
    return gain_I.float()[:, None] * weight_IO, bias_O.float() + shift_I.float() @ weight_IO


def packed_head(
    config: GPT2Config, take: Callable[[str], Tensor], precision: str, rows: int
) -> Linear:
    """The output head, tied to `wte`, with `ln_f` folded in and the vocabulary padded."""
    n_vocab = -(-config.n_vocab // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    head_CV = F.pad(take("wte.weight").float(), (0, 0, 0, n_vocab - config.n_vocab)).t()
    head_CV, bias_V = fold(take("ln_f.weight"), take("ln_f.bias"), head_CV, torch.zeros(n_vocab))
    return packed(head_CV, bias_V, precision, rows)


class PackedGPT2:
    """Generates like `GPT2` and keeps its surface: `config`, `device`, `new_cache`, calling it,
    `next_logits`.

    Args:
        config: the shape.
        take: tensor of a hub name, read when called and forgotten after it is packed, so that
            loading never holds two copies.
        precision: `bf16` or `int8`; ask `bf16_is_native`, `int8_is_native` first.
        rows: how many sequences it will mostly run at once; int8 keeps its weights in another form
            for one.
    """

    @torch.no_grad()
    def __init__(
        self, config: GPT2Config, take: Callable[[str], Tensor], *, precision: str, rows: int = 16
    ) -> None:
        self.config, self.precision, self.device = config, precision, torch.device("cpu")
        self.wte, self.wpe = take("wte.weight").to(torch.bfloat16), take("wpe.weight").float()
        # first: making it needs the most memory beside the result
        self.head = packed_head(config, take, precision, rows)
        self.blocks = [
            PackedBlock(config, layer, take, precision, rows) for layer in range(config.n_layer)
        ]

    def new_cache(self, batch: int, positions: int | None = None) -> BlockCache:
        """An empty cache for `batch` sequences of so many positions, by default the context's."""
        return BlockCache(self.config, batch, positions or self.config.n_ctx)

    def hidden(self, tokens_BT: Tensor, cache: BlockCache) -> Tensor:
        """Final hidden states (B, T, C), normalised without gain and shift; appends to the cache.

        Raises:
            ValueError: more tokens than the context holds.
        """
        batch, tokens = tokens_BT.shape
        if cache.length + tokens > self.config.n_ctx:
            raise ValueError(
                f"{cache.length + tokens} tokens don't fit a context of {self.config.n_ctx}"
            )
        places = slice(cache.length, cache.length + tokens)
        h_BTC = torch.embedding(self.wte, tokens_BT).float() + self.wpe[places]
        h_NC = h_BTC.view(batch * tokens, -1)
        cache.begin(tokens)
        for block in self.blocks:
            h_NC = block(h_NC, cache, batch)
        cache.length += tokens
        return normalise(h_NC).view(batch, tokens, -1)

    def __call__(self, tokens_BT: Tensor, cache: BlockCache) -> Tensor:
        """Logits in float32 (in bfloat16 rounded to it first) (B, T, V) for the token after each
        position; appends to the cache.
        """
        logits_NV = self.head(self.hidden(tokens_BT, cache).flatten(0, 1)).float()
        return logits_NV[:, : self.config.n_vocab].unflatten(0, tokens_BT.shape)

    def next_logits(self, tokens_BT: Tensor, cache: BlockCache) -> Tensor:
        """Float32 logits (B, V) for the token after the last; appends to the cache."""
        logits_BV = self.head(self.hidden(tokens_BT, cache)[:, -1].contiguous()).float()
        return logits_BV[:, : self.config.n_vocab]
