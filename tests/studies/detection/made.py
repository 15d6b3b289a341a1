"""A study made by hand: cells whose every decision is chosen, and a study's folder whose every text
and score is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from staged.cells import Cell
from staged.corpus.build import write_documents
from staged.pipeline.stage import Inputs
from staged.pipeline.study_folder import folders
from staged.pipeline.tables import write_table
from staged.records import HUMAN, Document
from staged.studies.detection.cells import Measured
from staged.studies.detection.graph import StudyStages, study_stages
from staged.studies.detection.plan import StudySettings

# detector, model and method trained on, model and method tested on
Key = tuple[str, str, str, str, str]


def measured(
    key: Key, tokens: int, human_right: Iterable[bool], machine_right: Iterable[bool]
) -> Measured:
    """A cell of these decisions; its figures are of no matter."""
    human, machine = np.array(list(human_right)), np.array(list(machine_right))
    rates = dict.fromkeys(("accuracy", "auroc", "tpr_at_fpr_1", "tpr_at_fpr_5"), 0.5)
    bounds = {f"{name}_{end}": 0.5 for name in rates for end in ("low", "high")}
    names = dict(
        zip(
            ("detector", "trained_on", "trained_method", "tested_on", "tested_method"),
            key,
            strict=True,
        )
    )
    made = Cell(
        id="/".join((*key, str(tokens))),
        **names,
        length_tokens=tokens,
        n_human=len(human),
        n_machine=len(machine),
        **rates,
        **bounds,
        fpr_1=0.0,
        fpr_5=0.0,
    )
    return Measured(made, human, machine, (0.5, 0.5, 0.5))


def every_key(settings: StudySettings) -> list[Key]:
    return [
        (kind, trained, how, tested, method)
        for kind in settings.detectors
        for trained in settings.models
        for how in settings.trained_methods
        for tested in settings.models
        for method in settings.methods
    ]


def opened(root: Path, settings: StudySettings) -> tuple[StudyStages, Inputs]:
    """A study's stages, and where their folders stand."""
    stages = study_stages(settings)
    return stages, folders(root, [stages.corpus, *stages.others])


def human(root: Path, settings: StudySettings, split: str) -> list[Document]:
    stages, inputs = opened(root, settings)
    return stages.human(inputs, split)


def machine(
    root: Path, settings: StudySettings, model: str, method: str, split: str
) -> list[Document]:
    stages, inputs = opened(root, settings)
    return stages.machine(inputs, Path(model).name, method, split)


def write_texts(root: Path, settings: StudySettings, *, spare: int = 3) -> None:
    """A study's corpus and samples: every text says what it is. The corpus holds some passages more
    than the plan asks for.
    """
    counts = {"train": settings.n_train, "valid": settings.n_valid, "test": settings.n_test}
    (root / "corpus").mkdir(parents=True)
    passages = [
        Document(f"{split}-{i}", f"human {split} {i}", HUMAN, f"{split} source {i // 2}", split)
        for split, count in counts.items()
        for i in range(count + spare)
    ]
    write_documents(root / "corpus" / "passages.parquet", passages)
    for model in settings.models:
        for method in settings.methods:
            folder = root / "samples" / Path(model).name / method
            folder.mkdir(parents=True)
            for split, count in counts.items():
                rows = [
                    {"id": i, "text": f"{Path(model).name} {method} {split} {i}"}
                    for i in range(count)
                ]
                write_table(folder / f"{split}.parquet", rows)


def write_scores(
    root: Path,
    settings: StudySettings,
    documents: Iterable[Document],
    score: Callable[[str, str, str, int, Document], float],
) -> None:
    """Scores of all these documents by every detector, at every length."""
    documents = list(documents)
    for kind in settings.detectors:
        for model in settings.models:
            for name in settings.trained_methods:
                folder = root / "scores" / kind / Path(model).name / name
                folder.mkdir(parents=True)
                rows = [
                    {
                        "document": one.id,
                        "length_tokens": tokens,
                        "score": score(kind, model, name, tokens, one),
                    }
                    for tokens in settings.lengths
                    for one in documents
                ]
                write_table(folder / "scores.parquet", rows)
