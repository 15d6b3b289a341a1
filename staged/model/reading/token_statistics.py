"""What a language model says of every token of a text: the numbers that all zero-shot scores are
made of.

One forward pass over windows sorted by length; logits exist only for a tile of positions and
vocabulary at a time. Axes: B windows · T tokens · C hidden width · M positions · V vocabulary · N
pieces of the vocabulary · P its width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from staged.model.causal import CausalLM
from staged.model.reading.likelihood import batches, sliding_windows
from staged.progress import Progress, silent

BATCH_TOKENS = {"cpu": 2**11, "cuda": 2**15}  # read at once, padding counted
# Positions × vocabulary whose logits exist at once; they are read several times, and 4 MB of
# float32 stay near a processor.
TILE = {"cpu": (2**10, 2**10), "cuda": (2**11, 2**14)}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenStatistics:
    """Of a text of N tokens, the N − 1 that have one before them; in nats, each array (N − 1,).

    Attributes:
        ids: (N,) all token ids.
        logprob: log p(yₜ | y₍<ₜ₎).
        mean, variance: of log p(v), v drawn from the reference model (the scorer itself without
            one); −mean is the entropy, or the cross-entropy of the two.
        rank: of yₜ, 1 the likeliest, of equals the first.
        after: the mean for the token that would follow the text; NaN where the window has no room
            for it.
    """

    ids: Ints
    logprob: Floats
    mean: Floats
    variance: Floats
    rank: Ints
    after: float


@torch.inference_mode()
def token_statistics(
    scorer: CausalLM,
    sequences: Sequence[Sequence[int]],
    *,
    reference: CausalLM | None = None,
    batch_tokens: int | None = None,
    progress: Progress = silent,
) -> list[TokenStatistics]:
    """Statistics of token sequences under a model, in the order given.

    A sequence longer than the context is read in windows that overlap by half; one of fewer than
    two tokens has none.

    Args:
        sequences: token ids, as the scorer's tokenizer gives them.
        reference: over whose distribution mean and variance are taken; it must share the tokenizer.
        batch_tokens: tokens read at once, padding counted; by default as `BATCH_TOKENS` has it for
            where the model is.
        progress: called with (tokens read, all).
    """
    models = [scorer, *([reference] if reference else [])]
    n_ctx = min(model.n_ctx for model in models)
    windows = [
        w
        for i, ids in enumerate(sequences)
        for w in sliding_windows(i, len(ids), n_ctx=n_ctx, stride=-(-n_ctx // 2))
    ]
    columns = [np.zeros((4, max(len(ids) - 1, 0))) for ids in sequences]
    after = [float("nan")] * len(sequences)
    done, total = 0, sum(w.end - w.start for w in windows)
    for indices in batches(windows, batch_tokens or BATCH_TOKENS[scorer.head.device.type]):
        group = [windows[i] for i in indices]
        texts = [sequences[w.sequence][w.start : w.end + 1] for w in group]
        for w, text, values_4T in zip(group, texts, _statistics(models, texts, n_ctx), strict=True):
            columns[w.sequence][:, w.first - 1 : w.end] = values_4T[
                :, w.first - 1 - w.start : w.end - w.start
            ]
            if w.end + 1 == len(sequences[w.sequence]) and len(text) <= n_ctx:
                after[w.sequence] = float(values_4T[1, -1])
        done += sum(w.end - w.start for w in group)
        progress(done, total)
    return [
        TokenStatistics(
            np.asarray(ids, dtype=np.int64), c[0], c[1], c[2], c[3].astype(np.int64), last
        )
        for ids, c, last in zip(sequences, columns, after, strict=True)
    ]


def _statistics(
    models: Sequence[CausalLM], texts: Sequence[Sequence[int]], n_ctx: int
) -> list[Floats]:
    """Of each text (4, T): log-probability, mean, variance and rank after each of its first n_ctx
    tokens; the targets are the next.

    After a text's last token there is no target: its log-probability and rank are without meaning.
    """
    longest = max(map(len, texts))
    ids_BT = torch.zeros(len(texts), longest + 1, dtype=torch.int64)  # causal: padding is not seen
    for row, ids in enumerate(texts):
        ids_BT[row, : len(ids)] = torch.as_tensor(ids)
    tokens_BT = ids_BT[:, : min(longest, n_ctx)]
    lengths = [min(len(ids), n_ctx) for ids in texts]
    real = torch.arange(tokens_BT.size(1))[None] < torch.tensor(lengths)[:, None]
    device = models[0].head.device
    hidden = [model.hidden(tokens_BT.to(device))[real.to(device)] for model in models]
    targets_M = ids_BT[:, 1 : tokens_BT.size(1) + 1][real]
    values_4M = _of_hidden(models, hidden, targets_M.to(device)).cpu().numpy()
    return np.split(values_4M, np.cumsum(lengths)[:-1], axis=1)


def _of_hidden(models: Sequence[CausalLM], hidden: Sequence[Tensor], targets_M: Tensor) -> Tensor:
    """(4, M) of the models' hidden states (M, C): their logits are made, reduced and forgotten tile
    by tile.
    """
    tile_rows, tile_wide = TILE[targets_M.device.type]
    rows, wide = min(tile_rows, len(targets_M)), min(tile_wide, len(models[0].head))
    heads = [model.head.split(wide) for model in models]
    # fresh memory for every tile costs as much as its product
    room = [h.new_empty(rows * wide) for h in hidden]
    floats = [out if out.dtype == torch.float32 else out.float() for out in room]
    spare = torch.empty_like(floats[0])
    statistics = []
    for *parts, targets in zip(
        *(h.split(rows) for h in hidden), targets_M.split(rows), strict=True
    ):
        expected_M = torch.linalg.vecdot(parts[0].float(), models[0].head[targets].float())
        # the targets' logits, but for the order of the sum
        expected_M = expected_M.to(parts[0].dtype).float()
        pieces = []
        for i, piece in enumerate(zip(*heads, strict=True)):
            tile = len(targets), len(piece[0])
            for h, head, out, as_float in zip(parts, piece, room, floats, strict=True):
                torch.mm(h, head.t(), out=_shaped(out, tile))
                if as_float is not out:
                    _shaped(as_float, tile).copy_(_shaped(out, tile))
            logits = [_shaped(buffer, tile) for buffer in floats]
            pieces.append(_of_tile(logits, _shaped(spare, tile), targets - i * wide, expected_M))
        statistics.append(_joined(torch.stack(pieces)))
    return torch.cat(statistics, dim=1)


def _shaped(room: Tensor, tile: tuple[int, int]) -> Tensor:
    return room[: tile[0] * tile[1]].view(tile)


def _of_tile(
    logits: Sequence[Tensor], spare_MP: Tensor, targets_M: Tensor, expected_M: Tensor
) -> Tensor:
    """(8, M) of logits (M, P), the scorer's first, the reference's second where there is one; all
    are overwritten.

    Of the scorer its largest logit, the sum of exp over that, the target's logit (0 where the tile
    has it not) and how many others lie above it; of the model over whose distribution means are
    taken the same first two, and with them as weights the sums of the scorer's logits and of their
    squares, both less its largest.

    Args:
        targets_M: counted from the tile's first column.
    """
    scores_MP, width = logits[0], spare_MP.size(1)
    inside_M = (targets_M >= 0) & (targets_M < width)
    target_M = scores_MP.gather(1, targets_M.clamp(0, width - 1)[:, None])[:, 0]
    above_M = (
        torch.gt(scores_MP, expected_M[:, None], out=spare_MP).sum(1)
        - (inside_M & (target_M > expected_M)).float()
    )
    top_M = scores_MP.amax(1)
    scores_MP -= top_M[:, None]
    p_MP = torch.exp(scores_MP, out=spare_MP)
    total_M = p_MP.sum(1)
    top, total = top_M, total_M
    if len(logits) > 1:
        top = logits[1].amax(1)
        p_MP = logits[1].sub_(top[:, None]).exp_()
        total = p_MP.sum(1)
    first_M = torch.linalg.vecdot(p_MP, scores_MP)
    second_M = torch.linalg.vecdot(p_MP.mul_(scores_MP), scores_MP)
    return torch.stack(
        [top_M, total_M, target_M * inside_M, above_M, top, total, first_M, second_M]
    )


def _joined(pieces_N8M: Tensor) -> Tensor:
    """(4, M) of what `_of_tile` found in each piece of the vocabulary."""
    top_NM, total_NM, target_NM, above_NM, weight_NM, mass_NM, first_NM, second_NM = (
        pieces_N8M.double().unbind(1)
    )
    shift_NM = top_NM - top_NM.amax(0)  # a piece's logits were taken less its own largest
    log_total_M = (total_NM * shift_NM.exp()).sum(0).log()
    share_NM = (weight_NM - weight_NM.amax(0)).exp()
    mass_M = (share_NM * mass_NM).sum(0)
    mean_M = (share_NM * (first_NM + shift_NM * mass_NM)).sum(0) / mass_M
    square_M = (share_NM * (second_NM + shift_NM * (2 * first_NM + shift_NM * mass_NM))).sum(
        0
    ) / mass_M
    logprob_M = target_NM.sum(0) - top_NM.amax(0) - log_total_M
    return torch.stack(
        [logprob_M, mean_M - log_total_M, (square_M - mean_M**2).clamp(min=0), above_NM.sum(0) + 1]
    )
