"""Which files go out: a model's and a detector's own, by the lists of their layouts, and what was
measured. The rest is named.

Nothing is left out in silence but hidden files and what the package makes anew: its card, its
manifest, its licence.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from fnmatch import fnmatch
from pathlib import Path

from staged.cells import CELLS, LENGTHS
from staged.corpus.learned import FILE as LEARNED
from staged.detectors.catalog import CALIBRATION, CALIBRATION_OF_WORDS, study_calibration
from staged.detectors.identity import NUMBERS, PARTS, own_scorer
from staged.errors import ArtifactError, CheckpointError, ReleaseError
from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import config_file, weight_files
from staged.release.card.paragraphs import WORDS
from staged.release.card.read_measured import once_each
from staged.release.origin import check_origin
from staged.release.package.layout import QUALITY
from staged.release.plan import Release, ReleaseStage
from staged.storage.digests import sha256_file
from staged.storage.marks import MANIFEST
from staged.studies.bias.results import BIAS
from staged.studies.detection.results import ATTACKS, FINDINGS, GALLERY, STUDY
from staged.studies.finetune.results import FINETUNE
from staged.survey.results import SURVEY

__all__ = ["members", "published_weights"]

STUDY_FILES = (
    CELLS,
    "cells.csv",
    LENGTHS,
    FINDINGS,
    STUDY,
    GALLERY,
    ATTACKS,
    "report.html",
    MANIFEST,
)
# beside the weights and their index: what transformers and staged read, and staged's record of the
# training
MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "encoder.json",
    "vocab.bpe",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "training.json",
    "loss.jsonl",
    "NOTICE",
    "NOTICE.txt",
)
# beside those of its kind, `identity.PARTS`
DETECTOR_FILES = (CALIBRATION, CALIBRATION_OF_WORDS, "facts.json", LEARNED, MANIFEST, "README.md")
MADE_ANEW = ("README.md", MANIFEST)  # of a model's folder: the package has its own
LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE")
MOST_NAMED = 12


def members(release: Release, stage: ReleaseStage) -> dict[str, Path]:
    """Path in the package → the file it is copied from.

    Raises:
        StagedError: the model, detector, licence or an evidence folder is missing; a folder holds
            files that are no part of what it is; the model or detector is not the one that the
            studies in evidence measured.
    """
    model, detector = model_folder(stage.model), stage.detector_folder
    if detector and not detector.is_dir():
        raise CheckpointError(
            f"{release.path}: stage {stage.name!r}: no detector folder at {detector}; run the study"
            " that trains it"
        )
    files = _model(model, release.licence) | {
        f"detector/{name}": path for name, path in (_detector(detector) if detector else {}).items()
    }
    check_origin(release, stage, model, detector)
    files |= _evidence(release)
    files |= {"LICENSE": release.licence, WORDS: release.words}
    for name, path in files.items():
        if not path.is_file():
            raise ArtifactError(
                f"{release.path}: no file at {path}, which is to be the package's {name}"
            )
    return files


def published_weights(folder: Path) -> list[Path]:
    """The files of a model's weights, which go out.

    Raises:
        CheckpointError: there are none, or none that are published.
    """
    weights = weight_files(folder)
    if weights[0].suffix not in (".safetensors", ".json") or any(
        path.suffix == ".bin" for path in weights
    ):
        raise CheckpointError(
            f"{folder}: its weights are in {weights[0].name}, and only safetensors are published,"
            f" as reading others can run code; run `staged convert {folder} NEW-FOLDER` and name"
            " that"
        )
    if config_file(folder).name != "config.json":
        raise CheckpointError(
            f"{folder}: has no config.json; run `staged convert {folder} NEW-FOLDER` and name that"
        )
    return weights


def _model(folder: Path, licence: Path) -> dict[str, Path]:
    forms = [*MODEL_FILES, *(path.name for path in published_weights(folder))]
    same = [
        name
        for name in LICENCES
        if (folder / name).is_file() and sha256_file(folder / name) == _digest(licence)
    ]
    return _listed(folder, forms, without=(*MADE_ANEW, *same), what="model")


def _digest(path: Path) -> str:
    return sha256_file(path) if path.is_file() else ""


def _detector(folder: Path) -> dict[str, Path]:
    """The files of its kind, of an ensemble each member's too; the calibration that its study made
    where none lies beside it.
    """
    kind = next((kind for kind in PARTS if (folder / kind).is_file()), None)
    if kind is None:
        raise CheckpointError(
            f"{folder}: not a detector's folder; it holds none of {', '.join(PARTS)}"
        )
    forms = [*DETECTOR_FILES, *PARTS[kind]]
    if kind == "config.json":
        forms = [
            *DETECTOR_FILES,
            *MODEL_FILES,
            *(path.name for path in weight_files(folder) if path.suffix != ".bin"),
        ]
    for file in (folder / "evidence.json", folder / NUMBERS, *folder.glob("*/evidence.json")):
        if file.is_file() and (scorer := own_scorer(file)):
            raise ReleaseError(
                f"{file}: reads with the model in {scorer}, a folder that nobody else has; train it"
                " with one of a name"
            )
    files = _listed(folder, forms, without=(), what="detector")
    of_study = study_calibration(folder)
    return ({CALIBRATION: of_study} if of_study else {}) | files


def _listed(
    folder: Path, forms: Iterable[str], *, without: Iterable[str], what: str
) -> dict[str, Path]:
    """The folder's own files.

    Raises:
        ReleaseError: it holds others, or a link to elsewhere.
    """
    forms, without = tuple(forms), tuple(without)
    files: dict[str, Path] = {}
    others: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in without:
            continue
        names = _visible(path, folder)
        taken = {
            name: file for name, file in names.items() if any(_fits(name, form) for form in forms)
        }
        files |= taken
        if len(taken) < len(names):
            others += [f"{path.name}/"] if path.is_dir() else [path.name]
    if others:
        raise _foreign(folder, others, what)
    for path in files.values():
        _refuse_link(path, folder)
    return files


def _foreign(folder: Path, others: list[str], what: str) -> ReleaseError:
    shown = ", ".join(others[:MOST_NAMED]) + (
        f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    )
    return ReleaseError(
        f"{folder}: holds what is no part of a {what}: {shown}; move it away: a state of "
        "training, notes or settings may hold a token or a private key, and pickles run code"
    )


def _visible(path: Path, folder: Path) -> dict[str, Path]:
    """What stands at a path or below it and is not hidden, by its name in the folder."""
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    names = {file.relative_to(folder): file for file in inside if not file.is_dir()}
    return {
        name.as_posix(): file
        for name, file in names.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def _fits(name: str, form: str) -> bool:
    return name.count("/") == form.count("/") and fnmatch(name, form)


def _refuse_link(path: Path, folder: Path) -> None:
    """A link may lead beside it, or to where the hub's cache keeps the files of a snapshot."""
    target, home = path.resolve(), folder.resolve()
    cache = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if not target.is_relative_to(home) and not target.is_relative_to(cache):
        raise ReleaseError(
            f"{path}: is a link to {target}, outside its folder; put the file itself there"
        )


def _evidence(release: Release) -> dict[str, Path]:
    """Results only: a study in a folder of its name, also a second probe, survey or fine-tuning; of
    the folder of a model nothing, as a stage's own record lies beside its weights.
    """
    files: dict[str, Path] = {}
    for folder in once_each(release.evidence):
        places = _results(folder, files)
        if shared := places.keys() & files.keys():
            first = files[min(shared)]
            other = first if folder.is_file() else first.parent
            raise ArtifactError(
                f"{release.path}: {other} and {folder} would be the same place in the package;"
                " rename one of them"
            )
        for path in places.values():
            _refuse_link(path, folder.parent if folder.is_file() else folder)
        files |= places
    return files


def _results(folder: Path, before: Container[str]) -> dict[str, Path]:
    """The results of one folder, or one file of `evaluate-lm`, by their places in the package.

    Args:
        before: places that are taken.
    """
    name = folder.resolve().name
    if folder.is_file():
        return {f"{QUALITY}/{name}": folder}
    places = {
        f"study/{name}/{file}": folder / file
        for file in STUDY_FILES
        if (folder / CELLS).is_file() and ((folder / file).is_file() or file == CELLS)
    }
    for kind, file in (("bias", BIAS), ("survey", SURVEY), ("finetune", FINETUNE)):
        if (folder / file).is_file():
            place = f"{kind}/{file}"
            places[f"{kind}/{name}/{file}" if place in before else place] = folder / file
    return places
