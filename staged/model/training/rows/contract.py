"""The text of a training run: what it learns from as rows of token ids, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from staged.corpus.learned import Learned
from staged.model.training.objectives import Task
from staged.model.training.plan import TrainSettings


class Rows(Protocol):
    """What is learned from, in an order that the seed alone decides."""

    def of_step(self, step: int, *, batch: int, seed: int) -> Sequence[Sequence[int]]:
        """The token ids of the `batch` rows that a step sees."""


@dataclass(frozen=True)
class Taught:
    """A run's text, ready.

    Attributes:
        rows: to learn from.
        valid_rows: on which the loss is measured.
        counts: JSON values that tell how much it was.
        learned: asked when the run is over.
    """

    rows: Rows
    valid_rows: Sequence[Sequence[int]]
    counts: Any
    learned: Callable[[], Learned]


class TrainingText(Protocol):
    """A run's text: `PassageText` is one kind, `PackedText` another."""

    @property
    def digest(self) -> str:
        """SHA-256 of it, so that changed text is noticed."""

    def tokenizer_texts(self) -> Iterable[str]:
        """What a tokenizer is learned from."""

    def taught(self, task: Task, settings: TrainSettings) -> Taught:
        """Its rows, as a task wants them.

        Raises:
            CorpusError, PlanError: too little of it, or it does not fit the task.
        """
