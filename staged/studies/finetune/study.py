"""Fine-tuning for misuse, harmlessly: does a detector still know a model's text after the model was
fine-tuned on another style?

"Misuse" is the word of the published study; the styles here are harmless.
"""

from __future__ import annotations

from pathlib import Path

from staged.model.checkpoints import load_model
from staged.pipeline.study_folder import Report, carry_out
from staged.storage.json_files import write_json
from staged.studies.detection.stages import corpus_stage
from staged.studies.detection.study import model_facts, refuse_learned
from staged.studies.finetune.measures import measure
from staged.studies.finetune.page import write_finetune_report
from staged.studies.finetune.plan import FinetuneSettings
from staged.studies.finetune.stages import model_stages
from staged.studies.finetune.texts import SPLITS, answers, human

RESULTS = ("finetune.json", "report.html")
SHOWN = 3  # answers a world in the report


def run_finetune(
    root: Path,
    settings: FinetuneSettings,
    *,
    workers: int = 1,
    report: Report = lambda stages, stage, share: None,
) -> bool:
    """Make or complete the study's folder: `finetune.json`, `report.html`, `manifest.json` and a
    folder a stage.

    Returns:
        True when work was done, False when everything was there.

    Raises:
        StagedError: of any stage; what is finished stays.
    """
    encoders = (settings.roberta.base,) if "roberta" in settings.detectors else ()
    load_model(settings.model)  # a damaged one is said now
    for world in settings.worlds:
        refuse_learned((settings.model, *encoders), settings.corpus_of(world))

    def enough() -> None:
        for world in settings.worlds:
            for split in SPLITS:
                human(root, settings, world, split)

    def write() -> None:
        found = {"answers": shown_answers(root, settings), "model": model_facts(settings.model)}
        write_json(root / "finetune.json", measure(root, settings) | found)
        write_finetune_report(root)

    corpora = [
        corpus_stage(f"{world}/corpus", settings.corpus_of(world), settings.model, cost=8)
        for world in settings.worlds
    ]
    others = model_stages(root, settings)
    return carry_out(
        root,
        settings.recorded(),
        corpora,
        others,
        kind="fine-tuning study",
        check=enough,
        write=write,
        results=RESULTS,
        workers=workers,
        report=report,
    )


def shown_answers(root: Path, settings: FinetuneSettings) -> dict[str, list[str]]:
    """The first test answers of each world: not chosen by anyone."""
    return {
        world: [one.text for one in answers(root, settings, world, "test")[:SHOWN]]
        for world in settings.worlds
    }
