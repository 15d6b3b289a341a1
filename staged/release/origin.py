"""Whether a stage's model and detector are those of its evidence: a name is easily given again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from staged.cells import CELLS
from staged.errors import ReleaseError
from staged.model.formats.layouts import model_files
from staged.notes import note
from staged.release.plan import Release, ReleaseStage
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json
from staged.storage.marks import MANIFEST
from staged.storage.records import read_record
from staged.studies.detection.results import AGAIN, STUDY, StudyFacts

__all__ = ["check_origin", "corpora_of", "detector_name", "study_of"]


def check_origin(release: Release, stage: ReleaseStage, model: Path, detector: Path | None) -> None:
    """Refuse a model other than the studies measured under this name, and a detector of another run
    or changed since.

    Args:
        detector: None where none is released.

    Raises:
        ReleaseError: one of these.
    """
    where = f"{release.path}: stage {stage.name!r}"
    studies = [folder for folder in release.evidence if (folder / CELLS).is_file()]
    _check_model(where, stage.name, model, studies, detector)
    if detector is not None:
        _check_detector(where, studies, detector)


def _check_detector(where: str, studies: list[Path], detector: Path) -> None:
    manifest = read_json(detector / MANIFEST) if (detector / MANIFEST).is_file() else None
    trained = {
        digest
        for folder in studies
        for name, digest in _inputs(folder).items()
        if name.startswith("detectors/")
    }
    if manifest is not None and trained and sha256_file(detector / MANIFEST) not in trained:
        raise ReleaseError(
            f"{where}: the detector at {detector} is of another run than the studies in evidence; "
            "release the evidence of the run that trained it"
        )
    for name, digest in (manifest or {}).get("files", {}).items():
        if (detector / name).is_file() and sha256_file(detector / name) != digest:
            raise ReleaseError(
                f"{where}: {detector / name} is not the file that the study trained; run the study"
                " again"
            )


def detector_name(release: Release, detector: Path) -> str:
    """`KIND/MODEL/METHOD`, as the study in evidence that trained a detector calls it; empty where
    none did.
    """
    manifest = detector / MANIFEST
    digest = sha256_file(manifest) if manifest.is_file() else None
    names = (
        name.partition("/")[2]
        for folder in release.evidence
        if (folder / CELLS).is_file()
        for name, known in _inputs(folder).items()
        if name.startswith("detectors/") and known == digest
    )
    return next(names, "")


def _check_model(
    where: str, name: str, model: Path, studies: list[Path], detector: Path | None
) -> None:
    recorded = [record for folder in studies for record in _measured(name, folder, detector)]
    digests = (
        {file: sha256_file(path) for file, path in model_files(model).items()} if recorded else {}
    )
    for measured, source in recorded:
        other = sorted(file for file in measured if measured[file] != digests.get(file))
        if other:
            raise ReleaseError(
                f"{where}: the model at {model} is not the one that was measured: {source} has"
                f" another {', '.join(other)}; release that one, or study this one"
            )
    if studies and not recorded:
        note(
            f"{where}: the evidence does not say which files were measured as {name!r}, so they are"
            f" not compared with {model}"
        )


def _measured(
    name: str, folder: Path, detector: Path | None
) -> Iterator[tuple[Mapping[str, str], str]]:
    """(file → SHA-256, who says so) of the model called `name`: of a study's facts, or of its
    samples where these lie there.
    """
    models = read_record(folder / STUDY, StudyFacts, again=AGAIN).models
    files = next((model.files for model in models if model.name == name), None)
    if files:
        yield files, str(folder / STUDY)
        return
    study = study_of(detector) if detector else None
    for root in {folder, *([study] if study else [])}:
        for manifest in sorted(root.glob(f"samples/{name}/*/{MANIFEST}")):
            if _inputs(folder).get(manifest.parent.relative_to(root).as_posix()) == sha256_file(
                manifest
            ):
                yield read_json(manifest)["inputs"], str(manifest)


def study_of(detector: Path) -> Path | None:
    """The folder of the study that a detector lies in: the one that holds the human text that its
    manifest says it learned from.
    """
    inputs, corpora = _inputs(detector), corpora_of(detector)
    for root in detector.resolve().parents if corpora else ():
        if all(
            (root / name / MANIFEST).is_file()
            and sha256_file(root / name / MANIFEST) == inputs[name]
            for name in corpora
        ):
            return root
    return None


def corpora_of(detector: Path) -> list[str]:
    """The stages of human text that a study's detector was made of, by their names in the study."""
    return sorted(name for name in _inputs(detector) if name.split("/")[-1] == "corpus")


def _inputs(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        return {}
    manifest = read_json(folder / MANIFEST)
    return dict(manifest.get("inputs", {})) if isinstance(manifest, dict) else {}
