"""How likely a model finds given tokens, in sliding windows over texts longer than its context.

Axes: B windows · T tokens of the longest · C hidden width · M scored tokens · V vocabulary.
A sequence is token ids whose first is only context (`<|endoftext|>`, usually; some families have
several); token t ≥ 1 is predicted from tokens before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from staged.model.causal import CausalLM
from staged.model.reading.encoding import Ids
from staged.progress import Progress, silent
from staged.storage.pieces import ARRAY, cached

LOGITS_AT_ONCE = 2**24  # 64 MB of float32: 333 tokens of GPT-2's vocabulary
# Tokens of a window by which a batch's memory is reckoned: GPT-2 has fewer, and eight windows of a
# context of 131,072 are more than a machine holds.
WIDE = 4096

Nats = npt.NDArray[np.float32]


class Window(NamedTuple):
    """Tokens start … end − 1 of a sequence are read, first … end scored; start < first ≤ end."""

    sequence: int
    start: int
    end: int
    first: int

    @property
    def scored(self) -> int:
        """How many tokens."""
        return self.end - self.first + 1


def sliding_windows(
    sequence: int, length: int, *, n_ctx: int, stride: int, before: int = 1
) -> Iterator[Window]:
    """Windows over a sequence of `length` tokens that score each token but the first exactly once.

    A window reads n_ctx tokens (the last one fewer) and starts `stride` after the one before it. So
    a token is predicted from all tokens before it while these are at most n_ctx, later from n_ctx −
    stride + 1 … n_ctx of them.

    Args:
        sequence: its index, passed on.
        stride: 1 … n_ctx. At n_ctx the windows don't overlap; at 1 every token sees as much as the
            model can.
        before: how many tokens at the sequence's beginning are context only.
    """
    first = before
    for start in range(0, length - 1, stride):
        if first == length:
            return
        end = min(start + n_ctx, length - 1)
        yield Window(sequence, start, end, first)
        first = end + 1


def score(
    model: CausalLM, sequences: Sequence[Ids], windows: Sequence[Window], *, batch: int
) -> Iterator[tuple[int, Nats, Tensor]]:
    """Score the windows, longest first.

    Args:
        batch: windows of full context (of WIDE tokens, where that is longer) computed at once, or
            more shorter ones of as many tokens together.

    Yields:
        Of each window its index, its tokens' negative log-likelihoods in nats, (first … end), and
        of each token whether it is the model's first choice.
    """
    for indices in batches(windows, _budget_tokens(model, batch)):
        group = [windows[index] for index in indices]
        nats_M, chosen_M = score_batch(model, sequences, group)
        sizes = [window.scored for window in group]
        for index, nats, chosen in zip(
            indices, nats_M.split(sizes), chosen_M.split(sizes), strict=True
        ):
            yield index, nats.numpy(), chosen


def _budget_tokens(model: CausalLM, batch: int) -> int:
    """How many tokens are read at once."""
    return batch * min(model.n_ctx, WIDE)


def batches(windows: Sequence[Window], budget_tokens: int) -> Iterator[list[int]]:
    """Indices of windows of similar length, longest first, whose padded tokens are at most the
    budget (but always one window).
    """
    group: list[int] = []
    widest = 0
    for index in sorted(range(len(windows)), key=lambda i: windows[i].start - windows[i].end):
        if group and (len(group) + 1) * widest > budget_tokens:
            yield group
            group = []
        if not group:
            widest = windows[index].end - windows[index].start
        group.append(index)
    if group:
        yield group


@torch.inference_mode()
def score_batch(
    model: CausalLM, sequences: Sequence[Ids], group: Sequence[Window]
) -> tuple[Tensor, Tensor]:
    """(M,) nats and (M,) first choices of one batch, window after window."""
    device = model.head.device
    # causal: padding is not seen
    tokens_BT = torch.zeros(len(group), max(w.end - w.start for w in group), dtype=torch.int64)
    for row, w in enumerate(group):
        tokens_BT[row, : w.end - w.start] = torch.from_numpy(sequences[w.sequence][w.start : w.end])
    hidden_BTC = model.hidden(tokens_BT.to(device))
    hidden_MC = torch.cat(
        [hidden_BTC[row, w.first - 1 - w.start : w.end - w.start] for row, w in enumerate(group)]
    )
    targets_M = np.concatenate([sequences[w.sequence][w.first : w.end + 1] for w in group])
    return _nats(hidden_MC, torch.from_numpy(targets_M).long().to(device), model.head)


def _nats(hidden_MC: Tensor, targets_M: Tensor, head_VC: Tensor) -> tuple[Tensor, Tensor]:
    """Float32 cross-entropies and first choices, on the processor, `LOGITS_AT_ONCE` at a time."""
    rows = max(1, LOGITS_AT_ONCE // head_VC.size(0))
    nats, chosen = [], []
    for hidden, targets in zip(hidden_MC.split(rows), targets_M.split(rows), strict=True):
        logits = F.linear(hidden, head_VC).float()
        nats.append(F.cross_entropy(logits, targets, reduction="none").cpu())
        chosen.append((logits.argmax(dim=1) == targets).cpu())
    return torch.cat(nats), torch.cat(chosen)


def token_nats(
    model: CausalLM,
    sequences: Sequence[Ids],
    *,
    stride: int,
    batch: int,
    before: int = 1,
    blocks: Path | None = None,
    progress: Progress = silent,
) -> list[Nats]:
    """Of each sequence the negative log-likelihood of each token behind its context, in nats.

    Args:
        stride: tokens from one window to the next, 1 … n_ctx.
        batch: full windows computed at once.
        before: how many tokens at each sequence's beginning are context only.
        blocks: a folder that receives each batch's result, and from which those already there are
            read.
        progress: called with (tokens scored, all).
    """
    windows = [
        window
        for i, ids in enumerate(sequences)
        for window in sliding_windows(i, len(ids), n_ctx=model.n_ctx, stride=stride, before=before)
    ]
    sequence_nats = [np.full(len(ids) - before, np.nan, dtype=np.float32) for ids in sequences]
    done, total = 0, sum(map(len, sequence_nats))
    groups = [
        [windows[i] for i in indices] for indices in batches(windows, _budget_tokens(model, batch))
    ]
    pieces = (
        (f"{number:09d}.npy", partial(_batch_nats, model, sequences, group))
        for number, group in enumerate(groups)
    )
    for group, nats_M in zip(groups, cached(blocks, pieces, ARRAY), strict=True):
        ends = np.cumsum([window.scored for window in group])[:-1]
        for window, nats in zip(group, np.split(nats_M, ends), strict=True):
            sequence_nats[window.sequence][window.first - before : window.end - before + 1] = nats
        done += len(nats_M)
        progress(done, total)
    return sequence_nats


def _batch_nats(model: CausalLM, sequences: Sequence[Ids], group: Sequence[Window]) -> Nats:
    """(M,) nats of one batch, window after window."""
    nats_M: Nats = score_batch(model, sequences, group)[0].numpy()
    return nats_M
