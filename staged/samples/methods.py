"""Sampling methods: from logits and one uniform number per row to the next token.

Order as released: logits / temperature → top-k → top-p on what is left → one draw. Top-k keeps ties with the k-th largest;
the nucleus is Holtzman et al.'s (the smallest set whose mass reaches p: the token that crosses p is kept), as in transformers.
Source: https://github.com/openai/gpt-2/blob/master/src/sample.py; Holtzman et al. 2020, section 3.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from staged.errors import SamplingError
from staged.settings import nearest

NUCLEUS_RANGE = (0.8, 1.0)  # the output dataset drew each document's top-p from here


@dataclass(frozen=True)
class Method:
    """How the next token is drawn.

    Attributes:
        name: as a study calls it, and as samples record it.
        temperature: > 0, or 0 for greedy.
        top_k: keep the k most likely tokens; 0 is off.
        top_p: (low, high): each document draws its p uniformly from here; (1, 1) is off.
    """

    name: str
    temperature: float = 1.0
    top_k: int = 0
    top_p: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise SamplingError(f"method {self.name!r}: temperature must be 0 or more, not {self.temperature}")
        if self.top_k < 0:
            raise SamplingError(f"method {self.name!r}: top-k must be 0 (off) or more, not {self.top_k}")
        if not 0 < self.top_p[0] <= self.top_p[1] <= 1:
            raise SamplingError(f"method {self.name!r}: top-p must lie in (0, 1], not {self.top_p[0]}")


NAMED = {
    "temperature-1": Method("temperature-1"),
    "top-k-40": Method("top-k-40", top_k=40),
    "nucleus": Method("nucleus", top_p=NUCLEUS_RANGE),
    "greedy": Method("greedy", temperature=0.0),
}
PART = re.compile(r"(temperature|top-k|top-p)-(\d+(?:\.\d+)?)")


def method(name: str) -> Method:
    """A method by name: `temperature-1`, `top-k-40`, `nucleus`, `greedy`, or parts joined by `+`: `temperature-0.7+top-p-0.9`.

    Raises:
        SamplingError: no such method.
    """
    if name in NAMED:
        return NAMED[name]
    values: dict[str, float] = {}
    for part in name.split("+"):
        match = PART.fullmatch(part)
        if not match or match[1] in values or (match[1] == "top-k" and "." in match[2]):
            raise SamplingError(
                f"method {name!r}: unknown; {nearest(name, NAMED)} or parts joined by +, such as temperature-0.7+top-k-40"
            )
        values[match[1]] = float(match[2])
    p = values.get("top-p", 1.0)
    return Method(name, values.get("temperature", 1.0), int(values.get("top-k", 0)), (p, p))


def draw(logits_BV: Tensor, u_B: Tensor, chosen: Method, top_p_B: Tensor) -> Tensor:
    """Next token of each row by inverse transform: the first token, in order of decreasing mass or id, whose sum exceeds u.

    Args:
        logits_BV: float32.
        u_B: uniform in [0, 1), one a row.
        top_p_B: each row's p.

    Returns:
        (B,) int64.
    """
    if chosen.temperature == 0:
        return logits_BV.argmax(dim=1)
    logits_BV = logits_BV / chosen.temperature
    if chosen.top_k:
        logits_BV = keep_top_k(logits_BV, chosen.top_k)
    if chosen.top_p[0] < 1:
        return _draw_nucleus(logits_BV, u_B, top_p_B)
    return _invert(logits_BV.softmax(dim=1), u_B)


def keep_top_k(logits_BV: Tensor, k: int) -> Tensor:
    """Logits below the row's k-th largest become −∞; ties with it survive."""
    least = logits_BV.topk(min(k, logits_BV.size(1)), dim=1).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < least, -torch.inf)


def _draw_nucleus(logits_BV: Tensor, u_B: Tensor, top_p_B: Tensor) -> Tensor:
    """Exact, and sorting only few rows: draw from everything, keep a token of the nucleus, sort and draw again for the others.

    A token belongs when the mass of all strictly likelier ones is below p. What is left of u inside a refused token's
    interval is again uniform and serves the second draw, from the nucleus alone.
    """
    mass_BV = logits_BV.softmax(dim=1)
    tokens_B = _invert(mass_BV, u_B)
    likelier = mass_BV * (mass_BV > mass_BV.gather(1, tokens_B[:, None]))
    refused = likelier.sum(dim=1) >= top_p_B
    if bool(refused.any()):
        mass_BV, top_p_B = mass_BV[refused], top_p_B[refused]
        again_B = _remainder(mass_BV, u_B[refused], tokens_B[refused])
        ranked_BV, order_BV = mass_BV.sort(dim=1, descending=True, stable=True)
        before_BV = ranked_BV.cumsum(dim=1) - ranked_BV
        first_BV = before_BV.gather(1, torch.searchsorted(-ranked_BV, -ranked_BV))  # ties stand where the first of them does
        nucleus_BV = ranked_BV.masked_fill(first_BV >= top_p_B[:, None], 0.0)
        tokens_B[refused] = order_BV.gather(1, _invert(nucleus_BV, again_B)[:, None])[:, 0]
    return tokens_B


def _remainder(mass_BV: Tensor, u_B: Tensor, drawn_B: Tensor) -> Tensor:
    """Where u fell within the drawn token's interval, as a number in [0, 1)."""
    cumulated_BV = mass_BV.cumsum(dim=1, dtype=torch.float64)
    width_B = mass_BV.gather(1, drawn_B[:, None])[:, 0].double()
    below_B = cumulated_BV.gather(1, drawn_B[:, None])[:, 0] - width_B
    return ((u_B * cumulated_BV[:, -1] - below_B) / width_B).clamp(0, 1 - 2**-53)


def _invert(mass_BV: Tensor, u_B: Tensor) -> Tensor:
    """The first column whose cumulated mass exceeds u times the total: never one without mass."""
    cumulated = mass_BV.cumsum(dim=1, dtype=torch.float64)
    return torch.searchsorted(cumulated, u_B[:, None] * cumulated[:, -1:], right=True)[:, 0]


def from_numbers(temperature: float | None, top_k: int | None, top_p: float | None) -> Method:
    """A method from its numbers, those not given being off; its name spells them out."""
    values = {"temperature": 1.0 if temperature is None else temperature, "top-k": top_k or 0, "top-p": top_p or 1.0}
    if top_p == 0 or (top_p is not None and not 0 < top_p <= 1):
        raise SamplingError(f"sample: --top-p must lie in (0, 1], not {top_p}")
    name = "+".join(f"{key}-{value:g}" for key, value in values.items() if value != {"top-k": 0}.get(key, 1.0))
    p = float(values["top-p"])
    return Method(name or "temperature-1", float(values["temperature"]), int(values["top-k"]), (p, p))
