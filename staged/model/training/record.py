"""What a trained model's folder says of its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged.errors import ArtifactError
from staged.storage.json_files import read_json

FILE = "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """A finished training.

    Attributes:
        folder: the model's.
        steps: taken.
        tokens_seen: targets in all.
        parameters: of the model.
        valid_loss_nats_per_token: on passages that it did not learn from.
    """

    folder: Path
    steps: int
    tokens_seen: int
    parameters: int
    valid_loss_nats_per_token: float


def read_record(folder: Path) -> TrainingRecord:
    """The record of a model's folder.

    Raises:
        ArtifactError: there is none of ours.
    """
    facts = read_json(folder / FILE)
    try:
        return TrainingRecord(
            folder,
            int(facts["steps"]),
            int(facts["tokens_seen"]),
            int(facts["parameters"]),
            float(facts["valid_loss_nats_per_token"]),
        )
    except (KeyError, TypeError, ValueError):
        raise ArtifactError(f"{folder / FILE}: is no record of `staged train`") from None
