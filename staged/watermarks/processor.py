"""A watermark for a generator of another library: a `transformers` LogitsProcessor.

    processor = MarkingProcessor(watermark, top_k=40)
    model.generate(**inputs, do_sample=True, top_k=40, logits_processor=[processor])

Axes: B rows · T tokens, prompts included · V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from staged.errors import PlanError
from staged.watermarks.contexts import Contexts
from staged.watermarks.contract import Watermark


class MarkingProcessor(LogitsProcessor):  # type: ignore[misc]  # transformers says Any
    """Leaves of each row's logits the marked token alone; where none is marked, all as they are.
    One serves one call of `generate`.

    `generate` applies its temperature, top-k and top-p behind the processors that it is given, so
    that they must be said here as well. Rows must stay in their places: no beam search.

    Args:
        temperature: > 0.
        top_k: 0 is off.
        top_p: 1 is off.
    """

    def __init__(
        self,
        watermark: Watermark,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> None:
        self.watermark = watermark
        self.warpers: list[LogitsProcessor] = [
            *([TemperatureLogitsWarper(temperature)] if temperature != 1 else []),
            *([TopKLogitsWarper(top_k)] if top_k else []),
            *([TopPLogitsWarper(top_p)] if top_p < 1 else []),
        ]
        self.contexts: Contexts | None = None
        self.length = 0  # of the rows when the last token was drawn

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, V) logits, of (B, T) tokens and (B, V) logits.

        Raises:
            PlanError: the tokens do not continue those of the call before by one.
        """
        contexts = self._contexts(input_ids)
        kept_BV = scores
        for warper in self.warpers:
            kept_BV = warper(input_ids, kept_BV)
        mass_BV = kept_BV.float().softmax(dim=1)
        ids_BV = torch.arange(mass_BV.size(1), device=mass_BV.device).expand(mass_BV.shape)
        u_B = torch.rand(len(mass_BV), dtype=torch.float64, device=mass_BV.device)
        at_B = self.watermark.choose(mass_BV, ids_BV, contexts.last(), u_B)
        alone_BV = torch.full_like(scores, -torch.inf).scatter_(1, at_B[:, None], 0.0)
        unmarked_B = contexts.are_unmarked(self.watermark.takes_short_contexts)
        return torch.where(unmarked_B[:, None], scores, alone_BV)

    def _contexts(self, input_ids: Tensor) -> Contexts:
        rows, length = input_ids.shape
        if self.contexts is None:  # all that is there is the prompt's
            self.contexts = Contexts(rows, self.watermark.width, 64, input_ids.device)
        elif length == self.length + 1 and rows == len(self.contexts.tokens_BT):
            self.contexts.append(input_ids[:, -1], torch.ones_like(input_ids[:, -1]).bool())
        else:
            raise PlanError(
                "watermark: a MarkingProcessor serves one call of generate; make another for the"
                " next"
            )
        self.length = length
        return self.contexts
