"""Which kind of text a run's corpus is."""

from __future__ import annotations

from pathlib import Path

from staged.corpus.build import split_documents
from staged.model.training.plan import TrainSettings
from staged.model.training.rows.contract import TrainingText
from staged.model.training.rows.packed import PackedText, is_packed
from staged.model.training.rows.passages import PassageText


def training_text(settings: TrainSettings) -> TrainingText:
    """The text that the plan's corpus names: packed tokens, or documents.

    Raises:
        CorpusError, PlanError, ArtifactError: it is missing, or not what the run can learn from.
    """
    folder = Path(settings.corpus.source)
    if is_packed(folder):
        return PackedText(folder, settings)
    return PassageText(split_documents(settings.corpus))
