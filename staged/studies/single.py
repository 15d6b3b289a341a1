"""One stage of a study by itself, by one process or by several that share it under `torchrun`.

A study gives each stage one device. The training of a large encoder can have all of a machine's, or
several machines': made so, before the study comes to it, the stage is the study's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from staged.errors import PlanError
from staged.model.training import distributed
from staged.pipeline.run import is_current, run_here
from staged.pipeline.stage import Stage
from staged.pipeline.study_folder import Study, StudyProgress
from staged.progress import silent
from staged.settings import nearest
from staged.storage.stage_folders import fingerprint, is_complete, partial_of
from staged.studies.detection.plan import read_study
from staged.studies.detection.study import ReleaseStudy
from staged.studies.finetune.plan import is_finetune, read_finetune
from staged.studies.finetune.study import FinetuneStudy
from staged.studies.provenance.plan import is_provenance, read_provenance
from staged.studies.provenance.study import ProvenanceStudy
from staged.studies.stages import TrainedDetector


def make_stage(
    root: Path,
    study: Study,
    name: str,
    *,
    report: StudyProgress = lambda stages, stage, share: None,
) -> bool:
    """Make one stage's folder, unless it is there.

    Under `torchrun` every process calls this; the first one writes. Killed and called again, it
    continues.

    Args:
        root: the study's folder, in which what the stage reads is finished.
        name: of the stage, such as `detectors/roberta/124M/nucleus`.

    Returns:
        True when work was done, False when it was there.

    Raises:
        PlanError: there is no such stage, what it reads is not finished, or processes cannot share
            it.
        StagedError: of the stage.
    """
    stage = _stage(root, study, name)
    if isinstance(stage, TrainedDetector):
        distributed.join(stage.computes_on)
    if is_current(root, stage):
        return False
    folder = partial_of(root / name)
    # killed between its manifest and its new name
    is_built = is_complete(folder, fingerprint(stage.settings, stage.inputs(root)))
    # every process has seen that there is work before the first one can finish it
    distributed.barrier()
    if distributed.rank() == 0:
        run_here(root, stage, report=lambda *moved: report([stage], *moved))
    elif not is_built:
        stage.write(folder, stage.inputs(root), silent)
    distributed.barrier()
    return True


def study_of(
    plan: Path, *, corpus: str = "", samples: str = "", literal: bool = False, device: str = ""
) -> Study:
    """The study of a plan, of any kind.

    Args:
        corpus, samples, literal, device: as `read_study` takes them.

    Raises:
        PlanError: of the plan, or samples for a study that takes none.
    """
    flags: dict[str, Any] = {"corpus": corpus, "literal": literal, "device": device}
    if is_finetune(plan) or is_provenance(plan):
        if samples:
            raise PlanError(
                f"{plan}: --samples belongs to release studies; this plan is of another"
            )
        if is_finetune(plan):
            return FinetuneStudy(read_finetune(plan, **flags))
        return ProvenanceStudy(read_provenance(plan, **flags))
    return ReleaseStudy(read_study(plan, samples=samples, **flags))


def _stage(root: Path, study: Study, name: str) -> Stage:
    stages = {stage.name: stage for stage in (*study.corpora, *study.others)}
    if name not in stages:
        raise PlanError(f"study: no stage {name!r}; {nearest(name, stages)}")
    stage = stages[name]
    missing = [need.name for need in stage.needs if not is_current(root, need)]
    if missing:
        raise PlanError(
            f"study: {name} reads {', '.join(missing)}, which are not there yet; make them first,"
            " by the same command with --only, or begin the study"
        )
    is_shared = isinstance(stage, TrainedDetector) and stage.roberta is not None
    if distributed.launched() > 1 and not is_shared:
        raise PlanError(
            f"study: {name} is one process's work; what several can share is the training of an"
            " encoder, such as detectors/roberta/…"
        )
    return stage
