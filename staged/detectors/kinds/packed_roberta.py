"""A RoBERTa classifier packed for scoring in bulk on a CPU, in bfloat16.

What transformers computes, with less traffic: weight matrices are reordered once for oneDNN, those
of queries, keys and values are one, GELU and the residual run inside a matrix product, and the last
layer computes the first token alone, which is all that the head reads. Attention is plain: batches
are small, and PyTorch's fused kernel takes three times as long here.

Axes: B batch · T tokens · N = B · T · C channels · H heads · D = C / H · I inputs · O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from staged.model.gpt2.packed_linear import bf16_is_native


def can_be_packed(model: Any) -> bool:
    """Whether a classifier is a RoBERTa as it was published, in bfloat16 on a CPU that multiplies
    it natively.
    """
    config = model.config
    is_published = config.model_type == "roberta" and config.hidden_act == "gelu"
    is_here = model.device.type == "cpu" and model.dtype == torch.bfloat16
    return is_published and is_here and bf16_is_native()


class PackedRoberta:
    """The same classifier; embeddings and head stay transformers' own.

    Args:
        model: as `can_be_packed` wants it; later changes of its weights are not seen.
    """

    @torch.no_grad()
    def __init__(self, model: Any) -> None:
        self.embeddings, self.head = model.roberta.embeddings, model.classifier
        layers = model.roberta.encoder.layer
        self.layers = [PackedLayer(layer) for layer in layers[:-1]]
        self.last = PackedLayer(layers[-1], reads_first=True)

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Float32 logits (B, labels) of padded tokens (B, T)."""
        batch, is_padding_BT = len(input_ids), attention_mask == 0
        x_NC = self.embeddings(input_ids).flatten(0, 1)
        padding = is_padding_BT if bool(is_padding_BT.any()) else None
        for layer in (*self.layers, self.last):
            x_NC = layer(x_NC, batch, padding)
        logits_BL: Tensor = self.head(x_NC[:, None])
        return logits_BL.float()


class PackedLayer:
    """norm(x + attention(x)), then norm(x + mlp(x)).

    Args:
        layer: of transformers.
        reads_first: compute only the first token of each text.
    """

    def __init__(self, layer: Any, *, reads_first: bool = False) -> None:
        attention, output = layer.attention.self, layer.attention.output
        self.head_size = attention.attention_head_size
        query, others = [attention.query], [attention.key, attention.value]
        self.first = Projection(query) if reads_first else None
        self.all = Projection(others if reads_first else query + others)
        self.output, self.norm = Projection([output.dense]), output.LayerNorm
        self.up = Projection([layer.intermediate.dense])
        self.down, self.last_norm = Projection([layer.output.dense]), layer.output.LayerNorm

    def __call__(self, x_NC: Tensor, batch: int, padding_BT: Tensor | None) -> Tensor:
        """(N, C), or of the first tokens (B, C)."""
        heads = (batch, len(x_NC) // batch, -1, x_NC.size(1) // self.head_size, self.head_size)
        *queries, keys, values = self.all(x_NC).view(heads).unbind(2)
        if self.first is not None:
            x_NC = x_NC.view(batch, -1, x_NC.size(1))[:, 0].contiguous()
            queries = [self.first(x_NC).view(batch, 1, *heads[3:])]
        y_NC = attended(queries[0], keys, values, padding_BT)
        x_NC = self.norm(self.output.added(y_NC, x_NC))
        read: Tensor = self.last_norm(self.down.added(self.up.gelu(x_NC), x_NC))
        return read


def attended(q_BTHD: Tensor, k_BTHD: Tensor, v_BTHD: Tensor, padding_BT: Tensor | None) -> Tensor:
    """(N, C): of each query the values that it looks at, none of which is padding."""
    batch, tokens, heads, size = q_BTHD.shape
    q, k, v = (
        part.transpose(1, 2).reshape(batch * heads, -1, size) for part in (q_BTHD, k_BTHD, v_BTHD)
    )
    scores = torch.bmm(q * size**-0.5, k.transpose(1, 2))
    if padding_BT is not None:
        scores.view(batch, heads, tokens, -1).masked_fill_(padding_BT[:, None, None], -torch.inf)
    y = torch.bmm(scores.softmax(dim=-1), v)
    return y.view(batch, heads, tokens, size).transpose(1, 2).reshape(batch * tokens, -1)


class Projection:
    """x W + b for the outputs of several of PyTorch's linear modules, side by side."""

    def __init__(self, modules: Sequence[Any]) -> None:
        weight_OI = torch.cat([module.weight for module in modules])
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight_OI.contiguous(), None)
        self.bias = torch.cat([module.bias for module in modules])

    def __call__(self, x_NI: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x_NI, self.weight, self.bias, "none", [], "")

    def gelu(self, x_NI: Tensor) -> Tensor:
        """GELU of it."""
        return torch.ops.mkldnn._linear_pointwise(x_NI, self.weight, self.bias, "gelu", [], "none")

    def added(self, x_NI: Tensor, rest_NO: Tensor) -> Tensor:
        """It, and the rest."""
        return torch.ops.mkldnn._linear_pointwise.binary(
            x_NI, rest_NO, self.weight, self.bias, "add"
        )
