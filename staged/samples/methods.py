"""Sampling methods: from logits and one uniform number per row to the next token.

Order as released: logits / temperature → top-k → top-p on what is left → one draw. Top-k keeps ties
with the k-th largest. The nucleus has two readings, `Method.semantics`: `standard` is Holtzman et
al.'s (the smallest set whose mass reaches p: the token that crosses p is kept), as in transformers;
`released` is that of the code released with GPT-2, which drops the token that crosses p, the
likeliest ones apart. Both keep ties with the last token kept. A repetition penalty changes the
logits before all this. Sources: https://github.com/openai/gpt-2/blob/master/src/sample.py; Holtzman
et al. 2020, section 3.1; Keskar et al. 2019 (CTRL).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from staged.errors import SamplingError
from staged.model import grouped_search
from staged.settings import LARGEST, nearest

NUCLEUS_RANGE = (0.8, 1.0)  # the output dataset drew each document's top-p from here
SEMANTICS = ("standard", "released")
RANKED = 2048  # tokens among which a nucleus is looked for before all are ranked
FLOAT = torch.finfo(torch.float32)


@dataclass(frozen=True)
class Method:
    """How the next token is drawn.

    Attributes:
        name: as a study calls it, and as samples record it.
        temperature: > 0, or 0 for greedy.
        top_k: keep the k most likely tokens; 0 is off.
        top_p: (low, high): each document draws its p uniformly from here; (1, 1) is off.
        semantics: `standard` or `released`: whether the nucleus keeps the token that crosses p.
    """

    name: str
    temperature: float = 1.0
    top_k: int = 0
    top_p: tuple[float, float] = (1.0, 1.0)
    semantics: str = "standard"

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise SamplingError(
                f"method {self.name!r}: temperature must be 0 or more, not {self.temperature}"
            )
        if not 0 <= self.top_k <= LARGEST:
            raise SamplingError(
                f"method {self.name!r}: top-k must be 0 (off) to {LARGEST:,}, not {self.top_k}"
            )
        if not 0 < self.top_p[0] <= self.top_p[1] <= 1:
            raise SamplingError(
                f"method {self.name!r}: top-p must lie in (0, 1], not {self.top_p[0]}"
            )
        if self.semantics not in SEMANTICS:
            raise SamplingError(
                f"method {self.name!r}: semantics {self.semantics!r}; known: {', '.join(SEMANTICS)}"
            )


NAMED = {
    "temperature-1": Method("temperature-1"),
    "top-k-40": Method("top-k-40", top_k=40),
    "nucleus": Method("nucleus", top_p=NUCLEUS_RANGE),
    "greedy": Method("greedy", temperature=0.0),
}
RELEASED_SUFFIX = "+released"  # at the end of a method's name
PART = re.compile(r"(temperature|top-k|top-p)-(\d+(?:\.\d+)?(?:e-?\d+)?)")


def method(name: str) -> Method:
    """A method by name: `temperature-1`, `top-k-40`, `nucleus`, `greedy`, or parts joined by `+`:
    `temperature-0.7+top-p-0.9`.

    Any of them with `+released` at the end has the released semantics.

    Raises:
        SamplingError: no such method.
    """
    if name.endswith(RELEASED_SUFFIX) and not name.endswith(2 * RELEASED_SUFFIX):
        return under(method(name.removesuffix(RELEASED_SUFFIX)), "released")
    if name in NAMED:
        return NAMED[name]
    values: dict[str, float] = {}
    for part in name.split("+"):
        match = PART.fullmatch(part)
        if not match or match[1] in values or (match[1] == "top-k" and not match[2].isdigit()):
            raise SamplingError(
                f"method {name!r}: unknown; {nearest(name, NAMED)} or parts joined by +, such as"
                " temperature-0.7+top-k-40"
            )
        values[match[1]] = float(match[2])
    p = values.get("top-p", 1.0)
    return Method(name, values.get("temperature", 1.0), int(values.get("top-k", 0)), (p, p))


def under(chosen: Method, semantics: str) -> Method:
    """The same method with other semantics, its name saying so.

    Raises:
        SamplingError: unknown semantics.
    """
    name = chosen.name.removesuffix(RELEASED_SUFFIX)
    return replace(
        chosen,
        name=name + RELEASED_SUFFIX if semantics == "released" else name,
        semantics=semantics,
    )


def penalise(logits_BV: Tensor, seen_BT: Tensor, penalty: float) -> Tensor:
    """Repetition penalty: the logits of tokens that stand in a row's text are divided by it if
    positive, else multiplied.

    Args:
        seen_BT: token ids, the prompt's included; how often one occurs does not matter.
        penalty: > 0; 1 changes nothing.

    Source: Keskar et al. 2019, section 4.1, in the form of transformers'
    RepetitionPenaltyLogitsProcessor.
    """
    logits_BT = logits_BV.gather(1, seen_BT)
    return logits_BV.scatter(
        1, seen_BT, torch.where(logits_BT < 0, logits_BT * penalty, logits_BT / penalty)
    )


def draw(logits_BV: Tensor, u_B: Tensor, chosen: Method, top_p_B: Tensor) -> Tensor:
    """Next token of each row by inverse transform: the first token, in order of decreasing mass or
    id, whose sum exceeds u.

    Args:
        logits_BV: float32, finite or −∞; left as they are.
        u_B: uniform in [0, 1), one a row.
        top_p_B: each row's p.

    Returns:
        (B,) int64.
    """
    if chosen.temperature == 0:
        return grouped_search.argmax(logits_BV)
    mass_BK, ids_BK = _mass(logits_BV, chosen)
    released = chosen.semantics == "released"
    tokens_B = (
        _draw_nucleus(mass_BK, u_B, top_p_B, released)
        if chosen.top_p[0] < 1
        else grouped_search.invert(mass_BK, u_B)
    )
    return tokens_B if ids_BK is None else ids_BK.gather(1, tokens_B[:, None])[:, 0]


def distribution(logits_BV: Tensor, chosen: Method, top_p_B: Tensor) -> Tensor:
    """Float32 (B, V): of each token the probability that `draw` draws it; rows sum to 1."""
    if chosen.temperature == 0:
        return torch.zeros_like(logits_BV).scatter_(
            1, grouped_search.argmax(logits_BV)[:, None], 1.0
        )
    mass_BK, ids_BK = _mass(logits_BV, chosen)
    if chosen.top_p[0] < 1:
        nucleus_BN, order_BN = _nucleus(mass_BK, top_p_B, chosen.semantics == "released")
        mass_BK = torch.zeros_like(mass_BK).scatter_(
            1, order_BN, nucleus_BN / nucleus_BN.sum(dim=1, keepdim=True)
        )
    return mass_BK if ids_BK is None else torch.zeros_like(logits_BV).scatter_(1, ids_BK, mass_BK)


def _mass(logits_BV: Tensor, chosen: Method) -> tuple[Tensor, Tensor | None]:
    """What the temperature leaves of the top-k tokens, of all of them without top-k: (mass (B, K),
    token ids, or None for all).
    """
    ids_BK = None
    if chosen.top_k:  # before the temperature: the same tokens, and no ties by rounding
        logits_BV, ids_BK = grouped_search.top_k(logits_BV, chosen.top_k)
    return _tempered(logits_BV, chosen.temperature).softmax(dim=1), ids_BK


def _tempered(logits_BV: Tensor, temperature: float) -> Tensor:
    """Logits over temperature; the largest becomes 0 first: no temperature makes it overflow."""
    if temperature == 1:
        return logits_BV
    below_BV = logits_BV - logits_BV.amax(dim=1, keepdim=True)
    if FLOAT.tiny <= temperature <= FLOAT.max:
        return below_BV / temperature
    return (below_BV.double() / temperature).float()  # float32 does not hold such a temperature


def _draw_nucleus(mass_BV: Tensor, u_B: Tensor, top_p_B: Tensor, released: bool) -> Tensor:
    """Exact, and ranking only few rows: draw from everything, keep a token of the nucleus, rank and
    draw again for the others.

    What is left of u inside a refused token's interval is again uniform and serves the second draw,
    from the nucleus alone.
    """
    tokens_B = grouped_search.invert(mass_BV, u_B)
    drawn_B1 = mass_BV.gather(1, tokens_B[:, None])
    likelier_B1 = (mass_BV * (mass_BV > drawn_B1)).sum(dim=1, keepdim=True)
    refused_B = _outside(likelier_B1, drawn_B1, top_p_B, released)[:, 0]
    if mass_BV.is_cuda:  # ranks them all: to ask who was refused would be to wait for the answer
        return torch.where(
            refused_B, _draw_again(mass_BV, u_B, tokens_B, top_p_B, released), tokens_B
        )
    if bool(refused_B.any()):
        tokens_B[refused_B] = _draw_again(
            mass_BV[refused_B], u_B[refused_B], tokens_B[refused_B], top_p_B[refused_B], released
        )
    return tokens_B


def _draw_again(
    mass_BV: Tensor, u_B: Tensor, refused_B: Tensor, top_p_B: Tensor, released: bool
) -> Tensor:
    """(B,) tokens of the nucleus, drawn with the rest of u inside the refused tokens' intervals."""
    nucleus_BK, order_BK = _nucleus(mass_BV, top_p_B, released)
    return order_BK.gather(
        1, grouped_search.invert(nucleus_BK, _remainder(mass_BV, u_B, refused_B))[:, None]
    )[:, 0]


def _nucleus(mass_BV: Tensor, top_p_B: Tensor, released: bool) -> tuple[Tensor, Tensor]:
    """(mass, token ids) (B, K), likeliest first, 0 outside the nucleus: of few tokens where they
    hold it, else of all.
    """
    everything = mass_BV.size(1)
    for count in (everything,) if mass_BV.is_cuda else (RANKED, everything):
        if count <= everything:
            ranked_BK, order_BK = mass_BV.topk(count, dim=1)
            before_BK = ranked_BK.cumsum(dim=1) - ranked_BK
            # ties stand where the first of them does
            first_BK = before_BK.gather(1, torch.searchsorted(-ranked_BK, -ranked_BK))
            outside_BK = _outside(first_BK, ranked_BK, top_p_B, released)
            # whatever ranks behind it is outside, too
            if count < everything and bool(outside_BK[:, -1].all()):
                break
    return ranked_BK.masked_fill(outside_BK, 0.0), order_BK


def _outside(likelier_BV: Tensor, mass_BV: Tensor, top_p_B: Tensor, released: bool) -> Tensor:
    """Whether tokens of this mass are outside the nucleus, given the mass of all strictly likelier
    ones.

    Standard: those reach p already. Released: they and one such token exceed p. The likeliest
    tokens are never outside.
    """
    reached_BV = (
        likelier_BV + mass_BV > top_p_B[:, None] if released else likelier_BV >= top_p_B[:, None]
    )
    return reached_BV & (likelier_BV > 0)


def _remainder(mass_BV: Tensor, u_B: Tensor, drawn_B: Tensor) -> Tensor:
    """Where u fell within the drawn token's interval, as a number in [0, 1)."""
    cumulated_BV = mass_BV.cumsum(dim=1, dtype=torch.float64)
    width_B = mass_BV.gather(1, drawn_B[:, None])[:, 0].double()
    below_B = cumulated_BV.gather(1, drawn_B[:, None])[:, 0] - width_B
    return ((u_B * cumulated_BV[:, -1] - below_B) / width_B).clamp(0, 1 - 2**-53)


def from_numbers(temperature: float | None, top_k: int | None, top_p: float | None) -> Method:
    """A method of standard semantics from its numbers, those not given being off; `method` reads
    its name back exactly.
    """
    values = {
        "temperature": 1.0 if temperature is None else temperature,
        "top-k": top_k or 0,
        "top-p": top_p or 1.0,
    }
    if top_p is not None and not 0 < top_p <= 1:
        raise SamplingError(f"sample: --top-p must lie in (0, 1], not {top_p}")
    name = "+".join(
        f"{key}-{_digits(value)}"
        for key, value in values.items()
        if value != {"top-k": 0}.get(key, 1.0)
    )
    p = float(values["top-p"])
    return Method(
        name or "temperature-1", float(values["temperature"]), int(values["top-k"]), (p, p)
    )


def _digits(value: float) -> str:
    """The fewest that give the same number back, without the + that joins the parts of a name."""
    return (
        repr(value + 0.0 if isinstance(value, float) else value)
        .removesuffix(".0")
        .replace("e+", "e")
    )
