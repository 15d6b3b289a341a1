"""The numbers that every causal language model has, whatever its family calls them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from staged.errors import CheckpointError

MOST_LAYERS = 1000  # a damaged config may say any number, and a list of all tensors is made from it


@dataclass(frozen=True)
class ModelShape:
    """A causal language model's shape; field names are those of GPT-2's `hparams.json`.

    Attributes:
        n_vocab: tokens that have a logit.
        n_ctx: tokens it reads at once.
        n_embd: width of its hidden states.
        n_head: attention heads a layer.
        n_layer: layers.

    Raises:
        CheckpointError: a number that is no positive integer, or more than MOST_LAYERS layers.
    """

    n_vocab: int
    n_ctx: int
    n_embd: int
    n_head: int
    n_layer: int

    called: ClassVar[str] = "a model"  # in errors

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not int or value < 1:
                raise CheckpointError(
                    f"{self.called}'s {name} must be a positive integer, not {value!r}"
                )
        if self.n_layer > MOST_LAYERS:
            raise CheckpointError(
                f"{self.called}'s n_layer can be at most {MOST_LAYERS}, not {self.n_layer}"
            )
