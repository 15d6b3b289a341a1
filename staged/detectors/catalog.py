"""Every detector by name: those that a study trains, and those that a text is shown to."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from staged import __version__
from staged.detectors.contract import Detector, Trained
from staged.errors import CheckpointError
from staged.model.checkpoints import is_at_hand, own_folder
from staged.model.devices import best_dtype, chosen_device
from staged.model.formats.layouts import weight_files
from staged.model.sources.places import is_written_as_path, place_of, standing, why_not_there
from staged.model.sources.releases import is_repository
from staged.settings import nearest
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json

# Their folders come with this package; the dated ones are what the default was until then, and what
# was beside it.
SHIPPED = ("evidence", "evidence-2026-11", "evidence-gemma-2026-11", "evidence-ensemble-2026-11")
RENAMED = {
    "evidence-gemma": "evidence-gemma-2026-11",
    "evidence-ensemble": "evidence-ensemble-2026-11",
}
# by the file that tells what kind of detector a folder holds: those that its scores depend on
PARTS = {
    "readers.json": (
        "readers.json",
        "*.npz",
        "encoder.json",
        "encoder.safetensors",
        "tokenizer.json",
    ),
    "ensemble.json": ("ensemble.json", "*/evidence.json"),
    "evidence.json": ("evidence.json",),
    "detector.json": ("detector.json", "terms.json", "weights.npy"),
    "config.json": (
        "config.json",
        "*.safetensors",
        "*.bin",
        "*.index.json",
        "tokenizer*.json",
        "vocab.json",
        "merges.txt",
    ),
}
NUMBERS = "numbers.npz"  # the part of a detector that reads with a language model
DETECTORS = ("tfidf", "roberta")  # what a study trains


def open_detector(name: str, *, device: str = "auto") -> Detector:
    """A detector ready to score.

    Args:
        name: one of NAMED; a trained detector's folder; a `detector-*.pt` file; a two-label
            classifier on the hub, `owner/model`. A name of NAMED means that detector; write
            `./name` for a folder or file that is called like one.
        device: where its model computes: `cpu`, `cuda`, or `auto`, which takes a GPU where there is
            one.

    Raises:
        CheckpointError: none of these, or it cannot be loaded.
        ArtifactError: a download found the disk full.
        PlanError, SamplingError: as `chosen_device`.
    """
    device = chosen_device(device)
    score, at, _ = name.partition("@")
    if score in NAMED and (
        not at or NAMED[score] is _zero_shot
    ):  # which names its models after an @
        return NAMED[score](name, device)
    path = place_of(name)
    if name and standing(path) == "folder":
        return load_detector(path, device=device)
    if standing(path) == "file":
        return _original(path, device)
    if is_repository(name):
        return _on_hub(name, device)
    if is_written_as_path(name):
        raise CheckpointError(f"detector {name!r}: {why_not_there(name, known=NAMED, files=True)}")
    raise CheckpointError(
        f"detector {name!r}: neither a known detector nor a folder or file; {nearest(name, NAMED)}"
    )


def full_name(name: str) -> str:
    """The same detector's name, whichever way it was written: a zero-shot score with its models, a
    folder without a last slash.
    """
    if name.partition("@")[0] not in NAMED:
        return name.rstrip("/")
    if NAMED[name.partition("@")[0]] is not _zero_shot:
        return name
    from staged.detectors.kinds.zero_shot import models_of

    score, models = models_of(name)
    return f"{score}@{','.join(one.rstrip('/') for one in models)}"


CALIBRATION, CALIBRATION_OF_WORDS = "calibration.json", "calibration-words.json"


def calibration_file(name: str) -> Path | None:
    """The calibration that comes with a detector, where one does; of one that judges without its
    language model here, of that.
    """
    folder = detector_folder(name)
    file = folder / (CALIBRATION if reads_fully(folder) else CALIBRATION_OF_WORDS)
    return file if file.is_file() else None


def reads_fully(folder: Path) -> bool:
    """Whether all readers of a detector's folder can read here; one of several may lack its
    language model.
    """
    from staged.detectors.kinds.readers.numbers import scorer_of

    scorer = scorer_of(folder)
    return scorer is None or is_at_hand(scorer)


def scored_by(name: str, device: str) -> dict[str, Any]:
    """What a detector's scores depend on, JSON values: work that another has begun is not
    continued.
    """
    return {
        "detector": name,
        "detector_files": detector_files(name),
        "device": device,
        "staged": __version__,
    }


def known_by(name: str, *, with_scorer: bool | None = None) -> tuple[str, ...]:
    """What a detector is, wherever it lies and however its place is written; nothing where its name
    says it all.

    Args:
        with_scorer: as it is where the language model of one of its readers is installed, or is
            not; without it, as it is here.

    Returns:
        SHA-256 of its files, in the order of their names; of a zero-shot score with models in
        folders the score and, for each model, its name or its files.
    """
    files = detector_files(name, with_scorer=with_scorer)
    score, at, models = name.partition("@")
    if not files or not at or score not in NAMED:
        return tuple(digest for _, digest in sorted(files.items()))
    of_model = {
        one: [digest for file, digest in files.items() if Path(file).parent == place_of(one)]
        for one in models.split(",")
    }
    return (score, *(part for one in models.split(",") for part in of_model[one] or [one]))


def detector_files(name: str, *, with_scorer: bool | None = None) -> dict[str, str]:
    """SHA-256 of each file of a detector that is a folder or a file, and of the weights in users'
    folders that it or a zero-shot score reads with; of others, whose names say what they are, none.
    """
    path = detector_folder(name)
    score, _, models = name.partition("@")
    if score in NAMED and score not in (*SHIPPED, *RENAMED):
        folders = [own for one in models.split(",") if (own := own_folder(one))]
        return {str(file): sha256_file(file) for folder in folders for file in weight_files(folder)}
    if not path.exists():
        return {}
    if not path.is_dir():
        return {path.name: sha256_file(path)}
    patterns = next((those for kind, those in PARTS.items() if (path / kind).is_file()), ())
    parts = {
        one.relative_to(path).as_posix(): one
        for pattern in patterns
        for one in sorted(path.glob(pattern))
    }
    if not (reads_fully(path) if with_scorer is None else with_scorer):
        parts = {
            one: file for one, file in parts.items() if one != NUMBERS
        }  # which then has no part in its scores
    scorers = {
        name: own_scorer(one)
        for name, one in parts.items()
        if one.name in ("evidence.json", NUMBERS)
    }
    parts |= {
        (Path(name).parent / "scorer" / one.name).as_posix(): one
        for name, scorer in scorers.items()
        if scorer
        for one in weight_files(scorer)
    }
    return {name: sha256_file(one) for name, one in parts.items()}


def own_scorer(file: Path) -> Path | None:
    """The language model that a detector reads with, where it is a folder of the user's, which may
    be trained again.
    """
    from staged.detectors.kinds.readers.numbers import scorer_of

    made = {"scorer": scorer_of(file.parent)} if file.name == NUMBERS else read_json(file)
    scorer = Path(str(made.get("scorer") or "")) if isinstance(made, dict) else Path()
    return scorer if scorer.name and scorer.is_dir() else None


def detector_folder(name: str) -> Path:
    """Where a detector's files lie, if it is one that has a folder."""
    return shipped_folder(name) if name in (*SHIPPED, *RENAMED) else place_of(name)


def shipped_folder(name: str) -> Path:
    """Where one of `SHIPPED` or `RENAMED` lies."""
    return Path(str(files("staged") / "detectors" / "shipped" / RENAMED.get(name, name)))


def _shipped(name: str, device: str) -> Detector:
    return load_detector(shipped_folder(name), device=device)


def _zero_shot(name: str, device: str) -> Detector:
    from staged.detectors.kinds.zero_shot import load_zero_shot

    return load_zero_shot(name, device=device)


def _released(name: str, device: str) -> Detector:
    from staged.detectors.kinds.released import load_released

    return load_released(name).to(device)


def _original(path: Path, device: str) -> Detector:
    if path.suffix != ".pt":
        raise CheckpointError(
            f"{path}: not a detector; give a detector's folder, or a detector-*.pt file"
        )
    from staged.detectors.kinds.released import load_original

    return load_original(path).to(device)


def _on_hub(name: str, device: str) -> Detector:
    from staged.detectors.kinds.released import HUB
    from staged.detectors.kinds.roberta import load_roberta
    from staged.model.sources.download import check_hub_sums, hub_folder

    for short, repository in HUB.items():
        if name == repository:
            return _released(short, device)
    folder = hub_folder(name)
    check_hub_sums(folder)
    return load_roberta(str(folder)).to(device)


NAMED: dict[str, Callable[[str, str], Detector]] = {  # each is given its own name, and the device
    **dict.fromkeys((*SHIPPED, *RENAMED), _shipped),
    "likelihood": _zero_shot,
    "rank": _zero_shot,
    "log-rank": _zero_shot,
    "entropy": _zero_shot,
    "lrr": _zero_shot,
    "fast-detectgpt": _zero_shot,
    "binoculars": _zero_shot,
    "gltr": _zero_shot,
    "roberta-base-openai-detector": _released,
    "roberta-large-openai-detector": _released,
    "detector-base.pt": _released,
    "detector-large.pt": _released,
}


def load_detector(folder: str | Path, *, bulk: bool = False, device: str = "cpu") -> Trained:
    """A trained detector from its folder; `open_detector` takes names as well.

    Args:
        bulk: for thousands of texts: an encoder in bfloat16 where the processor has it, see
            `RobertaDetector`.
        device: where its model computes, `cpu` or `cuda`.

    Raises:
        CheckpointError: not a detector's folder, or damaged.
    """
    folder = Path(folder)
    if (folder / "readers.json").is_file():
        from staged.detectors.kinds.readers.detector import load_readers

        return load_readers(folder, device=device)
    if (folder / "ensemble.json").is_file():
        from staged.detectors.kinds.ensemble import load_ensemble

        return load_ensemble(folder, device=device)
    if (folder / "evidence.json").is_file():
        from staged.detectors.kinds.evidence import load_evidence

        return load_evidence(folder, device=device)
    if (folder / "detector.json").is_file():
        from staged.detectors.kinds.tfidf import load_tfidf

        return load_tfidf(folder)
    if (folder / "config.json").is_file():
        from staged.detectors.kinds.roberta import load_roberta

        return load_roberta(str(folder), dtype=best_dtype(device) if bulk else torch.float32).to(
            device
        )
    raise CheckpointError(
        f"{folder}: not a detector's folder; it holds no readers.json, detector.json, config.json,"
        " evidence.json or ensemble.json"
    )
