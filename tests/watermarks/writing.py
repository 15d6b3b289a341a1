"""Texts that a watermark marks, drawn from random distributions: what tests of schemes stand on."""

from __future__ import annotations

import torch
from torch import Tensor

from staged.samples.drawing.marking import Marker
from staged.samples.methods import Method
from staged.watermarks.contract import Watermark


class Fixed:
    """One set of logits for each position of each row, drawn by seed."""

    def __init__(self, rows: int, length: int, vocabulary: int, *, spread: float = 2.0) -> None:
        generator = torch.Generator().manual_seed(3)
        self.logits_LBV = spread * torch.randn(length, rows, vocabulary, generator=generator)
        self.u_LB = torch.rand(length, rows, dtype=torch.float64, generator=generator)


def write(watermark: Watermark, source: Fixed, method: Method) -> Tensor:
    """(B, L) marked tokens."""
    rows = source.u_LB.size(1)
    marker = Marker(watermark, rows, len(source.u_LB), torch.device("cpu"))
    top_p_B = torch.full((rows,), method.top_p[0])
    tokens = []
    for logits_BV, u_B in zip(source.logits_LBV, source.u_LB, strict=True):
        tokens.append(marker.draw(logits_BV, u_B, method, top_p_B))
        marker.append(tokens[-1], torch.ones(rows, dtype=torch.bool))
    return torch.stack(tokens, dim=1)


def p_value(watermark: Watermark, tokens: list[int]) -> float:
    """The test of a text written out plainly: each context once, then each draw once."""
    width = watermark.width
    padded = [-1] * width + tokens
    first: dict[tuple[int, ...], int] = {}
    for place, token in enumerate(tokens):
        context = tuple(padded[place : place + width])
        if watermark.takes_short_contexts or -1 not in context:
            first.setdefault(context, token)
    contexts_NW, tokens_N = torch.tensor(list(first)), torch.tensor(list(first.values()))
    draws = watermark.draws(contexts_NW, tokens_N).tolist()
    own = [draws.index(draw) == place for place, draw in enumerate(draws)]
    values_N = watermark.values(contexts_NW[own], tokens_N[own])
    return watermark.p_value(float(values_N.sum()), len(values_N))
