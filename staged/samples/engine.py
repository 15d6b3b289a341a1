"""Batched generation with a key-value cache: prompts in, token ids out.

Axes: B rows of the batch · T tokens · V vocabulary · L draws of a row. All rows stand at the same
position of their texts: a shorter prompt's row starts to sample while a longer one is still being
read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from staged.errors import SamplingError
from staged.model.gpt2.config import GPT2Config
from staged.pages.figures import counted
from staged.samples.methods import Method, draw, penalise
from staged.samples.stops import StopStrings
from staged.settings import nearest
from staged.streams import uniforms

CONTEXTS = ("refuse", "stop", "slide")
LONGEST = (
    100_000  # new tokens of a sliding window; a row's random numbers are all drawn at the start
)


class Decoder(Protocol):
    """What generation needs of a model; a cache's `length` may be set back to forget its last
    tokens.
    """

    config: GPT2Config

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


@dataclass(frozen=True)
class Options:
    """What may be asked beside the method; as it stands here, nothing.

    Attributes:
        repetition_penalty: over the tokens of a row's prompt and of what it has generated; 1 is
            off.
        stops: texts at which a row ends.
        logprobs: record each drawn token's natural log-probability under the model itself: a
            float32 log-softmax of the logits at temperature 1, before the penalty and before
            anything is left out.
        context: where a text outgrows the context, `refuse` beforehand, `stop` there, or `slide`
            (see `window_start`).
        watch: called with (row, token) when a row's new token is chosen; not with `<|endoftext|>`.
    """

    repetition_penalty: float = 1.0
    stops: StopStrings | None = None
    logprobs: bool = False
    context: str = "refuse"
    watch: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Generated:
    """One continuation.

    Attributes:
        tokens: the new ones, without `<|endoftext|>`.
        reason: why it ended: `end` (the model drew `<|endoftext|>`), `length`, `stop` or `context`.
        top_p: what its nucleus was.
        logprobs: one a drawn token, `<|endoftext|>` included; empty when not asked for.
        slides: how often its window had moved when its last token was drawn.
    """

    tokens: list[int]
    reason: str
    top_p: float
    logprobs: list[float]
    slides: int

    @property
    def ended(self) -> bool:
        """Whether `<|endoftext|>` ended it."""
        return self.reason == "end"


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
    options: Options = Options(),
) -> list[Generated]:
    """Continue each prompt by up to `length` tokens, to `<|endoftext|>`, to a stop string or to the
    context's end.

    Args:
        prompts: token ids, at least one each (an unconditional sample's prompt is `<|endoftext|>`);
            lengths may differ.
        end: the id of `<|endoftext|>`.
        seed, first: row i draws from the stream of sample first + i.

    Raises:
        SamplingError: an empty prompt, or prompt and length that don't fit the model's context.
    """
    if min(map(len, prompts)) == 0:
        raise SamplingError(
            "sample: an empty prompt; leave the prompt out for an unconditional sample"
        )
    n_ctx = model.config.n_ctx
    check_length(model.config, max(map(len, prompts)), length, context=options.context)
    draws = length if options.context == "slide" else min(length, n_ctx)
    u = np.stack([uniforms(seed, first + row, draws + 1) for row in range(len(prompts))])
    low, high = chosen.top_p
    top_p_B = torch.from_numpy(low + (high - low) * u[:, 0]).float().to(model.device)
    rows = _Rows(
        prompts,
        torch.from_numpy(u[:, 1:]).to(model.device),
        top_p_B,
        length=length,
        end=end,
        n_ctx=n_ctx,
        options=options,
    )
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
        if (
            window_start(rows.position, n_ctx) != start
        ):  # every cached key was made at another position: read again
            read = start = window_start(rows.position, n_ctx)
            cache = model.new_cache(len(rows.live), positions)
        tokens_BT = rows.text_BT[:, read : rows.position]


def window_start(position: int, n_ctx: int) -> int:
    """Where in a text of `position` tokens the window begins from which the next token is drawn: 0
    while all of them fit.

    Each time the window is full its older half is dropped, and the other n_ctx // 2 tokens are read
    again from position 0 on. So it holds n_ctx // 2 + 1 to n_ctx tokens, and depends on the
    position in the text alone.
    """
    return slides(position, n_ctx) * (n_ctx - n_ctx // 2)


def slides(position: int, n_ctx: int) -> int:
    """How often the window has moved when the next token is drawn after `position` tokens."""
    return -(-max(position - n_ctx, 0) // (n_ctx - n_ctx // 2))


def check_length(
    config: GPT2Config, prompt: int, length: int, *, context: str = "refuse", draft: bool = False
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


class _Rows:
    """The rows' texts so far, on the decoder's device; `position` counts the tokens that each has,
    prompt included.

    The host learns of a step what was drawn, and no more: each further look at the device would
    wait for it.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        u_BL: Tensor,
        top_p_B: Tensor,
        *,
        length: int,
        end: int,
        n_ctx: int,
        options: Options,
    ) -> None:
        self.prompts, self.length, self.end, self.n_ctx, self.options = (
            prompts,
            length,
            end,
            n_ctx,
            options,
        )
        self.u_BL, self.top_p_B, self.device = u_BL, top_p_B, u_BL.device
        self.position = min(map(len, prompts))
        self.live = list(range(len(prompts)))  # row of the batch → index of its prompt
        self.live_B = torch.arange(len(prompts), device=self.device)  # the same
        self.longest = max(map(len, prompts))
        self.prompt_lengths_B = torch.tensor(
            [len(prompt) for prompt in prompts], device=self.device
        )
        texts = np.zeros((len(prompts), self.longest + u_BL.size(1) + 1), np.int64)
        for row, prompt in enumerate(prompts):
            texts[row, : len(prompt)] = prompt
        self.text_BT = torch.from_numpy(texts).to(self.device)
        self.produced: list[list[int]] = [[] for _ in prompts]
        self.logprobs: list[list[float]] = [[] for _ in prompts]
        self.reasons = [""] * len(prompts)  # empty while a row lives
        self.slides = [0] * len(prompts)

    def advance(self, logits_BV: Tensor, chosen: Method) -> list[bool]:
        """Choose each row's next token: from its prompt while that lasts, then by the method.
        Returns who lives.
        """
        penalty, scores_BV = self.options.repetition_penalty, logits_BV
        if penalty != 1:
            scores_BV = penalise(logits_BV, self.text_BT[:, : self.position], penalty)
        turn_B = (self.position - self.prompt_lengths_B).clamp(min=0, max=self.u_BL.size(1) - 1)
        tokens_B = draw(
            scores_BV, self.u_BL[self.live_B, turn_B], chosen, self.top_p_B[self.live_B]
        )
        logprobs = (
            logits_BV.log_softmax(dim=1).gather(1, tokens_B[:, None])[:, 0].tolist()
            if self.options.logprobs
            else None
        )
        text_B = tokens_B
        if self.position < self.longest:
            text_B = torch.where(
                self.position < self.prompt_lengths_B, self.text_BT[:, self.position], tokens_B
            )
        self.text_BT[:, self.position] = text_B
        for row, (index, token) in enumerate(zip(self.live, tokens_B.tolist(), strict=True)):
            if self.position >= len(self.prompts[index]) and not self.reasons[index]:
                if logprobs is not None:
                    self.logprobs[index].append(logprobs[row])
                self._take(index, token)
        self.position += 1
        return [not self.reasons[index] for index in self.live]

    def _take(self, index: int, token: int) -> None:
        """One drawn token of one row: keep it, and note why the row ends if it does."""
        self.slides[index] = slides(self.position, self.n_ctx)
        if token == self.end:
            self.reasons[index] = "end"
            return
        out = self.produced[index]
        out.append(token)
        if self.options.watch is not None:
            self.options.watch(index, token)
        if self.options.stops is not None and self.options.stops.reached(out):
            self.reasons[index] = "stop"
        elif len(out) == self.length:
            self.reasons[index] = "length"
        elif self.options.context == "stop" and self.position == self.n_ctx:
            self.reasons[index] = "context"

    def keep(self, kept_B: Tensor) -> None:
        """Drop the other rows from the batch; what they produced stays."""
        self.live_B, self.text_BT, self.prompt_lengths_B = (
            self.live_B[kept_B],
            self.text_BT[kept_B],
            self.prompt_lengths_B[kept_B],
        )
        self.live = self.live_B.tolist()

    def results(self) -> list[Generated]:
        found = zip(
            self.produced,
            self.reasons,
            self.top_p_B.tolist(),
            self.logprobs,
            self.slides,
            strict=True,
        )
        return [Generated(*one) for one in found]
