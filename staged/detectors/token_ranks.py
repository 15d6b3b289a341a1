"""What a person may look at: each token of one text, how likely a model found it, and what it would
have written instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from staged.detectors.contract import TokenRank
from staged.model.causal import CausalLM
from staged.model.gpt2.config import END_OF_TEXT

ALTERNATIVES = 5
ROWS = 128  # positions whose logits are held at once


@torch.inference_mode()
def token_ranks(scorer: CausalLM, text: str, *, most_tokens: int) -> list[TokenRank]:
    """Rank, probability and alternatives of each token, in reading order.

    Args:
        scorer: the model that reads.
        most_tokens: how many of the text's first tokens are looked at, at most the model's context.

    Returns:
        One a token that covers characters; tokens that the tokenizer puts before a text are left
        out, and a first token that nothing stands before has neither rank nor probability.
    """
    tokenizer = scorer.tokenizer
    ((ids, spans),) = tokenizer.encode_spans([text])
    ids, spans = ids[: min(most_tokens, scorer.n_ctx)], spans[: min(most_tokens, scorer.n_ctx)]
    if not ids:
        return []
    first = [TokenRank(*spans[0], None, None, ())] if not tokenizer.before else []
    return [*first, *_judged(scorer, ids, spans[1:])]


def _judged(scorer: CausalLM, ids: list[int], spans: list[tuple[int, int]]) -> Iterator[TokenRank]:
    hidden_MC = scorer.hidden(torch.tensor([ids], device=scorer.head.device))[0, :-1]
    for start in range(0, len(spans), ROWS):
        chunk = hidden_MC[start : start + ROWS]
        targets_M = torch.tensor(ids[start + 1 : start + 1 + len(chunk)], device=scorer.head.device)
        logits_MV = F.linear(chunk, scorer.head).float()
        yield from _of_rows(scorer, logits_MV, targets_M, spans[start : start + len(chunk)])


def _of_rows(
    scorer: CausalLM, logits_MV: Tensor, targets_M: Tensor, spans: list[tuple[int, int]]
) -> Iterator[TokenRank]:
    own_M1 = logits_MV.gather(1, targets_M[:, None])
    ranks = ((logits_MV > own_M1).sum(1) + 1).tolist()
    total_M1 = logits_MV.logsumexp(1, keepdim=True)
    probabilities = (own_M1 - total_M1).exp()[:, 0].tolist()
    best_MK, ids_MK = logits_MV.topk(min(ALTERNATIVES, logits_MV.size(1)), dim=1)
    chances = (best_MK - total_M1).exp().tolist()
    for (a, b), rank, p, ids, ps in zip(
        spans, ranks, probabilities, ids_MK.tolist(), chances, strict=True
    ):
        alternatives = tuple(
            (scorer.tokenizer.decode([i]) or END_OF_TEXT, q) for i, q in zip(ids, ps, strict=True)
        )
        yield TokenRank(a, b, rank, p, alternatives)
