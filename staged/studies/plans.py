"""A plan of any kind of study, as a command names it: run, or counted before it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from staged.attacks.kinds import ATTACKS
from staged.engines.choice import Engine
from staged.errors import PlanError
from staged.pipeline.study_folder import StudyProgress
from staged.studies.costs.dry_run import DryRun, dry_run
from staged.studies.detection.plan import StudySettings, read_study
from staged.studies.detection.study import ReleaseStudy, run_study
from staged.studies.finetune.plan import is_finetune, read_finetune
from staged.studies.finetune.study import run_finetune
from staged.studies.provenance.plan import is_provenance, read_provenance
from staged.studies.provenance.study import run_provenance


@dataclass(frozen=True)
class Asked:
    """What is asked of a plan; empty is what the plan says.

    Attributes:
        corpus: human text in place of the plan's.
        samples: texts in place of what its models would write.
        attacks: whether all attacks are made, whatever the plan says.
        literal: whether an end-of-text mark is a part of human text.
        device: where models compute.
    """

    corpus: str = ""
    samples: str = ""
    attacks: bool = False
    literal: bool = False
    device: str = ""

    @property
    def of_any(self) -> dict[str, Any]:
        """What plans of every kind take."""
        return {"corpus": self.corpus, "literal": self.literal, "device": self.device}


def run_plan(plan: Path, out: Path, asked: Asked, *, engine: Engine, report: StudyProgress) -> None:
    """Make or complete the study of a plan.

    Raises:
        PlanError: of the plan, or of what is asked.
        StagedError: of any stage; what is finished stays.
    """
    if is_finetune(plan) or is_provenance(plan):
        _check_of_release(plan, asked)
    if is_finetune(plan):
        run_finetune(out, read_finetune(plan, **asked.of_any), engine=engine, report=report)
    elif is_provenance(plan):
        run_provenance(out, read_provenance(plan, **asked.of_any), engine=engine, report=report)
    else:
        run_study(out, _release_settings(plan, asked), engine=engine, report=report)


def count_study(plan: Path, asked: Asked) -> DryRun:
    """What a release study will take here.

    Raises:
        PlanError: of the plan; or it is of another kind of study.
        CheckpointError, SamplingError: as `dry_run`.
    """
    if is_finetune(plan) or is_provenance(plan):
        raise PlanError(f"{plan}: --dry-run counts release studies; this plan is of another kind")
    settings = _release_settings(plan, asked)
    study = ReleaseStudy(settings)
    return dry_run(
        settings.title,
        [*study.corpora, *study.others],
        device=settings.device,
        tokenizer=settings.tokenizer,
    )


def _release_settings(plan: Path, asked: Asked) -> StudySettings:
    settings = read_study(plan, samples=asked.samples, **asked.of_any)
    return replace(settings, attacks=tuple(ATTACKS)) if asked.attacks else settings


def _check_of_release(plan: Path, asked: Asked) -> None:
    if asked.attacks or asked.samples:
        raise PlanError(
            f"{plan}: --{'attacks' if asked.attacks else 'samples'} belongs to release studies;"
            f" this plan is of a {'fine-tuning' if is_finetune(plan) else 'watermark'} study"
        )
