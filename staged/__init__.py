"""Release a language model the way GPT-2 1.5B was released: with its weights, its detector, its
evidence and its card.

The public verbs; each is imported when first used, so `import staged` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "BPE": "staged.model.bpe",
    "BiasSettings": "staged.studies.bias.probe",
    "Cell": "staged.cells",
    "Document": "staged.records",
    "Examiner": "staged.detectors.detect",
    "GPT2": "staged.model.gpt2.model",
    "SampleSettings": "staged.samples.dataset",
    "StagedError": "staged.errors",
    "StudySettings": "staged.studies.detection.plan",
    "SurveySettings": "staged.survey.design",
    "TrainSettings": "staged.model.training.plan",
    "compare_probed": "staged.studies.bias.run",
    "load_detector": "staged.detectors.catalog",
    "load_model": "staged.model.checkpoints",
    "make_survey": "staged.survey.design",
    "method": "staged.samples.methods",
    "open_detector": "staged.detectors.catalog",
    "probe_models": "staged.studies.bias.run",
    "raid_detector": "staged.raid.evaluate",
    "read_finetune": "staged.studies.finetune.plan",
    "read_study": "staged.studies.detection.plan",
    "run_finetune": "staged.studies.finetune.study",
    "run_study": "staged.studies.detection.study",
    "sample": "staged.samples.dataset",
    "train": "staged.model.training.train",
    "write_report": "staged.studies.detection.page",
    "write_samples": "staged.samples.dataset",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'staged' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
