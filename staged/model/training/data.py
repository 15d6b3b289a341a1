"""Passages → rows of token ids for training, and the order in which steps see them.

A row is one passage as it will later be sampled: what sampling starts from, its tokens, and the end
of text where it fits. Sampling starts from the tokens that the model wants before each text (a
Llama's `<s>`), or else from the end of text, as GPT-2's does. Which rows a step sees depends on the
seed and the step alone, so a resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from staged.model.causal import TextTokenizer

IGNORED = -100  # cross-entropy's mark for a position without a target


def causal_rows(texts: Sequence[str], tokenizer: TextTokenizer, n_ctx: int) -> list[list[int]]:
    """Per text the ids of its start, itself, and `<|endoftext|>`, cut to n_ctx + 1."""
    end = tokenizer.end_of_text
    start = [] if tokenizer.before else [end]  # what stands before a text is encoded with it
    return [([*start, *ids, end])[: n_ctx + 1] for ids in tokenizer.encode_batch(texts)]


def causal_batch(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """(inputs, targets), both (B, T) int64, padded at the right; a padded target is ignored."""
    width = max(len(row) for row in rows) - 1
    inputs = torch.full((len(rows), width), pad)
    targets = torch.full((len(rows), width), IGNORED)
    for i, row in enumerate(rows):
        ids = torch.tensor(row)
        inputs[i, : len(row) - 1] = ids[:-1]
        targets[i, : len(row) - 1] = ids[1:]
    return inputs, targets


def masked_batch(
    rows: Sequence[Sequence[int]],
    *,
    share: float,
    pad: int,
    mask: int,
    first_plain: int,
    n_vocab: int,
    key: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """RoBERTa's objective: a share of the plain tokens are targets; of these 80% are masked, 10%
    random, 10% left.

    Args:
        share: of the tokens, 0.15 in RoBERTa.
        first_plain: the special tokens are 0 … first_plain − 1 and never chosen.
        key: what this batch's draws depend on.

    Source: Devlin et al. 2019, section 3.1; Liu et al. 2019 (the choice is drawn anew each time).
    """
    stream = np.random.default_rng(list(key))
    width = max(len(row) for row in rows)
    inputs = np.full((len(rows), width), pad)
    for i, row in enumerate(rows):
        inputs[i, : len(row)] = row
    chosen = (stream.random(inputs.shape) < share) & (inputs >= first_plain)
    targets = np.where(chosen, inputs, IGNORED)
    fate = stream.random(inputs.shape)
    inputs = np.where(chosen & (fate < 0.8), mask, inputs)
    inputs = np.where(
        chosen & (fate >= 0.9), stream.integers(first_plain, n_vocab, inputs.shape), inputs
    )
    return torch.from_numpy(inputs), torch.from_numpy(targets)


def step_rows(step: int, *, rows: int, batch: int, seed: int) -> list[int]:
    """Indices of the rows that training step `step` sees: epochs of seeded permutations, laid end
    to end.
    """
    first = step * batch
    indices: list[int] = []
    while len(indices) < batch:
        epoch, offset = divmod(first + len(indices), rows)
        order = np.random.default_rng([seed, epoch]).permutation(rows)
        indices += order[offset : offset + batch - len(indices)].tolist()
    return indices
