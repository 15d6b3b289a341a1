"""From logits and one uniform number per row to the next token.

Order as released: logits / temperature → top-k → top-p on what is left → one draw. Top-k keeps ties
with the k-th largest. The nucleus has two readings, `Method.semantics`: `standard` is Holtzman et
al.'s (the smallest set whose mass reaches p: the token that crosses p is kept), as in transformers;
`released` is that of the code released with GPT-2, which drops the token that crosses p, the
likeliest ones apart. Both keep ties with the last token kept. A repetition penalty changes the
logits before all this. Sources: https://github.com/openai/gpt-2/blob/master/src/sample.py; Holtzman
et al. 2020, section 3.1; Keskar et al. 2019 (CTRL).

Axes: B rows · T tokens of a text · V vocabulary · K or N tokens that are left.
"""

from __future__ import annotations

import torch
from torch import Tensor

from staged.model import grouped_search
from staged.samples.methods import Method

RANKED = 2048  # tokens among which a nucleus is looked for before all are ranked
FLOAT = torch.finfo(torch.float32)


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
    mass_BK, ids_BK = _kept(logits_BV, chosen, top_p_B)
    if chosen.top_p[0] < 1:
        mass_BK = mass_BK / mass_BK.sum(dim=1, keepdim=True)
    return mass_BK if ids_BK is None else torch.zeros_like(logits_BV).scatter_(1, ids_BK, mass_BK)


def kept(logits_BV: Tensor, chosen: Method, top_p_B: Tensor) -> tuple[Tensor, Tensor]:
    """What a method that is not greedy leaves: (mass (B, K), 0 of what it drops; token ids (B, K)).
    Mass need not sum to 1.
    """
    mass_BK, ids_BK = _kept(logits_BV, chosen, top_p_B)
    if ids_BK is None:
        ids_BK = torch.arange(mass_BK.size(1), device=mass_BK.device).expand(mass_BK.shape)
    return mass_BK, ids_BK


def _kept(logits_BV: Tensor, chosen: Method, top_p_B: Tensor) -> tuple[Tensor, Tensor | None]:
    """The same, with None in place of the ids of all tokens."""
    mass_BK, ids_BK = _mass(logits_BV, chosen)
    if chosen.top_p[0] == 1:
        return mass_BK, ids_BK
    mass_BN, order_BN = _nucleus(mass_BK, top_p_B, chosen.semantics == "released")
    return mass_BN, order_BN if ids_BK is None else ids_BK.gather(1, order_BN)


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
