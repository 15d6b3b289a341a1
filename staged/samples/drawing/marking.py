"""The one place where a watermark enters decoding: which of the kept tokens comes next is the key's
choice, except where its context stood in the row before, which is drawn as without a mark.

Axes: B rows of the batch · V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from staged.errors import PlanError, SamplingError
from staged.model.sources.served import parse_served
from staged.samples.drawing.next_token import draw, kept
from staged.samples.methods import Method
from staged.settings import nearest
from staged.watermarks.contexts import Contexts
from staged.watermarks.contract import SCHEMES, Watermark


class Marker:
    """Draws a batch's next tokens under a watermark, and remembers their contexts.

    Args:
        positions: tokens that are expected of a row.
    """

    def __init__(
        self, watermark: Watermark, rows: int, positions: int, device: torch.device
    ) -> None:
        self.watermark = watermark
        self.contexts = Contexts(rows, watermark.width, positions, device)

    def draw(self, logits_BV: Tensor, u_B: Tensor, chosen: Method, top_p_B: Tensor) -> Tensor:
        """(B,) int64 tokens; arguments as `next_token.draw` takes them."""
        mass_BK, ids_BK = kept(logits_BV, chosen, top_p_B)
        at_B = self.watermark.choose(mass_BK, ids_BK, self.contexts.last(), u_B)
        tokens_B = ids_BK.gather(1, at_B[:, None])[:, 0]
        unmarked_B = self.contexts.are_unmarked(self.watermark.takes_short_contexts)
        if logits_BV.is_cuda:  # to ask whether there are any would be to wait for the answer
            return torch.where(unmarked_B, draw(logits_BV, u_B, chosen, top_p_B), tokens_B)
        if bool(unmarked_B.any()):
            tokens_B[unmarked_B] = draw(
                logits_BV[unmarked_B], u_B[unmarked_B], chosen, top_p_B[unmarked_B]
            )
        return tokens_B

    def append(self, tokens_B: Tensor, is_generated_B: Tensor) -> None:
        """What stands at the next position of each row; tokens of prompts are not remembered."""
        self.contexts.append(tokens_B, is_generated_B)

    def keep(self, kept_B: Tensor) -> None:
        """Drop the other rows."""
        self.contexts.keep(kept_B)


def check_chance(chosen: Method) -> None:
    """Refuse a greedy method, which leaves a watermark nothing to choose.

    Raises:
        SamplingError: it is such.
    """
    if chosen.temperature == 0:
        raise SamplingError(
            "sample: a watermark needs chance, and at temperature 0 there is none; give a"
            " temperature above 0, or leave out --watermark"
        )


def check_marks(scheme: str, key: str, model: str, chosen: Method, draft: str) -> None:
    """Refuse a watermark that is unknown, has no key, or cannot be put into what is asked.

    Args:
        scheme, key: empty ones are off.

    Raises:
        PlanError, SamplingError: it is such.
    """
    if not scheme and not key:
        return
    if not scheme or not key:
        raise PlanError(
            "sample: --watermark and --key go together: the scheme, and the id of a key that"
            " `staged keys list` shows"
        )
    if scheme not in SCHEMES:
        raise PlanError(f"sample: watermark {scheme!r}; {nearest(scheme, SCHEMES)}")
    if parse_served(model):
        raise PlanError(
            f"sample: {model} is behind a server, which draws the tokens and so must mark them;"
            " leave out --watermark, or give a model's folder"
        )
    if draft:
        raise PlanError("sample: a draft model goes without --watermark; leave one of them out")
    check_chance(chosen)
