"""Exact speculative decoding: a small model proposes tokens, the large one judges them all in one
pass.

A proposed token x is kept with probability min(1, p(x) / q(x)), p and q being what the method
leaves of the large and the small model's distribution; at the first refusal the token is drawn from
the remainder max(p − q, 0) instead, and where all are kept one more comes from the large model. So
every token has the large model's distribution, whatever the small one is; only the speed depends on
it.

Axes: K proposed tokens · V vocabulary.
Source: Leviathan et al. 2023, algorithm 1; Chen et al. 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from staged.errors import SamplingError
from staged.model.grouped_search import invert
from staged.model.shape import ModelShape
from staged.samples.drawing.next_token import distribution
from staged.samples.engine import Decoder, check_length
from staged.samples.methods import Method
from staged.samples.rows import Generated
from staged.streams import uniforms

AHEAD = 3  # tokens proposed a round


@dataclass(frozen=True)
class Pair:
    """A model and the smaller one that drafts for it.

    Raises:
        SamplingError: they have two vocabularies.
    """

    large: Decoder
    small: Decoder

    def __post_init__(self) -> None:
        large, small = self.large.config.n_vocab, self.small.config.n_vocab
        if large != small:
            raise SamplingError(
                f"sample: the draft has {small} tokens and the model {large}; they need one"
                " tokenizer"
            )

    @property
    def config(self) -> ModelShape:
        """The large model's shape, with the shorter of the two contexts."""
        return replace(
            self.large.config, n_ctx=min(self.large.config.n_ctx, self.small.config.n_ctx)
        )


@dataclass(frozen=True)
class Speculated:
    """A continuation and how the proposals fared.

    Attributes:
        generated: as `generate` returns it.
        rounds: passes of the large model.
        proposed, kept: tokens of the small one.
    """

    generated: Generated
    rounds: int
    proposed: int
    kept: int


@torch.inference_mode()
def speculate(
    pair: Pair,
    prompt: Sequence[int],
    chosen: Method,
    *,
    length: int,
    end: int,
    seed: int,
    sample: int = 0,
    ahead: int = AHEAD,
    watch: Callable[[int], None] = lambda token: None,
) -> Speculated:
    """Continue one prompt by up to `length` tokens or to `<|endoftext|>`.

    Args:
        prompt: token ids, at least one.
        end: the id of `<|endoftext|>`.
        seed, sample: the sample's random stream; its numbers are used in another order than
            `generate` uses them.
        ahead: tokens proposed a round, at least 1.
        watch: called with each new token but `<|endoftext|>`.

    Raises:
        SamplingError: prompt and length that don't fit a model's context.
    """
    check_length(pair.config, len(prompt), length, draft=True)
    u = uniforms(seed, sample, 1 + length * (2 * ahead + 1)).tolist()
    run = Run(pair, prompt, chosen, u, min(len(prompt) + length, pair.config.n_ctx))
    reason = ""
    out: list[int] = []
    while not reason:
        room = min(length - len(out), pair.config.n_ctx - len(run.text) + 1)
        for token in run.round(min(ahead, room - 1)):
            if token == end:
                reason = "end"
                break
            out.append(token)
            watch(token)
        reason = reason or ("length" if len(out) == length else "")
    return Speculated(Generated(out, reason, run.top_p, [], 0), run.rounds, run.proposed, run.kept)


def speculate_all(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    chosen: Method,
    *,
    length: int,
    end: int,
    seed: int,
    first: int = 0,
    watch: Callable[[int, int], None] | None = None,
) -> list[Speculated]:
    """Continue each prompt, one after the other; arguments as of `generate`."""

    def continuation(row: int, prompt: Sequence[int]) -> Speculated:
        seen = partial(watch, row) if watch else lambda token: None
        return speculate(
            pair, prompt, chosen, length=length, end=end, seed=seed, sample=first + row, watch=seen
        )

    return [continuation(row, prompt) for row, prompt in enumerate(prompts)]


class Run:
    """The text so far, both caches, and the random numbers left."""

    def __init__(
        self, pair: Pair, prompt: Sequence[int], chosen: Method, u: list[float], positions: int
    ) -> None:
        self.large, self.small, self.chosen, self.u = pair.large, pair.small, chosen, iter(u)
        self.text = list(prompt)
        low, high = chosen.top_p
        self.top_p = low + (high - low) * next(self.u)
        self.large_cache = pair.large.new_cache(1, positions)
        self.small_cache = pair.small.new_cache(1, positions)
        self.rounds = self.proposed = self.kept = 0

    def round(self, ahead: int) -> list[int]:
        """Propose `ahead` tokens (0 is a plain step), judge them; the new ones, at least one."""
        tokens, q_KV = self._propose(ahead)
        p_KV = self._distributions(
            self.large, self.large_cache, self.text + tokens, last=1 + len(tokens)
        )
        new: list[int] = []
        for token, p_V, q_V in zip(tokens, p_KV, q_KV, strict=False):
            if next(self.u) * float(q_V[token]) >= float(p_V[token]):
                new.append(self._draw(remainder(p_V, q_V)))
                break
            new.append(token)
        else:
            new.append(self._draw(p_KV[-1]))
        self.rounds += 1
        self.proposed += len(tokens)
        self.kept += len(new) - 1
        self.text += new
        for cache in (self.large_cache, self.small_cache):  # forget what was refused
            cache.length = min(cache.length, len(self.text) - 1)
        return new

    def _propose(self, ahead: int) -> tuple[list[int], list[Tensor]]:
        tokens: list[int] = []
        q_KV: list[Tensor] = []
        for _ in range(ahead):
            q_KV.append(
                self._distributions(self.small, self.small_cache, self.text + tokens, last=1)[0]
            )
            tokens.append(self._draw(q_KV[-1]))
        return tokens, q_KV

    def _distributions(self, model: Decoder, cache: Any, text: list[int], *, last: int) -> Tensor:
        """(last, V) after each of the text's last tokens; none of which the cache holds yet."""
        unread = text[cache.length :]
        if last == 1:
            logits_TV = model.next_logits(_row(unread, model), cache)
        else:
            if len(unread) > last:  # a prompt, which is read for its keys and values alone
                model.next_logits(_row(unread[:-last], model), cache)
            logits_TV = model(_row(unread[-last:], model), cache)[0].float()
        return distribution(
            logits_TV, self.chosen, torch.full((last,), self.top_p, device=model.device)
        )

    def _draw(self, mass_V: Tensor) -> int:
        return int(
            invert(
                mass_V[None],
                torch.tensor([next(self.u)], dtype=torch.float64, device=mass_V.device),
            )
        )


def _row(tokens: Sequence[int], model: Decoder) -> Tensor:
    return torch.tensor([tokens], device=model.device)


def remainder(p_V: Tensor, q_V: Tensor) -> Tensor:
    """max(p − q, 0), which the token after a refusal is drawn from; p where that is all zeros."""
    left_V = (p_V - q_V).clamp_(min=0)
    return left_V if bool((left_V > 0).any()) else p_V
