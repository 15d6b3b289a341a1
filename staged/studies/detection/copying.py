"""How much of generated text, and of held-out human text, stands word for word in the text that
models learned from.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from staged.corpus.build import read_documents
from staged.corpus.duplicates import RUN_WORDS, copied_runs, word_runs
from staged.corpus.learned import model_learned
from staged.model.checkpoints import model_folder
from staged.pipeline.stage import Stage
from staged.progress import Progress
from staged.records import Document
from staged.stats import metrics
from staged.storage.json_files import write_json
from staged.studies.detection import splits
from staged.studies.detection.plan import StudySettings
from staged.studies.detection.stages import samples_stage


def copying_stage(root: Path, settings: StudySettings) -> Stage:
    needs = (
        "corpus",
        *(samples_stage(model, name) for model in settings.models for name in settings.methods),
    )
    records = ((f"record of {Path(model).name}", _record(model)) for model in settings.models)
    files = tuple((name, path) for name, path in records if path.is_file())
    return Stage(
        "copying",
        partial(_write, root, settings),
        {"run_words": RUN_WORDS},
        needs=needs,
        files=files,
        cost=15,
    )


def _write(root: Path, settings: StudySettings, folder: Path, progress: Progress) -> None:
    """Rows of `text`, `method` and what `copied` gives; None where a model learned from another
    corpus, or it is not known.
    """
    known = learned_runs(root / "corpus" / "passages.parquet")
    rows = []
    for model in ("human", *settings.models):
        for name in settings.methods if model != "human" else ("",):
            texts = (
                splits.machine(root, settings, model, name, "test")
                if name
                else splits.human(root, settings, "test")
            )
            comparable = model == "human" or learned_from(model) == settings.corpus.source
            rows.append(
                {"text": Path(model).name, "method": name}
                | copied(texts, known, comparable=comparable)
            )
    write_json(folder / "copying.json", rows)


def learned_runs(passages: Path) -> set[int]:
    """The 12-word runs of a corpus's `pretrain` split; none where it has no such split."""
    return {
        run
        for passage in read_documents(passages, split="pretrain")
        for run in word_runs(passage.text)
    }


def copied(
    texts: Iterable[Document], known: set[int], *, comparable: bool = True
) -> dict[str, Any]:
    """`share` of the texts' 12-word runs that are known, with its bounds, and the numbers of
    `texts` and `runs`.

    Args:
        comparable: else the share is None, as it is without runs.
    """
    hits, runs = zip(*(copied_runs(one.text, known) for one in texts), strict=True)
    share = metrics.ratio(hits, runs) if sum(runs) and known and comparable else (None, None, None)
    return metrics.named("share", share) | {"texts": len(runs), "runs": sum(runs)}


def learned_from(model: str) -> str | None:
    """The corpus that a model's own record says it learned from, or None.

    Raises:
        ArtifactError: the record is not one of ours.
    """
    learned = model_learned(model_folder(model))
    return learned.corpus if learned else None


def _record(model: str) -> Path:
    return model_folder(model) / "training.json"
