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
from torch.nn.functional import pad

from staged.model import grouped_search
from staged.samples.methods import Method

RANKED = 2048  # tokens among which a nucleus is looked for before all are ranked
# masses above which a nucleus is looked for, one after another, the last with all that have any
LIKELY = (2.0**-13, 2.0**-17, 0.0)
ROUNDING = 1e-4  # of a sum of masses, and much more
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
    mass_BK, ids_BK = _mass(logits_BV, chosen)
    if chosen.top_p[0] < 1:
        nucleus_BN, order_BN = _nucleus(mass_BK, top_p_B, chosen.semantics == "released")
        mass_BK = torch.zeros_like(mass_BK).scatter_(
            1, order_BN, nucleus_BN / nucleus_BN.sum(dim=1, keepdim=True)
        )
    return mass_BK if ids_BK is None else torch.zeros_like(logits_BV).scatter_(1, ids_BK, mass_BK)


def kept(logits_BV: Tensor, chosen: Method, top_p_B: Tensor) -> tuple[Tensor, Tensor]:
    """What a method that is not greedy leaves: (mass (B, K), 0 of what it drops; token ids (B, K)).
    Mass need not sum to 1; a column without may name a token that another column has.
    """
    mass_BK, ids_BK = _mass(logits_BV, chosen)
    if ids_BK is None:
        ids_BK = torch.arange(mass_BK.size(1), device=mass_BK.device).expand(mass_BK.shape)
    if chosen.top_p[0] == 1:
        return mass_BK, ids_BK
    released = chosen.semantics == "released"
    mass_BN, order_BN = _small_nucleus(mass_BK, top_p_B, released)
    return mass_BN, ids_BK.gather(1, order_BN)


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
            outside_BK = _outside_ranked(ranked_BK, top_p_B, released)
            # whatever ranks behind it is outside, too
            if count < everything and bool(outside_BK[:, -1].all()):
                break
    return ranked_BK.masked_fill(outside_BK, 0.0), order_BK


def _small_nucleus(mass_BV: Tensor, top_p_B: Tensor, released: bool) -> tuple[Tensor, Tensor]:
    """As `_nucleus`, with no more columns than the largest nucleus has tokens."""
    if mass_BV.is_cuda:  # to ask how many there are would be to wait for the answer
        return _nucleus(mass_BV, top_p_B, released)
    mass_BK, ids_BK = _likely(mass_BV, top_p_B, LIKELY)
    ranked_BK, order_BK = mass_BK.sort(dim=1, descending=True, stable=True)
    outside_BK = _outside_ranked(ranked_BK, top_p_B, released)
    nucleus_BK = ranked_BK.masked_fill(outside_BK, 0.0)
    largest = int((nucleus_BK > 0).sum(dim=1).max())
    return nucleus_BK[:, :largest], ids_BK.gather(1, order_BK)[:, :largest]


def _likely(mass_BV: Tensor, top_p_B: Tensor, least: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """(mass, ids) (B, K) of tokens that hold the nucleus, ids ascending, 0 where a row has fewer:
    those above the first mass of `least` with which they do, which is cheaper than to look for the
    likeliest ones.
    """
    ids_BK, is_there_BK = grouped_search.columns(mass_BV > least[0])
    mass_BK = mass_BV.gather(1, ids_BK) * is_there_BK
    is_open_B = mass_BK.sum(dim=1) < top_p_B + ROUNDING
    if len(least) == 1 or not bool(is_open_B.any()):
        return mass_BK, ids_BK
    more_mass_CK, more_ids_CK = _likely(mass_BV[is_open_B], top_p_B[is_open_B], least[1:])
    wider = (0, max(more_ids_CK.size(1) - ids_BK.size(1), 0))
    mass_BK, ids_BK = pad(mass_BK, wider), pad(ids_BK, wider)
    wider = (0, ids_BK.size(1) - more_ids_CK.size(1))
    mass_BK[is_open_B], ids_BK[is_open_B] = pad(more_mass_CK, wider), pad(more_ids_CK, wider)
    return mass_BK, ids_BK


def _outside_ranked(ranked_BK: Tensor, top_p_B: Tensor, released: bool) -> Tensor:
    """Whether tokens are outside the nucleus, likeliest first; ties stand where the first does."""
    before_BK = ranked_BK.cumsum(dim=1) - ranked_BK
    first_BK = before_BK.gather(1, torch.searchsorted(-ranked_BK, -ranked_BK))
    return _outside(first_BK, ranked_BK, top_p_B, released)


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
