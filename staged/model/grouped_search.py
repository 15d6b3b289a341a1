"""Choosing among 50,257 logits without sorting them, exactly: in groups first and then inside the
one that matters, or, for top-k, by one partial selection.

On a GPU one pass over everything is quicker than many small ones, and nothing here may look at a
result: that would wait for it.

Axes: B rows · V vocabulary · G groups · W tokens in a group · K candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGE = 8192  # vocabularies up to here are searched plainly: it is as fast
WIDTH = 64
# tokens looked at beyond the k that top-k needs, so that ties at its edge seldom need a second look
SPARE = 16


def argmax(logits_BV: Tensor) -> Tensor:
    """(B,) the token with the largest logit, the first of equals."""
    if _plainly(logits_BV):
        return logits_BV.argmax(dim=1)
    grouped_BGW, tail_BW = _groups(logits_BV)
    group_B = grouped_BGW.amax(dim=2).argmax(dim=1)
    rows = torch.arange(len(group_B), device=logits_BV.device)
    tokens_B = group_B * WIDTH + grouped_BGW[rows, group_B].argmax(dim=1)
    if tail_BW.size(1):
        best_B, at_B = tail_BW.max(dim=1)
        tokens_B = torch.where(
            best_B > logits_BV[rows, tokens_B], logits_BV.size(1) - tail_BW.size(1) + at_B, tokens_B
        )
    return tokens_B


def top_k(logits_BV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k most likely tokens and all ties with the k-th, as (logits (B, K) with −∞ for the
    others, token ids (B, K) ascending).

    One partial selection over everything: through groups it is quicker from some 16 rows on only,
    and slower for large k.
    """
    chosen = k + SPARE
    if _plainly(logits_BV) or chosen >= logits_BV.size(1):
        return _plain_top_k(logits_BV, k)
    best_BK, ids_BK = logits_BV.topk(chosen, dim=1)
    least_B1 = best_BK[:, k - 1 : k]
    # there may be more ties of the k-th than were looked at
    if bool((best_BK[:, -1:] == least_B1).any()):
        return _plain_top_k(logits_BV, k)
    ids_BK, order_BK = ids_BK.sort(dim=1)
    values_BK = best_BK.gather(1, order_BK)
    return values_BK.masked_fill(values_BK < least_B1, -torch.inf), ids_BK


def _plain_top_k(logits_BV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    least_B1 = logits_BV.topk(min(k, logits_BV.size(1)), dim=1).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < least_B1, -torch.inf), torch.arange(
        logits_BV.size(1), device=logits_BV.device
    ).expand(logits_BV.shape)


def invert(mass_BV: Tensor, u_B: Tensor) -> Tensor:
    """(B,) the first column whose cumulated mass exceeds u times the total: never one without mass.

    Args:
        mass_BV: float32, ≥ 0, not all 0 in a row; need not sum to 1.
        u_B: float64 in [0, 1).
    """
    if _plainly(mass_BV):
        return _plain_invert(mass_BV, u_B)
    grouped_BGW, tail_BW = _groups(mass_BV)
    sums_BG = torch.cat([grouped_BGW.sum(dim=2), tail_BW.sum(dim=1, keepdim=True)], dim=1).double()
    cumulated_BG = sums_BG.cumsum(dim=1)
    at_B1 = u_B[:, None] * cumulated_BG[:, -1:]
    group_B1 = torch.searchsorted(cumulated_BG, at_B1, right=True)
    sum_B1 = sums_BG.gather(1, group_B1)
    inside_B = ((at_B1 - cumulated_BG.gather(1, group_B1) + sum_B1) / sum_B1)[:, 0].clamp(
        0, 1 - 2**-53
    )
    columns_BW = (group_B1 * WIDTH + torch.arange(WIDTH, device=u_B.device)).clamp(
        max=mass_BV.size(1) - 1
    )
    inside_BW = mass_BV.gather(1, columns_BW)
    # the tail is shorter than a group
    inside_BW[:, 1:].masked_fill_(columns_BW[:, 1:] == columns_BW[:, :-1], 0.0)
    return columns_BW.gather(1, _plain_invert(inside_BW, inside_B)[:, None])[:, 0]


def _plain_invert(mass_BV: Tensor, u_B: Tensor) -> Tensor:
    cumulated = mass_BV.cumsum(dim=1, dtype=torch.float64)
    return torch.searchsorted(cumulated, u_B[:, None] * cumulated[:, -1:], right=True)[:, 0]


def _plainly(x_BV: Tensor) -> bool:
    return x_BV.size(1) <= LARGE or x_BV.is_cuda


def _groups(x_BV: Tensor) -> tuple[Tensor, Tensor]:
    """Whole groups (B, G, W) of neighbouring columns, and the columns left over."""
    whole = x_BV.size(1) // WIDTH
    return x_BV[:, : whole * WIDTH].unflatten(1, (whole, WIDTH)), x_BV[:, whole * WIDTH :]


def columns(is_wanted_BV: Tensor) -> tuple[Tensor, Tensor]:
    """(columns that are wanted (B, K), ascending; whether there are so many (B, K)), K the most of
    a row.
    """
    rows_N, columns_N = is_wanted_BV.nonzero(as_tuple=True)
    counts_B = rows_N.bincount(minlength=len(is_wanted_BV))
    first_B = counts_B.cumsum(dim=0) - counts_B
    places_N = torch.arange(len(rows_N), device=rows_N.device) - first_B[rows_N]
    most = int(counts_B.max())
    columns_BK = rows_N.new_zeros(len(counts_B), most)
    columns_BK[rows_N, places_N] = columns_N
    return columns_BK, torch.arange(most, device=rows_N.device) < counts_B[:, None]
