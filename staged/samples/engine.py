"""Batched generation with a key-value cache: prompts in, token ids out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from staged.errors import SamplingError
from staged.model.gpt2 import GPT2, Cache
from staged.samples.methods import Method, draw
from staged.samples.streams import uniforms


@dataclass(frozen=True)
class Generated:
    """One continuation: new tokens without `<|endoftext|>`, whether that token ended it, and the top-p it drew."""

    tokens: list[int]
    ended: bool
    top_p: float


def best_dtype() -> torch.dtype:
    """bfloat16 where this processor multiplies it natively, else float32."""
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported() if torch.backends.mkldnn.is_available() else False
    return torch.bfloat16 if native else torch.float32


@torch.inference_mode()
def generate(
    model: GPT2, prompts: Sequence[Sequence[int]], chosen: Method, *, length: int, end: int, seed: int, first: int = 0
) -> list[Generated]:
    """Continue each prompt by up to `length` tokens or to `<|endoftext|>`.

    Args:
        prompts: token ids, at least one each (an unconditional sample's prompt is `<|endoftext|>`); lengths may differ: a
            shorter prompt's row starts to sample while a longer one is still being read.
        end: the id of `<|endoftext|>`.
        seed, first: row i draws from the stream of sample first + i.

    Raises:
        SamplingError: an empty prompt, or prompt and length that don't fit the model's context.
    """
    shortest = min(map(len, prompts))
    if shortest == 0:
        raise SamplingError("sample: an empty prompt; leave the prompt out for an unconditional sample")
    check_length(model, max(map(len, prompts)), length)
    u = np.stack([uniforms(seed, first + row, length + 1) for row in range(len(prompts))])
    low, high = chosen.top_p
    state = _Rows(prompts, torch.from_numpy(u[:, 1:]), torch.from_numpy(low + (high - low) * u[:, 0]).float(), length, end)
    cache = Cache(model.config, len(prompts), dtype=model.wte.weight.dtype, device=model.wte.weight.device)
    tokens_BT = torch.tensor([list(prompt[:shortest]) for prompt in prompts])
    while True:
        logits_BV = model.next_logits(tokens_BT, cache)
        tokens_B, alive = state.advance(logits_BV, chosen)
        if not alive.any():
            return state.results()
        if alive.sum() <= 0.75 * len(alive):  # shrinking costs a copy of the cache
            cache.keep(alive)
            tokens_B = tokens_B[alive]
            state.keep(alive)
        tokens_BT = tokens_B[:, None]


def check_length(model: GPT2, prompt: int, length: int) -> None:
    """Refuse a prompt and a length, in tokens, that don't fit the model's context.

    Raises:
        SamplingError: they don't fit, or the length is below 1.
    """
    n_ctx = model.config.n_ctx
    if length < 1 or prompt + length - 1 > n_ctx:
        raise SamplingError(
            f"sample: a prompt of {prompt} tokens and a length of {length} don't fit the context of {n_ctx}; "
            f"the length can be 1 to {max(n_ctx - prompt + 1, 1)}"
        )


class _Rows:
    """What each live row has produced; `position` counts tokens consumed so far, prompt included."""

    def __init__(self, prompts: Sequence[Sequence[int]], u_BL: Tensor, top_p_B: Tensor, length: int, end: int) -> None:
        self.prompts, self.length, self.end = prompts, length, end
        self.u_BL, self.top_p_B = u_BL, top_p_B
        self.position = min(map(len, prompts))
        self.live = torch.arange(len(prompts))  # row of the batch → index of its prompt
        self.prompt_lengths = torch.tensor([len(prompt) for prompt in prompts])
        self.produced: list[list[int]] = [[] for _ in prompts]
        self.ended = [False] * len(prompts)

    def advance(self, logits_BV: Tensor, chosen: Method) -> tuple[Tensor, Tensor]:
        """Choose each row's next token: from its prompt while that lasts, then by the method. Returns tokens and who lives."""
        turn_B = (self.position - self.prompt_lengths[self.live]).clamp(min=0, max=self.length - 1)
        u_B = self.u_BL[self.live, turn_B]
        tokens = draw(logits_BV, u_B, chosen, self.top_p_B[self.live]).tolist()
        alive = torch.ones(len(tokens), dtype=torch.bool)
        for row, index in enumerate(self.live.tolist()):
            prompt, out = self.prompts[index], self.produced[index]
            if self.position < len(prompt):
                tokens[row] = prompt[self.position]
            elif len(out) == self.length or self.ended[index]:
                alive[row] = False  # finished earlier, still in the batch
            elif tokens[row] == self.end:
                self.ended[index], alive[row] = True, False
            else:
                out.append(tokens[row])
                alive[row] = len(out) < self.length
        self.position += 1
        return torch.tensor(tokens), alive

    def keep(self, alive: Tensor) -> None:
        self.live = self.live[alive]

    def results(self) -> list[Generated]:
        return [
            Generated(tokens, ended, top_p)
            for tokens, ended, top_p in zip(self.produced, self.ended, self.top_p_B.tolist(), strict=True)
        ]
