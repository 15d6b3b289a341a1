"""Projections packed for oneDNN on a CPU: a weight matrix reordered once, in bfloat16 or int8.

int8 rounds weights, and for many rows activations, each row of them by itself: a row's numbers do
not depend on its neighbours beyond rounding.

Axes: N rows · I inputs · O outputs · P parts of the outputs.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from staged.model.gpt2.bag_attention import bags

# up to here a table is read once a row, above it is unpacked, which takes as long as reading it
# some eight times
FEW_ROWS = 8
WIDEST_PART = 448  # outputs whose sums FBGEMM holds in registers
# Operations are called without their Python frames: a pass calls them 49 to 386 times. Packed, a
# row is its bytes, their scale, the least number.
PACK_BYTES = torch.ops.quantized.embedding_bag_byte_prepack.default._op
UNPACK_BYTES = torch.ops.quantized.embedding_bag_byte_unpack.default._op
SUM_BYTES = torch.ops.quantized.embedding_bag_byte_rowwise_offsets.default._op
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
    """Whether this processor multiplies int8 matrices itself and PyTorch can ask oneDNN for it."""
    return (
        torch.backends.cpu.get_cpu_capability().startswith("AVX512")
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
        # here, not above: some builds of PyTorch lack it
        self.multiply = torch.ops.onednn.qlinear_pointwise.default._op
        self.zero = torch.zeros(len(q_OI), dtype=torch.int32)
        self.bias, self.gelu = bias_O.float(), gelu

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
        widths = [width for width in range(16, WIDEST_PART + 1, 16) if outputs % width == 0]
        part = max(widths, default=outputs)
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
            held = self.one_row if rows == 1 else self._bags(*x_NI.shape)
            ids, starts, weights, inputs_PNI = held
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
        y_NO = torch.cat([x_NI @ table_IO.to(torch.bfloat16) for table_IO in unpacked], dim=1)
        return y_NO.float().add_(self.bias)


def round_columns(weight_IO: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(int8 weight (O, I), float32 scale of each output, sum of each output's rounded weights)."""
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
