"""The rows of a batch while they are generated: what may be asked of them, their texts so far, from
which part of these a token is drawn, and why each row ended.

Axes: B rows of the batch · T tokens · V vocabulary · L draws of a row. All rows stand at the same
position of their texts: a shorter prompt's row starts to sample while a longer one is still being
read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from staged.samples.drawing.marking import Marker
from staged.samples.drawing.next_token import draw, penalise
from staged.samples.methods import Method
from staged.samples.stops import StopStrings
from staged.watermarks.contract import Watermark


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
        watermark: marks what is drawn.
    """

    repetition_penalty: float = 1.0
    stops: StopStrings | None = None
    logprobs: bool = False
    context: str = "refuse"
    watch: Callable[[int, int], None] | None = None
    watermark: Watermark | None = None


PLAIN = Options()


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


class Rows:
    """The rows' texts so far, on the decoder's device; `position` counts the tokens that each has,
    prompt included.

    The host learns of a step what was drawn, and no more: each further look at the device would
    wait for it.

    Args:
        u_BL: a number in [0, 1) for each draw.
        top_p_B: each row's nucleus.
        length: new tokens after which a row ends.
        end: the id of `<|endoftext|>`, with which it ends too.
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
        self.prompts, self.length, self.end = prompts, length, end
        self.n_ctx, self.options = n_ctx, options
        self.u_BL, self.top_p_B, self.device = u_BL, top_p_B, u_BL.device
        self.position = min(map(len, prompts))
        self.live = list(range(len(prompts)))  # row of the batch → index of its prompt
        self.live_B = torch.arange(len(prompts), device=self.device)  # the same
        self.longest = max(map(len, prompts))
        self.prompt_lengths_B = torch.tensor(list(map(len, prompts)), device=self.device)
        texts = np.zeros((len(prompts), self.longest + u_BL.size(1) + 1), np.int64)
        for row, prompt in enumerate(prompts):
            texts[row, : len(prompt)] = prompt
        self.text_BT = torch.from_numpy(texts).to(self.device)
        self.produced: list[list[int]] = [[] for _ in prompts]
        self.logprobs: list[list[float]] = [[] for _ in prompts]
        self.reasons = [""] * len(prompts)  # empty while a row lives
        self.slides = [0] * len(prompts)
        self.marker: Marker | None = None
        if options.watermark is not None:
            self.marker = Marker(options.watermark, len(prompts), u_BL.size(1), self.device)

    def advance(self, logits_BV: Tensor, chosen: Method) -> list[bool]:
        """Choose each row's next token: from its prompt while that lasts, then by the method.
        Returns who lives.
        """
        tokens_B = self._drawn(logits_BV, chosen)
        logprobs = None
        if self.options.logprobs:
            logprobs = logits_BV.log_softmax(dim=1).gather(1, tokens_B[:, None])[:, 0].tolist()
        text_B = tokens_B
        is_prompt_B = self.position < self.prompt_lengths_B
        if self.position < self.longest:
            text_B = torch.where(is_prompt_B, self.text_BT[:, self.position], tokens_B)
        self.text_BT[:, self.position] = text_B
        if self.marker is not None:
            self.marker.append(tokens_B, ~is_prompt_B)
        for row, (index, token) in enumerate(zip(self.live, tokens_B.tolist(), strict=True)):
            if self.position >= len(self.prompts[index]) and not self.reasons[index]:
                if logprobs is not None:
                    self.logprobs[index].append(logprobs[row])
                self._take(index, token)
        self.position += 1
        return [not self.reasons[index] for index in self.live]

    def _drawn(self, logits_BV: Tensor, chosen: Method) -> Tensor:
        """A token for each row, by the method and the row's next random number."""
        penalty = self.options.repetition_penalty
        if penalty != 1:
            logits_BV = penalise(logits_BV, self.text_BT[:, : self.position], penalty)
        turn_B = (self.position - self.prompt_lengths_B).clamp(min=0, max=self.u_BL.size(1) - 1)
        u_B = self.u_BL[self.live_B, turn_B]
        top_p_B = self.top_p_B[self.live_B]
        if self.marker is not None:
            return self.marker.draw(logits_BV, u_B, chosen, top_p_B)
        return draw(logits_BV, u_B, chosen, top_p_B)

    def _take(self, index: int, token: int) -> None:
        """Keep a drawn token of a row, and note why the row ends if it does."""
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
        self.live_B, self.text_BT = self.live_B[kept_B], self.text_BT[kept_B]
        self.prompt_lengths_B = self.prompt_lengths_B[kept_B]
        self.live = self.live_B.tolist()
        if self.marker is not None:
            self.marker.keep(kept_B)

    def results(self) -> list[Generated]:
        """What came of each prompt, in the order of the prompts."""
        nuclei = self.top_p_B.tolist()
        return [
            Generated(*row)
            for row in zip(
                self.produced, self.reasons, nuclei, self.logprobs, self.slides, strict=True
            )
        ]
