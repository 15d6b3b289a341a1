"""Text as passages, a row each, all of them in memory: for corpora of megabytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from staged.corpus.build import build_passages, documents_digest
from staged.corpus.learned import Learned, merged, model_learned, text_words_digest
from staged.errors import PlanError
from staged.model.checkpoints import model_folder
from staged.model.training.data import step_rows
from staged.model.training.objectives import Task
from staged.model.training.plan import TrainSettings
from staged.model.training.rows.contract import Taught
from staged.records import Document
from staged.storage.records import to_json


@dataclass(frozen=True)
class PassageRows:
    """Rows of any length, in memory."""

    rows: Sequence[Sequence[int]]

    def of_step(self, step: int, *, batch: int, seed: int) -> list[Sequence[int]]:
        """The rows that a step sees: epochs of seeded permutations, laid end to end."""
        chosen = step_rows(step, rows=len(self.rows), batch=batch, seed=seed)
        return [self.rows[i] for i in chosen]


class PassageText:
    """A corpus's documents, each with its split; `pretrain` is learned from, `valid` measured."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents

    @cached_property
    def digest(self) -> str:
        return documents_digest(self.documents)

    def tokenizer_texts(self) -> Iterable[str]:
        return (one.text for one in self.documents if one.split == "pretrain")

    def taught(self, task: Task, settings: TrainSettings) -> Taught:
        if settings.corpus.budget_tokens > task.n_ctx:
            raise PlanError(
                f"train: budget_tokens {settings.corpus.budget_tokens} is more than the model's"
                f" context of {task.n_ctx} tokens, beyond which nothing would be learned; lower it"
            )
        passages, counts = build_passages(self.documents, settings.corpus, task.count)
        texts, valid = _texts(passages)
        learned = _learned(self.documents, passages, settings.init)
        rows, valid_rows = task.rows(texts), task.rows(valid[: settings.valid_rows])
        return Taught(PassageRows(rows), valid_rows, to_json(counts), lambda: learned)


def _texts(passages: Sequence[Document]) -> tuple[list[str], list[str]]:
    """Texts to learn from, and to validate on."""
    texts = [one.text for one in passages if one.split == "pretrain"]
    valid = [one.text for one in passages if one.split == "valid"]
    if not texts or not valid:
        raise PlanError(
            "train: the corpus needs the splits `pretrain` and `valid`; set their shares above 0"
        )
    return texts, valid


def _learned(documents: Sequence[Document], passages: Sequence[Document], init: str) -> Learned:
    """What a run learns from, and what a model given as `init` did, as far as its folder says."""
    sources = frozenset(passage.source for passage in passages if passage.split == "pretrain")
    texts = frozenset(
        text_words_digest(document.text) for document in documents if document.source in sources
    )
    return merged(
        [Learned(sources=sources, texts=texts), model_learned(model_folder(init)) if init else None]
    )
