"""How processes share the work on an encoder: whose rows are whose, gradients that are everybody's,
texts of which each scores a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from staged.detectors.kinds.roberta import RobertaDetector
from staged.model.training.distributed import rank, world
from staged.records import MACHINE, Document


def averaging(model: Any, place: torch.device) -> Any:
    """The model, alone or averaging its gradients with the other processes'."""
    if world() == 1:
        return model
    return DistributedDataParallel(
        model,
        device_ids=[place.index] if place.type == "cuda" else None,
        gradient_as_bucket_view=True,
    )


def own_parts(
    rows: int, process: int, processes: int, micro_batch: int = 0
) -> list[tuple[slice, float]]:
    """Which of a step's rows a process reads, part after part, and what each part's mean loss
    counts, so that the mean over processes of what they sum is the mean over all rows.

    A process for which no row is left reads the first one, for nothing.

    Args:
        micro_batch: rows that are read at once; 0 is no limit.
    """
    first, end = (rows * number // processes for number in (process, process + 1))
    size = micro_batch or max(end - first, 1)
    edges = [(start, min(start + size, end)) for start in range(first, end, size)]
    parts = [(slice(a, b), (b - a) * processes / rows) for a, b in edges]
    return parts or [(slice(0, 1), 0.0)]


def random_state(place: torch.device) -> Tensor:
    """Of the generator that draws what a model drops out."""
    return torch.cuda.get_rng_state(place) if place.type == "cuda" else torch.get_rng_state()


def set_random_state(place: torch.device, state: Tensor) -> None:
    """Let that generator go on where it was."""
    if place.type == "cuda":
        torch.cuda.set_rng_state(state, place)
    else:
        torch.set_rng_state(state)


def accuracy(detector: RobertaDetector, valid: Sequence[Document], place: torch.device) -> float:
    """Share of documents on whose side of even odds their scores lie; processes share the reading,
    and read together what one process would.
    """
    parts = detector.read_together([document.text for document in valid])[rank() :: world()]
    right = 0
    for documents in ([valid[i] for i in part] for part in parts):
        scores = detector.score([document.text for document in documents])
        right += sum(
            (score > 0) == (document.label == MACHINE)
            for score, document in zip(scores, documents, strict=True)
        )
    total = torch.tensor(right, device=place)
    if world() > 1:
        dist.all_reduce(total)
    return int(total) / len(valid)
