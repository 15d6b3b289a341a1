"""What a detector is, beside its name: the files that its scores depend on.

Trained again it is another detector, copied or renamed it is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from staged import __version__
from staged.detectors.catalog import reads_fully
from staged.detectors.names import DetectorName
from staged.keys.key import KEY as PUBLIC
from staged.keys.ring import keys_folder
from staged.model.checkpoints import own_folder
from staged.model.formats.layouts import weight_files
from staged.model.sources.places import place_of
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json

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


def scored_by(name: DetectorName, device: str) -> dict[str, Any]:
    """What a detector's scores depend on, JSON values: another's work is not continued."""
    return {
        "detector": name.given,
        "detector_files": detector_files(name),
        "device": device,
        "staged": __version__,
    }


def known_by(name: DetectorName, *, with_scorer: bool | None = None) -> tuple[str, ...]:
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
    if not files or name.kind != "zero-shot":
        return tuple(digest for _, digest in sorted(files.items()))
    parts = [name.score]
    for model in name.models:
        folder = place_of(model)
        parts += [digest for file, digest in files.items() if Path(file).parent == folder] or [
            model
        ]
    return tuple(parts)


def detector_files(name: DetectorName, *, with_scorer: bool | None = None) -> dict[str, str]:
    """SHA-256 of each file of a detector that is a folder or a file, and of the weights in users'
    folders that it or a zero-shot score reads with; of others, whose names say what they are, none.

    Args:
        with_scorer: as `known_by` takes it.
    """
    path = name.place
    if name.kind == "watermark":  # what everybody may know of its key
        files = (keys_folder() / key / PUBLIC for key in name.models)
        return {
            f"{file.parent.name}/{file.name}": sha256_file(file) for file in files if file.is_file()
        }
    if name.kind in ("zero-shot", "released"):
        folders = filter(None, map(own_folder, name.models))
        return {str(file): sha256_file(file) for folder in folders for file in weight_files(folder)}
    if not path.exists():
        return {}
    if not path.is_dir():
        return {path.name: sha256_file(path)}
    parts = _parts(path)
    if not (reads_fully(path) if with_scorer is None else with_scorer):
        parts.pop(NUMBERS, None)  # which then has no part in its scores
    return {part: sha256_file(file) for part, file in (parts | _scorer_files(parts)).items()}


def _parts(folder: Path) -> dict[str, Path]:
    """The files of a detector's folder that its scores depend on, by their paths in it."""
    patterns = next((parts for kind, parts in PARTS.items() if (folder / kind).is_file()), ())
    return {
        file.relative_to(folder).as_posix(): file
        for pattern in patterns
        for file in sorted(folder.glob(pattern))
    }


def _scorer_files(parts: dict[str, Path]) -> dict[str, Path]:
    """The weights of users' language models that parts of a detector read with."""
    files: dict[str, Path] = {}
    for part, file in parts.items():
        if file.name in ("evidence.json", NUMBERS) and (scorer := own_scorer(file)):
            place = Path(part).parent / "scorer"
            files |= {(place / path.name).as_posix(): path for path in weight_files(scorer)}
    return files


def own_scorer(file: Path) -> Path | None:
    """The language model that a detector reads with, where it is a folder of the user's, which may
    be trained again.
    """
    from staged.detectors.kinds.readers.numbers import scorer_of

    facts = {"scorer": scorer_of(file.parent)} if file.name == NUMBERS else read_json(file)
    scorer = Path(str(facts.get("scorer") or "")) if isinstance(facts, dict) else Path()
    return scorer if scorer.name and scorer.is_dir() else None
