"""What a language model says of every token of a text: the numbers that all zero-shot scores are made of.

One forward pass over windows sorted by length; logits exist only for a few hundred positions at a time.
Axes: B windows · T tokens · C hidden width · M positions · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from staged.model.causal import CausalLM
from staged.model.likelihood import batches, sliding_windows
from staged.progress import Progress, silent

LOGITS_AT_ONCE = 2**25  # 128 MB of float32: so many rows that reading the head costs little
NEAR = 2**18  # numbers whose statistics a processor takes together: 1 MB, they are read several times and should stay near it
BATCH_TOKENS = {"cpu": 2**11, "cuda": 2**15}  # read at once, padding counted
PIECE = 8192  # of the vocabulary in one matrix product: oneDNN is up to twice as fast as over all of it

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenStatistics:
    """Of a text of N tokens, the N − 1 that have one before them; in nats, each array (N − 1,).

    Attributes:
        ids: (N,) all token ids.
        logprob: log p(yₜ | y₍<ₜ₎).
        mean, variance: of log p(v), v drawn from the reference model (the scorer itself without one); −mean is the entropy, or
            the cross-entropy of the two.
        rank: of yₜ, 1 the likeliest, of equals the first.
        after: the mean for the token that would follow the text; NaN where the window has no room for it.
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

    A sequence longer than the context is read in windows that overlap by half; one of fewer than two tokens has none.

    Args:
        sequences: token ids, as the scorer's tokenizer gives them.
        reference: over whose distribution mean and variance are taken; it must share the tokenizer.
        batch_tokens: tokens read at once, padding counted; by default as `BATCH_TOKENS` has it for where the model is.
        progress: called with (tokens read, all).
    """
    models = [scorer, *([reference] if reference else [])]
    n_ctx = min(model.n_ctx for model in models)
    windows = [w for i, ids in enumerate(sequences) for w in sliding_windows(i, len(ids), n_ctx=n_ctx, stride=-(-n_ctx // 2))]
    columns = [np.zeros((4, max(len(ids) - 1, 0))) for ids in sequences]
    after = [float("nan")] * len(sequences)
    done, total = 0, sum(w.end - w.start for w in windows)
    for indices in batches(windows, batch_tokens or BATCH_TOKENS[scorer.head.device.type]):
        group = [windows[i] for i in indices]
        texts = [sequences[w.sequence][w.start : w.end + 1] for w in group]
        for w, text, values_4T in zip(group, texts, _statistics(models, texts, n_ctx), strict=True):
            columns[w.sequence][:, w.first - 1 : w.end] = values_4T[:, w.first - 1 - w.start : w.end - w.start]
            if w.end + 1 == len(sequences[w.sequence]) and len(text) <= n_ctx:
                after[w.sequence] = float(values_4T[1, -1])
        done += sum(w.end - w.start for w in group)
        progress(done, total)
    return [
        TokenStatistics(np.asarray(ids, dtype=np.int64), c[0], c[1], c[2], c[3].astype(np.int64), last)
        for ids, c, last in zip(sequences, columns, after, strict=True)
    ]


def _statistics(models: Sequence[CausalLM], texts: Sequence[Sequence[int]], n_ctx: int) -> list[Floats]:
    """Of each text (4, T): log-probability, mean, variance and rank after each of its first n_ctx tokens; the targets are the next.

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
    values_4M = torch.cat(list(_of_hidden(models, hidden, targets_M.to(device))), dim=1).cpu().double().numpy()
    return np.split(values_4M, np.cumsum(lengths)[:-1], axis=1)


def _of_hidden(models: Sequence[CausalLM], hidden: Sequence[Tensor], targets_M: Tensor) -> Iterator[Tensor]:
    """(4, some of M) after (4, some of M); logits are written over those before them: fresh memory costs as much as the product."""
    n_vocab = models[0].head.size(0)
    rows = max(1, LOGITS_AT_ONCE // n_vocab)
    few = max(1, NEAR // n_vocab) if targets_M.device.type == "cpu" else rows
    buffers = [h.new_empty(min(rows, len(h)), n_vocab) for h in hidden]
    for *chunk, targets in zip(*(h.split(rows) for h in hidden), targets_M.split(rows), strict=True):
        logits = [_logits(h, model.head, out[: len(h)]) for h, model, out in zip(chunk, models, buffers, strict=True)]
        for *near, some in zip(*(one.split(few) for one in logits), targets.split(few), strict=True):
            yield _of_logits([one.float() for one in near], some)


def _logits(hidden_MC: Tensor, head_VC: Tensor, out_MV: Tensor) -> Tensor:
    for head, out in zip(head_VC.split(PIECE), out_MV.split(PIECE, dim=1), strict=True):
        torch.mm(hidden_MC, head.t(), out=out)
    return out_MV


def _of_logits(logits: Sequence[Tensor], targets_M: Tensor) -> Tensor:
    """(4, M) of one piece: the scorer's logits (M, V) first, the reference's second where there is one; they are overwritten.

    Everything is done in two matrices: reductions over them are what scoring costs beside the model itself.
    """
    scores_MV, p_MV = logits[0], torch.empty_like(logits[0])
    rank_M = torch.gt(scores_MV, scores_MV.gather(1, targets_M[:, None]), out=p_MV).sum(1) + 1
    scores_MV -= scores_MV.amax(1, keepdim=True)
    torch.exp(scores_MV, out=p_MV)
    total_M = p_MV.sum(1)
    if len(logits) > 1:
        torch.softmax(logits[1], 1, out=p_MV)
    mass_M = torch.ones_like(total_M) if len(logits) > 1 else total_M
    mean_M = torch.linalg.vecdot(p_MV, scores_MV) / mass_M
    variance_M = torch.linalg.vecdot(p_MV.mul_(scores_MV), scores_MV) / mass_M - mean_M**2
    logprob_M = scores_MV.gather(1, targets_M[:, None])[:, 0] - total_M.log()
    return torch.stack([logprob_M, mean_M - total_M.log(), variance_M.clamp(min=0), rank_M])
