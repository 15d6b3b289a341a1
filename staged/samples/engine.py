"""Batched generation with a key-value cache: prompts in, token ids out.

Axes: B rows of the batch · T tokens · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from staged.errors import SamplingError
from staged.model.shape import ModelShape
from staged.pages.figures import counted
from staged.samples.drawing.marking import check_chance
from staged.samples.methods import Method
from staged.samples.rows import PLAIN, Generated, Options, Rows, window_start
from staged.settings import nearest
from staged.streams import uniforms

CONTEXTS = ("refuse", "stop", "slide")
# new tokens of a sliding window; a row's random numbers are all drawn at the start
LONGEST = 100_000


class Decoder(Protocol):
    """What generation needs of a model; a cache's `length` may be set back to forget tokens."""

    @property
    def config(self) -> ModelShape:
        """Its shape."""

    @property
    def device(self) -> torch.device:
        """Where it takes tokens and leaves logits."""

    def new_cache(self, batch: int, positions: int | None = None) -> Any:
        """An empty cache for so many positions of each row, by default the whole context; its
        `keep(rows)` drops all rows where the boolean (B,) tensor is false.
        """

    def __call__(self, tokens_BT: Tensor, cache: Any) -> Tensor:
        """Logits (B, T, V) for the token after each position; appends to the cache."""

    def next_logits(self, tokens_BT: Tensor, cache: Any) -> Tensor:
        """Float32 logits (B, V) for the token after the last; appends to the cache."""


@torch.inference_mode()
def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    chosen: Method,
    *,
    length: int,
    end: int,
    seed: int,
    first: int = 0,
    options: Options = PLAIN,
) -> list[Generated]:
    """Continue each prompt by up to `length` tokens, to `<|endoftext|>`, to a stop string or to the
    context's end.

    Args:
        prompts: token ids, at least one each (an unconditional sample's prompt is `<|endoftext|>`);
            lengths may differ.
        end: the id of `<|endoftext|>`.
        seed, first: row i draws from the stream of sample first + i.

    Raises:
        SamplingError: an empty prompt, prompt and length that don't fit the model's context, or a
            watermark on a greedy method.
    """
    if min(map(len, prompts)) == 0:
        raise SamplingError(
            "sample: an empty prompt; leave the prompt out for an unconditional sample"
        )
    if options.watermark is not None:
        check_chance(chosen)
    n_ctx = model.config.n_ctx
    check_length(model.config, max(map(len, prompts)), length, context=options.context)
    draws = length if options.context == "slide" else min(length, n_ctx)
    u = np.stack([uniforms(seed, first + row, draws + 1) for row in range(len(prompts))])
    low, high = chosen.top_p
    top_p_B = torch.from_numpy(low + (high - low) * u[:, 0]).float().to(model.device)
    u_BL = torch.from_numpy(u[:, 1:]).to(model.device)
    rows = Rows(prompts, u_BL, top_p_B, length=length, end=end, n_ctx=n_ctx, options=options)
    positions = min(n_ctx, rows.longest + draws)
    cache, start = model.new_cache(len(prompts), positions), window_start(rows.position, n_ctx)
    tokens_BT = rows.text_BT[:, start : rows.position]
    while True:
        alive = rows.advance(model.next_logits(tokens_BT, cache), chosen)
        if not any(alive):
            return rows.results()
        if sum(alive) <= 0.75 * len(alive):  # shrinking costs a copy of the cache
            kept = torch.tensor(alive, device=rows.device)
            cache.keep(kept)
            rows.keep(kept)
        read = rows.position - 1
        # every cached key was made at another position: read again
        if window_start(rows.position, n_ctx) != start:
            read = start = window_start(rows.position, n_ctx)
            cache = model.new_cache(len(rows.live), positions)
        tokens_BT = rows.text_BT[:, read : rows.position]


def check_length(
    config: ModelShape, prompt: int, length: int, *, context: str = "refuse", draft: bool = False
) -> None:
    """Refuse a prompt and a length, in tokens, that the model's context can't hold and the options
    don't provide for.

    Args:
        draft: a draft model is at work, with which `context` cannot be chosen.

    Raises:
        SamplingError: they don't fit, the length is below 1, or `context` is unknown.
    """
    n_ctx = config.n_ctx
    instead = "leave out --draft: then " if draft else ""
    if context not in CONTEXTS:
        raise SamplingError(f"sample: context {context!r}; {nearest(context, CONTEXTS)}")
    if context != "slide" and prompt > n_ctx:
        raise SamplingError(
            f"sample: a prompt of {counted(prompt, 'token')} doesn't fit the context of {n_ctx};"
            f" shorten it; in staged sample {instead}--context slide reads its end"
        )
    most = n_ctx - prompt + 1 if context == "refuse" else LONGEST
    if length < 1 or (length > most and context != "refuse"):
        raise SamplingError(f"sample: the length can be 1 to {most}, not {length}")
    if length > most:
        raise SamplingError(
            f"sample: a prompt of {counted(prompt, 'token')} and a length of {length} don't fit the"
            f" context of {n_ctx}; the length can be 1 to {most}; in staged sample"
            f" {instead}--context stop ends a text where the context does, --context slide goes on"
            " without its oldest tokens"
        )
