"""Every detector by name: how to train it and how to load it."""

from __future__ import annotations

from pathlib import Path

import torch

from staged.detectors.contract import Detector, Trained
from staged.errors import CheckpointError

DETECTORS = ("tfidf", "roberta")


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
