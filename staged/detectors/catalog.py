"""Every detector by name: those that a study trains, and those that a text is shown to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from staged.detectors.contract import Detector, Trained
from staged.errors import CheckpointError
from staged.model.names import is_repository
from staged.settings import nearest

DETECTORS = ("tfidf", "roberta")  # what a study trains


def open_detector(name: str) -> Detector:
    """A detector ready to score.

    Args:
        name: one of NAMED; a trained detector's folder; a `detector-*.pt` file; a two-label classifier on the hub, `owner/model`. A
            name of NAMED means that detector; write `./name` for a folder or file that is called like one.

    Raises:
        CheckpointError: none of these, or it cannot be loaded.
        ArtifactError: a download found the disk full.
    """
    if name in NAMED:
        return NAMED[name](name)
    path = Path(name)
    if name and path.is_dir():
        return load_detector(path)
    if path.is_file():
        return _original(path)
    if is_repository(name):
        return _on_hub(name)
    raise CheckpointError(f"detector {name!r}: neither a known detector nor a folder or file; {nearest(name, NAMED)}")


def _released(name: str) -> Detector:
    from staged.detectors.released import load_released

    return load_released(name)


def _original(path: Path) -> Detector:
    if path.suffix != ".pt":
        raise CheckpointError(f"{path}: not a detector; give a detector's folder, or a detector-*.pt file")
    from staged.detectors.released import load_original

    return load_original(path)


def _on_hub(name: str) -> Detector:
    from staged.detectors.released import HUB
    from staged.detectors.roberta import load_roberta
    from staged.model.download import check_hub_sums, hub_folder

    for short, repository in HUB.items():
        if name == repository:
            return _released(short)
    folder = hub_folder(name)
    check_hub_sums(folder)
    return load_roberta(str(folder))


NAMED: dict[str, Callable[[str], Detector]] = {  # each is given its own name
    "roberta-base-openai-detector": _released,
    "roberta-large-openai-detector": _released,
    "detector-base.pt": _released,
    "detector-large.pt": _released,
}


def load_detector(folder: Path, *, bulk: bool = False) -> Trained:
    """A trained detector from its folder.

    Args:
        bulk: for thousands of texts: bfloat16 where the processor has it, see `RobertaDetector`.

    Raises:
        CheckpointError: not a detector's folder, or damaged.
    """
    if (folder / "detector.json").is_file():
        from staged.detectors.tfidf import load_tfidf

        return load_tfidf(folder)
    if (folder / "config.json").is_file():
        from staged.detectors.roberta import load_roberta
        from staged.samples.decoders import best_dtype

        return load_roberta(str(folder), dtype=best_dtype() if bulk else torch.float32)
    raise CheckpointError(f"{folder}: not a detector's folder; it holds neither detector.json nor config.json")


def open_detector(name: str) -> Detector:
    """A detector ready to score, by the name of its folder.

    Raises:
        CheckpointError: not a detector's folder, or damaged.
    """
    return load_detector(Path(name))
