"""`staged train-detector`: from a plan to the folder of a detector of the kind of `evidence`, or of
an ensemble of such.

    human, attacked, samples ──► features (a block a file) ──► weights ──► calibration ──► facts

A killed run continues. Everything is chosen on `train`, calibrated on `valid`; `test` and the
held-out corpora are only reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from staged import __version__
from staged.corpus.learned import read_learned, write_learned
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.identity import detector_files, known_by
from staged.detectors.kinds.features import FEATURES
from staged.detectors.names import parse_name
from staged.engines.choice import HERE, Engine
from staged.errors import PlanError
from staged.model.checkpoints import model_folder
from staged.model.devices import chosen_device
from staged.plans.shipped import find_plan
from staged.progress import NamedProgress
from staged.records import Document
from staged.samples.sample_stage import own_weights
from staged.storage.gate import check_stage, start_ledger
from staged.storage.json_files import read_json, write_json
from staged.storage.stage_folders import build, is_complete
from staged.storage.writing import disk_errors, locked
from staged.training.evidence.fitting import Fitted, joined, pooled, trained
from staged.training.evidence.generated import cells
from staged.training.evidence.passages import is_clean
from staged.training.evidence.plan import EnsembleSettings, EvidenceSettings, read_evidence
from staged.training.evidence.report import calibrated, report
from staged.training.evidence.texts import gather, keep_test, read_features


def build_detector(
    out: Path,
    settings: EvidenceSettings | EnsembleSettings,
    *,
    device: str = "cpu",
    engine: Engine = HERE,
    progress: NamedProgress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Everything from the plan to `out/detector`: the detector, its calibration, and `facts.json`,
    which is returned.

    `out/test` receives the texts that none of these were made of. Both are made again only where
    something they depend on changed.

    Args:
        device: where texts are generated and read: `cpu`, `cuda`, or `auto` for a GPU where there
            is one.
        engine: what lets generators write.

    Raises:
        CorpusError, CheckpointError, SamplingError: a corpus or a model of the plan.
        PlanError: the plan of an ensemble's texts; a member that cannot be one; `out` holds another
            detector.
        ArtifactError: the place cannot be written.
    """
    device = chosen_device(device)
    place = out / "detector"
    _check_place(place, settings.name)
    if isinstance(settings, EnsembleSettings):
        plan = read_evidence(find_plan(settings.texts))
        ensemble = joined(settings, plan, device)
    else:
        plan, ensemble = settings, None
    _check_models(out, plan, scorer=not ensemble)
    out.mkdir(parents=True, exist_ok=True)
    with disk_errors(out), locked(out):
        start_ledger(out, "detector's training")
        for name in ("human", "test", "detector"):
            check_stage(out / name)
        documents = gather(out, plan, device=device, engine=engine, progress=progress)
        wanted, inputs = _wanted(settings, plan), _inputs(out, plan)
        build(out / "test", partial(keep_test, documents=documents), settings=wanted, inputs=inputs)
        reading = partial(read_features, out / "features", documents, progress=progress)
        if ensemble:
            fit = partial(pooled, ensemble, reading)
        else:
            fit = partial(trained, plan, documents, reading, device)
            inputs |= own_weights(plan.scorer)
        write = partial(finish, out=out, documents=documents, settings=settings, plan=plan, fit=fit)
        build(place, write, settings=wanted, inputs=inputs)
    return dict(read_json(place / "facts.json"))


def _members(settings: EvidenceSettings | EnsembleSettings) -> list[str]:
    return list(settings.members) if isinstance(settings, EnsembleSettings) else []


def _wanted(
    settings: EvidenceSettings | EnsembleSettings, plan: EvidenceSettings
) -> dict[str, Any]:
    """What decides a detector's bytes beside the texts, JSON values."""
    return asdict(settings) | {
        "texts of": asdict(plan),
        "files of": {name: detector_files(parse_name(name)) for name in _members(settings)},
        "features": FEATURES,
        "staged": __version__,
    }


def _inputs(out: Path, plan: EvidenceSettings) -> dict[str, Path]:
    """The files of the texts, by name."""
    samples = {cell.name: out / "samples" / f"{cell.name}.jsonl" for cell in cells(plan)}
    return {"human": out / "human"} | samples


def finish(
    folder: Path,
    *,
    out: Path,
    documents: Sequence[Document],
    settings: EvidenceSettings | EnsembleSettings,
    plan: EvidenceSettings,
    fit: Callable[[], Fitted],
) -> None:
    """The detector with what it learned from, its calibration and its facts, into a folder.

    Args:
        plan: of the texts.
    """
    fitted = fit()
    fitted.detector.save(folder)
    write_learned(
        folder,
        [document for document in documents if document.split == "train" and is_clean(document)],
        {out / "human": ""},
        also=[read_learned(parse_name(name).place) for name in _members(settings)],
    )
    known = known_by(parse_name(str(folder)))
    calibration = calibrated(
        documents, fitted.scores.tolist(), plan, name=settings.name, known_by=known
    )
    calibration.save(folder / "calibration.json")
    facts = report(documents, fitted.scores, fitted.columns, calibration)
    write_json(folder / "facts.json", {"settings": asdict(settings)} | facts)


def _check_models(out: Path, plan: EvidenceSettings, *, scorer: bool) -> None:
    """Say which model is missing before hours of work; one whose work is done is not asked for."""
    models = {
        cell.model for cell in cells(plan) if not (out / "samples" / f"{cell.name}.jsonl").is_file()
    }
    for model in sorted(
        models | ({plan.scorer} if scorer and not is_complete(out / "detector") else set())
    ):
        model_folder(model)


def _check_place(place: Path, name: str) -> None:
    file = place / "calibration.json"
    if file.is_file() and (other := load_calibration(file).detector) != name:
        raise PlanError(
            f"{place}: holds the detector {other!r}, and this plan makes {name!r}; choose another"
            " --out"
        )
