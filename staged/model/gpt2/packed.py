"""GPT-2 packed for generation on a CPU: every weight matrix reordered once for oneDNN, in bfloat16
or int8.

What `model.py` computes, with less traffic: LayerNorm's gain and shift are folded into the
projection behind it, and the scale of queries into theirs, GELU runs inside the matrix product
(bfloat16), the vocabulary is padded to a multiple of 64, residuals stay float32, keys and values
are bfloat16 and attention of a few tokens is sums of their rows (`bag_attention.py`).

int8 rounds weights, and for many rows activations, each row of them by itself: a position's numbers
depend neither on its neighbours nor on its batch beyond rounding. A packed model for one row at a
time (`rows=1`) leaves activations as they are, and rounds them to bfloat16 where it reads more than
8 tokens at once. float32 (`gpt2.GPT2`) is the exact one.

Axes as in model.py; N = B · T rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from staged.model.gpt2.bag_attention import FEW_TOKENS, BlockCache, bags
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import causal_mask

VOCABULARY_MULTIPLE = 64
# up to here a table is read once a row, above it is unpacked, which takes as long as reading it
# some eight times
FEW_ROWS = 8
WIDEST_PART = 448  # outputs whose sums FBGEMM holds in registers
# operations are called without their Python frames: a pass calls them 49 to 386 times
PACK_BYTES = (
    torch.ops.quantized.embedding_bag_byte_prepack.default._op
)  # a row: its bytes, their scale, the least number
UNPACK_BYTES = torch.ops.quantized.embedding_bag_byte_unpack.default._op
SUM_BYTES = torch.ops.quantized.embedding_bag_byte_rowwise_offsets.default._op
PRECISIONS = ("fp32", "bf16", "int8")
After = tuple[str, list[None], str]  # what oneDNN does to a product: its name, scalars, kind


class Linear(Protocol):
    """A packed x W + b: float32 (N, in) → (N, out)."""

    def __call__(self, x_NI: Tensor) -> Tensor: ...


def bf16_is_native() -> bool:
    """Whether this processor multiplies bfloat16 matrices itself."""
    return bool(
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def int8_is_native() -> bool:
    """Whether this processor multiplies int8 matrices itself and PyTorch has oneDNN's operation for
    it.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    return (
        capability.startswith("AVX512")
        and torch.cpu._is_vnni_supported()
        and hasattr(torch.ops.onednn, "qlinear_pointwise")
    )


class Bf16Linear:
    """x W + b in bfloat16 by oneDNN, with GELU fused in when asked."""

    def __init__(self, weight_IO: Tensor, bias_O: Tensor, *, gelu: bool = False) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(
            weight_IO.t().to(torch.bfloat16).contiguous(), None
        )
        self.bias = bias_O.to(torch.bfloat16)
        self.after: After = ("gelu", [], "tanh") if gelu else ("none", [], "")

    def __call__(self, x_NI: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(
            x_NI.to(torch.bfloat16), self.weight, self.bias, *self.after
        )


class Int8Linear:
    """x W + b in int8 by oneDNN, then GELU when asked.

    Each row of x is rounded to unsigned bytes between its least and its largest number: with two
    signed factors oneDNN falls back to its reference code on processors without AMX, a hundred
    times slower. What the least number adds is known beforehand.
    """

    def __init__(self, weight_IO: Tensor, bias_O: Tensor, *, gelu: bool = False) -> None:
        q_OI, self.scale, self.sum_O = round_columns(weight_IO)
        self.weight = torch.ops.onednn.qlinear_prepack(q_OI, None)
        self.multiply = (
            torch.ops.onednn.qlinear_pointwise.default._op
        )  # which some builds of PyTorch lack
        self.zero, self.bias, self.gelu = (
            torch.zeros(len(q_OI), dtype=torch.int32),
            bias_O.float(),
            gelu,
        )

    def __call__(self, x_NI: Tensor) -> Tensor:
        rounded = PACK_BYTES(x_NI.float())
        q_NI = rounded[:, :-8].contiguous()
        scale_N1, least_N1 = rounded[:, -8:].contiguous().view(torch.float32).split(1, dim=1)
        weight = (self.weight, self.scale, self.zero, None)
        y_NO = self.multiply(q_NI, 1.0, 0, *weight, 1.0, 0, torch.float32, "none", [], "")
        torch.addcmul(self.bias, y_NO, scale_N1, out=y_NO).addcmul_(least_N1, self.sum_O)
        return F.gelu(y_NO, approximate="tanh") if self.gelu else y_NO


class Int8FewRowsLinear:
    """x W + b as an embedding bag over a table of bytes, for few rows, which wait for memory; x
    stays as it is.

    The outputs are cut into parts, each a table of its own: a row holds what one input gives to a
    part's outputs, as bytes between its least and its largest number. Two more rows, always of
    weight 1, hold the bias and what rounding that to bytes left of it. Many rows are a product with
    the table unpacked. One row is written where the last one stood: not for two threads at once.
    """

    def __init__(self, weight_IO: Tensor, bias_O: Tensor, *, gelu: bool = False) -> None:
        inputs, outputs = weight_IO.shape
        part = max(
            (width for width in range(16, WIDEST_PART + 1, 16) if outputs % width == 0),
            default=outputs,
        )
        self.parts, self.bias, self.gelu = outputs // part, bias_O.float(), gelu
        bias_P1O = self.bias.view(self.parts, 1, part)
        rest_P1O = bias_P1O - UNPACK_BYTES(PACK_BYTES(bias_P1O[:, 0]))[:, None]
        table_PIO = torch.cat(
            [weight_IO.float().view(inputs, self.parts, part).transpose(0, 1), bias_P1O, rest_P1O],
            dim=1,
        )
        self.table = PACK_BYTES(table_PIO.flatten(0, 1))
        self.one_row = self._bags(1, inputs)

    def __call__(self, x_NI: Tensor) -> Tensor:
        rows = len(x_NI)
        if rows <= FEW_ROWS:
            ids, starts, weights, inputs_PNI = (
                self.one_row if rows == 1 else self._bags(*x_NI.shape)
            )
            inputs_PNI.copy_(x_NI)
            y_NO = SUM_BYTES(self.table, ids, starts, False, 0, False, weights).view(rows, -1)
        else:
            y_NO = self._many(x_NI.to(torch.bfloat16))
        return F.gelu(y_NO, approximate="tanh") if self.gelu else y_NO

    def _bags(self, rows: int, inputs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of so many rows' bags: what each holds, where it begins, the weights (flat), and of these
        the part (P, N, I) for x.
        """
        ids, starts = bags(1, 1, rows, self.parts, inputs + 2)
        weights_NPI = torch.ones(rows, self.parts, inputs + 2)
        return ids, starts, weights_NPI.flatten(), weights_NPI[:, :, :-2].transpose(0, 1)

    def _many(self, x_NI: Tensor) -> Tensor:
        unpacked = UNPACK_BYTES(self.table).unflatten(0, (self.parts, -1))[:, :-2]
        return (
            torch.cat([x_NI @ table_IO.to(torch.bfloat16) for table_IO in unpacked], dim=1)
            .float()
            .add_(self.bias)
        )


def round_columns(weight_IO: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(int8 weight (O, I), float32 scale of each output, sum of each output's weights once
    rounded).
    """
    w_OI = weight_IO.t().float()
    scale_O = w_OI.abs().amax(dim=1).clamp(min=1e-12) / 127
    rounded_OI = (w_OI / scale_O[:, None]).round_()
    return rounded_OI.to(torch.int8).contiguous(), scale_O, rounded_OI.sum(dim=1) * scale_O


def packed(
    weight_IO: Tensor, bias_O: Tensor, precision: str, rows: int, *, gelu: bool = False
) -> Linear:
    """The kind of projection for a precision and a number of rows."""
    if precision == "bf16":
        return Bf16Linear(weight_IO, bias_O, gelu=gelu)
    return (Int8FewRowsLinear if rows == 1 else Int8Linear)(weight_IO, bias_O, gelu=gelu)


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
                weight, bias = fold(
                    take(f"{name}{norm}.weight"), take(f"{name}{norm}.bias"), weight, bias
                )
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
            return cache.attend(
                self.layer, *qkv_N3C.view(batch, tokens, 3, self.n_head, 1, -1).unbind(2)
            ).view(len(qkv_N3C), -1)
        q, k, v = qkv_N3C.to(torch.bfloat16).view(batch, tokens, 3, self.n_head, -1).unbind(2)
        cache.append(self.layer, k.unsqueeze(3), v.unsqueeze(3))
        k, v = (
            cache.read(self.layer, past + tokens)
            if past
            else (k.transpose(1, 2), v.transpose(1, 2))
        )
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
        self.head = packed_head(
            config, take, precision, rows
        )  # first: making it needs the most memory beside the result
        self.blocks = [
            PackedBlock(config, layer, take, precision, rows) for layer in range(config.n_layer)
        ]

    def new_cache(self, batch: int, positions: int | None = None) -> BlockCache:
        """An empty cache for `batch` sequences of so many positions, by default the whole
        context.
        """
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
        h_BTC = (
            torch.embedding(self.wte, tokens_BT).float()
            + self.wpe[cache.length : cache.length + tokens]
        )
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
        hidden_BTC = self.hidden(tokens_BT, cache)
        return (
            self.head(hidden_BTC.flatten(0, 1))
            .float()[:, : self.config.n_vocab]
            .unflatten(0, tokens_BT.shape)
        )

    def next_logits(self, tokens_BT: Tensor, cache: BlockCache) -> Tensor:
        """Float32 logits (B, V) for the token after the last; appends to the cache."""
        return self.head(self.hidden(tokens_BT, cache)[:, -1].contiguous()).float()[
            :, : self.config.n_vocab
        ]
