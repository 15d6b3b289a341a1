"""What stands before a token in generated text, and whether it stood there before: kept for a whole
batch whose rows stand at the same position.

Axes: B rows · W tokens of a context · T positions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from staged.watermarks.contract import MISSING


class Contexts:
    """The generated tokens of each row, prompts left out; nothing here waits for a device.

    Args:
        width: tokens of a context.
        positions: tokens that a row can have, its prompt's included; more make it grow.
    """

    def __init__(self, rows: int, width: int, positions: int, device: torch.device | str) -> None:
        self.width, self.position = width, 0
        # that of position p stands in column width + p
        self.tokens_BT = torch.full((rows, width + positions), MISSING, device=device)

    def append(self, tokens_B: Tensor, is_generated_B: Tensor) -> None:
        """One more token of each row; those of prompts count as missing."""
        if self.width + self.position == self.tokens_BT.size(1):
            more_BT = torch.full_like(self.tokens_BT, MISSING)
            self.tokens_BT = torch.cat([self.tokens_BT, more_BT], dim=1)
        self.tokens_BT[:, self.width + self.position] = torch.where(
            is_generated_B, tokens_B, MISSING
        )
        self.position += 1

    def last(self) -> Tensor:
        """(B, W) int64: the context of each row's next token."""
        return self.tokens_BT[:, self.position : self.position + self.width]

    def are_unmarked(self, takes_short: bool) -> Tensor:
        """(B,) whether the next token is drawn without a mark: its context stood in the row before,
        or is short where short ones are not taken.
        """
        context_BW = self.last()
        if not self.width or not self.position:
            return torch.full_like(context_BW[:, 0], not takes_short, dtype=torch.bool)
        is_same_BT = torch.ones_like(self.tokens_BT[:, : self.position], dtype=torch.bool)
        for column in range(self.width - 1, -1, -1):
            earlier_BT = self.tokens_BT[:, column : column + self.position]
            is_same_BT &= earlier_BT == context_BW[:, column, None]
        # every token of a prompt has the context of missing tokens that a text's first one has
        is_first_B = context_BW[:, -1] == MISSING
        is_repeated_B = is_same_BT.any(dim=1) & ~is_first_B
        return is_repeated_B if takes_short else is_repeated_B | (context_BW[:, 0] == MISSING)

    def keep(self, kept_B: Tensor) -> None:
        """Drop the other rows."""
        self.tokens_BT = self.tokens_BT[kept_B]
