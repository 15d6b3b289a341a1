"""Every detector by name: those that a study trains, and those that a text is shown to."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import torch

from staged.detectors.contract import Detector, Trained
from staged.errors import CheckpointError
from staged.model.checkpoints import is_at_hand
from staged.model.devices import best_dtype, chosen_device
from staged.model.sources.places import is_written_as_path, place_of, standing, why_not_there
from staged.model.sources.releases import is_repository
from staged.settings import nearest

# Their folders come with this package; the dated ones are what the default was until then, and what
# was beside it.
SHIPPED = ("evidence", "evidence-2026-11", "evidence-gemma-2026-11", "evidence-ensemble-2026-11")
RENAMED = {
    "evidence-gemma": "evidence-gemma-2026-11",
    "evidence-ensemble": "evidence-ensemble-2026-11",
}
DETECTORS = ("tfidf", "roberta")  # what a study trains
# beside a detector's parts: how it scores human texts, with all its readers and without the one
# that reads with a language model
CALIBRATION, CALIBRATION_OF_WORDS = "calibration.json", "calibration-words.json"


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
    # a zero-shot score names its models after an @
    if score in NAMED and (not at or NAMED[score] is _zero_shot):
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
    score, _, _ = name.partition("@")
    if score not in NAMED:
        return name.rstrip("/")
    if NAMED[score] is not _zero_shot:
        return name
    from staged.detectors.kinds.zero_shot import models_of

    score, models = models_of(name)
    return f"{score}@{','.join(model.rstrip('/') for model in models)}"


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


# each is given its own name, and the device
NAMED: dict[str, Callable[[str, str], Detector]] = {
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

        dtype = best_dtype(device) if bulk else torch.float32
        return load_roberta(str(folder), dtype=dtype).to(device)
    raise CheckpointError(
        f"{folder}: not a detector's folder; it holds no readers.json, detector.json, config.json,"
        " evidence.json or ensemble.json"
    )
