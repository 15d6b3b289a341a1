"""Verbs that run studies: of detection, of fine-tuning, of bias, of what people believe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from staged.engines.choice import ALL_CORES, HERE, Engine
from staged.progress import NamedProgress, Progress, silent
from staged.verbs.given import names_of, path_of

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no model's library
    from staged.pipeline.study_folder import StudyProgress
    from staged.studies.bias.plan import BiasSettings
    from staged.studies.bias.results import BiasResult, Tally
    from staged.studies.costs.dry_run import DryRun
    from staged.studies.finished import FinishedStudy
    from staged.survey.plan import SurveySettings
    from staged.survey.results import Survey

__all__ = [
    "bias",
    "dry_run",
    "make_survey",
    "study",
    "study_stage",
    "tally_bias",
    "tally_survey",
    "write_report",
]


def study(
    plan: str | Path = "mini",
    out: str | Path = "out/study",
    *,
    corpus: str = "",
    samples: str | Path = "",
    attacks: bool = False,
    literal: bool = False,
    device: str = "",
    engine: Engine = ALL_CORES,
    progress: StudyProgress = lambda stages, stage, share: None,
) -> FinishedStudy:
    """Run a release study: corpus, samples, detectors, cells, report. Killed and called again, it
    continues; a finished study in `out` is only read.

    A plan with a table [styles] is a fine-tuning study, one with `schemes` a study of watermarks.

    Args:
        plan: the name of one that ships, such as `mini`, or a TOML file.
        out: the study's folder, or a URL such as `s3://BUCKET/NAME`.
        corpus: human text instead of the plan's, a file or folder.
        samples: texts that somebody has, a file or folder, in place of those that the plan's models
            would write.
        attacks: also score attacked test texts, under every attack.
        literal: `<|endoftext|>` in human text is a part of it; else it separates texts.
        device: where models write and encoders learn and score, `cpu`, `cuda` or `auto`; by default
            the plan's, which is `auto`, a GPU where there is one.
        engine: what computes; results do not depend on it.
        progress: called with (all stages, the one that moved, its share done).

    Raises:
        PlanError: of the plan, or of what is asked.
        StagedError: of any stage; what is finished stays.

    Example:
        >>> import staged
        >>> study = staged.study("mini", "out/mini")  # doctest: +SKIP
        >>> [cell.accuracy for cell in study.cells()]  # doctest: +SKIP
    """
    from staged.model.devices import chosen_device
    from staged.places.mirror import place
    from staged.plans.shipped import find_plan
    from staged.studies.finished import FinishedStudy
    from staged.studies.plans import Asked, run_plan

    if device and engine.name == "local":  # a cluster's GPUs are elsewhere
        chosen_device(device)
    file, out = find_plan(plan, command="study"), place(out)
    asked = Asked(corpus, str(samples), attacks, literal=literal, device=device)
    run_plan(file, out, asked, engine=engine, report=progress)
    return FinishedStudy(out)


def study_stage(
    name: str,
    plan: str | Path = "mini",
    out: str | Path = "out/study",
    *,
    corpus: str = "",
    samples: str | Path = "",
    literal: bool = False,
    device: str = "",
    progress: StudyProgress = lambda stages, stage, share: None,
) -> Path:
    """Make one stage of a study, whose inputs are finished. Killed and called again, it continues.

    Under `torchrun` every process calls this, and they share the training of an encoder.

    Args:
        name: of the stage, such as `detectors/roberta/124M/nucleus`.
        plan, out, corpus, samples, literal, device: as `study` takes them.
        progress: called with (the stage alone, the stage, its share done).

    Returns:
        The stage's folder.

    Raises:
        PlanError: there is no such stage, what it reads is not finished, or processes cannot share
            it.
        StagedError: of the stage.
    """
    from staged.places.mirror import place
    from staged.plans.shipped import find_plan
    from staged.studies.single import make_stage, study_of

    file, out = find_plan(plan, command="study"), place(out)
    asked = study_of(file, corpus=corpus, samples=str(samples), literal=literal, device=device)
    make_stage(out, asked, name, report=progress)
    return out / name


def dry_run(
    plan: str | Path = "mini",
    *,
    corpus: str = "",
    samples: str | Path = "",
    attacks: bool = False,
    device: str = "",
) -> DryRun:
    """What a release study will take here: stages, blocks, tokens, bytes, and hours by measured
    rates. Nothing is downloaded or written, and no human text is read.

    Args:
        plan, corpus, samples, attacks, device: as `study` takes them.

    Raises:
        PlanError: of the plan; or it is of another kind of study.
        SamplingError: there is no GPU, and one is asked for.
        CheckpointError: no model has a name that the plan says.

    Example:
        >>> import staged
        >>> staged.dry_run("gpt2").blocks  # doctest: +SKIP
    """
    from staged.plans.shipped import find_plan
    from staged.studies.plans import Asked, count_study

    asked = Asked(corpus, str(samples), attacks, device=device)
    return count_study(find_plan(plan, command="study"), asked)


def write_report(folder: str | Path) -> Path:
    """Write report.html again from a finished study's JSON files, computing nothing.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    from staged.places.files import edited
    from staged.places.mirror import place
    from staged.studies.detection.report.page import write_report as write_release
    from staged.studies.finetune.page import write_finetune_report
    from staged.studies.finished import FinishedStudy
    from staged.studies.provenance.page import write_provenance_report

    study = FinishedStudy(place(folder))
    writers = {
        "fine-tuning study": write_finetune_report,
        "watermark study": write_provenance_report,
    }
    with edited(study.folder):
        writers.get(study.kind, write_release)(study.folder)
    return study.report


def bias(
    models: str | Path | Sequence[str | Path],
    *,
    settings: BiasSettings | None = None,
    out: str | Path = "out/bias",
    terms: str | Path | None = None,
    crows_pairs: str | Path | None = None,
    stereoset: str | Path | None = None,
    engine: Engine = HERE,
    progress: NamedProgress = lambda what, done, total: None,
) -> BiasResult:
    """Probe models for differences between groups of people, and compare these between models. The
    probes are not comprehensive. A killed call continues.

    Args:
        models: one, or several to compare, as `sample` takes them.
        settings: how many completions, how they are drawn; by default as `BiasSettings()`.
        out: receives bias.json, bias.md and what models answered.
        terms: templates and groups of your own, laid out as staged/studies/bias/terms.toml.
        crows_pairs: CrowS-Pairs' CSV file as published: score it too.
        stereoset: StereoSet's JSON file as published: score its intrasentence part too.
        engine: what computes.
        progress: called with (what is done, how much of it, all of it).

    Raises:
        PlanError, CheckpointError, SamplingError: the models, or what is asked of them.
        ArtifactError: the place cannot be written.

    Example:
        >>> import staged
        >>> settings = staged.BiasSettings(per_prompt=20)
        >>> result = staged.bias(["mini-s", "mini-m"], settings=settings)  # doctest: +SKIP
        >>> [row.verdict for row in result.between_models]  # doctest: +SKIP
    """
    from functools import partial

    from staged.studies.bias.plan import BiasSettings as Settings
    from staged.studies.bias.run import compare_probed, probe_models, read_asked

    asked = read_asked(
        settings or Settings(),
        terms=path_of(terms),
        crows_pairs=path_of(crows_pairs),
        stereoset=path_of(stereoset),
    )
    place, names = Path(out), names_of(models)
    asking = partial(progress, "completions and sentences")
    probe_models(names, asked, place, engine=engine, progress=asking)
    return compare_probed(names, asked, place, partial(progress, "comparisons"))


def tally_bias(sheet: str | Path, *, out: str | Path = "out/bias", seed: int = 1) -> Tally:
    """Count the ratings of a sheet of completions, whose key stands beside it,
    into tally.json and tally.md.

    Raises:
        CorpusError, ArtifactError: the sheet, its key, or the place.
    """
    from staged.studies.bias.sheet import write_tally

    return write_tally(Path(sheet), Path(out), seed=seed)


def make_survey(
    settings: SurveySettings, out: str | Path = "out/survey", *, progress: Progress = silent
) -> int:
    """Make a blinded questionnaire: one sheet a person, as CSV and for print, and the key that
    nobody who rates should see. A killed call continues.

    Returns:
        The number of sheets.

    Raises:
        PlanError, CheckpointError, SamplingError: the models, or what is asked of them.
        ArtifactError: the place cannot be written.
    """
    from staged.survey.design import make_survey as make

    return make(settings, Path(out), progress)


def tally_survey(folder: str | Path, answers: str | Path | Sequence[str | Path]) -> Survey:
    """Count people's ratings into survey.json and survey.md, which cards and release gates read.

    Args:
        folder: of the questionnaire.
        answers: filled-in sheets, CSV files.

    Raises:
        CorpusError, ArtifactError: a sheet, or the folder.
    """
    from staged.survey.analyse import write_tally

    return write_tally(Path(folder), [Path(file) for file in names_of(answers)])
