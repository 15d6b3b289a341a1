"""Fine-tuning for misuse, harmlessly: does a detector still know a model's text after the model was
fine-tuned on another style?

"Misuse" is the word of the published study; the styles here are harmless.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from staged.engines.choice import ALL_CORES, Engine
from staged.model.causal import load_causal
from staged.pipeline.stage import Inputs, Stage
from staged.pipeline.study_folder import Study, StudyProgress, carry_out
from staged.settings import described
from staged.storage.forms import json_object
from staged.storage.records import write_record
from staged.studies.finetune.measures import measure
from staged.studies.finetune.page import write_finetune_report
from staged.studies.finetune.plan import FinetuneSettings
from staged.studies.finetune.results import FINETUNE
from staged.studies.finetune.stages import FinetuneStages, finetune_stages
from staged.studies.models import model_facts, refuse_learned
from staged.studies.texts import SPLITS

SHOWN = 3  # answers a world in the report


class FinetuneStudy(Study):
    """A fine-tuning study: its stages, and what is made of them."""

    kind = "fine-tuning study"

    def __init__(self, settings: FinetuneSettings) -> None:
        self.settings, self.stages = settings, finetune_stages(settings)

    @property
    def results(self) -> tuple[str, ...]:
        return (FINETUNE, "report.html")

    @property
    def recorded(self) -> dict[str, Any]:
        return self.settings.recorded()

    @property
    def corpora(self) -> list[Stage]:
        return self.stages.corpora

    @property
    def others(self) -> list[Stage]:
        return self.stages.others

    def check(self, inputs: Inputs) -> None:
        for world in self.stages.worlds.values():
            for split in SPLITS:
                world.human(inputs, split)

    def is_described(self, root: Path) -> bool:
        recorded = (json_object(root / FINETUNE) or {}).get("settings", {})
        return described(recorded, self.settings) == recorded

    def write(self, root: Path, inputs: Inputs) -> None:
        answers, model = shown_answers(inputs, self.stages), model_facts(self.settings.model)
        result = measure(inputs, self.settings, self.stages, answers=answers, model=model)
        write_record(root / FINETUNE, result)
        write_finetune_report(root)


def run_finetune(
    root: Path,
    settings: FinetuneSettings,
    *,
    engine: Engine = ALL_CORES,
    report: StudyProgress = lambda stages, stage, share: None,
) -> bool:
    """Make or complete the study's folder: `finetune.json`, `report.html`, `manifest.json` and a
    folder a stage.

    Returns:
        True when work was done, False when everything was there.

    Raises:
        StagedError: of any stage; what is finished stays.
    """
    encoders = (settings.roberta.base,) if "roberta" in settings.detectors else ()
    load_causal(settings.model)  # a damaged one is said now
    for world in settings.worlds:
        refuse_learned((settings.model, *encoders), settings.corpus_of(world))
    return carry_out(root, FinetuneStudy(settings), engine=engine, report=report)


def shown_answers(inputs: Inputs, stages: FinetuneStages) -> dict[str, tuple[str, ...]]:
    """The first test answers of each world: not chosen by anyone."""
    return {
        name: tuple(text.text for text in world.answers.texts(inputs, "test")[:SHOWN])
        for name, world in stages.worlds.items()
    }
