"""Fine-tunes the detector of roberta.py on human and generated text.

Published recipe: Adam, learning rate 2e-5, batch 24, 128 tokens from a random place of the text
(crop), as options a random length and random tokens replaced by <unk>. A small encoder wants a
higher learning rate.

Source: https://github.com/openai/gpt-2-output-dataset/tree/master/detector
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from staged.detectors.kinds.roberta import RobertaDetector, batch_of, encode, load_classifier
from staged.errors import CheckpointError, PlanError
from staged.model.devices import best_dtype
from staged.model.training.snapshots import opened_snapshot, save_snapshot
from staged.progress import Progress, silent
from staged.records import LABELS, MACHINE, Document


@dataclass(frozen=True)
class RobertaSettings:
    """How a RoBERTa detector is trained.

    Attributes:
        base: the encoder: `roberta-mini`, a local folder or a hub name such as `roberta-base`.
        learning_rate: Adam's, throughout.
        batch: texts a step.
        epochs: passes over the training texts; the one with the best accuracy on `valid` is kept.
        max_tokens: longest training input, the two marks not counted.
        crop: longer texts are cut at a random place, not at their beginning.
        random_length: the training length is drawn from [min(10, length), min(max_tokens, length)].
        token_dropout: share of training tokens replaced by `<unk>`.
        seed: of the new weights, the order of texts, and where they are cut.
    """

    base: str = "roberta-mini"
    learning_rate: float = 5e-4
    epochs: int = 2
    batch: int = 24
    max_tokens: int = 128
    crop: bool = True
    random_length: bool = False
    token_dropout: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if (
            min(self.epochs, self.batch, self.max_tokens) < 1
            or not 0 <= self.token_dropout < 1
            or self.learning_rate <= 0
            or self.seed < 0
        ):
            raise PlanError(
                "roberta: epochs, batch and max_tokens must be at least 1, seed at least 0,"
                " learning_rate above 0, token_dropout in [0, 1)"
            )


def train_roberta(
    train: Sequence[Document],
    valid: Sequence[Document],
    settings: RobertaSettings,
    *,
    checkpoint: Path,
    progress: Progress = silent,
) -> RobertaDetector:
    """Fine-tune `settings.base` and return the epoch with the best accuracy on `valid` (the
    earliest of equals).

    Args:
        checkpoint: file that holds the state after each epoch; a killed run continues from it with
            the same result.
        progress: called with (optimizer steps done, all).

    Raises:
        CheckpointError: the base cannot be loaded, or the loss stopped being finite.
    """
    torch.manual_seed(settings.seed)
    model, tokenizer = load_classifier(settings.base, num_labels=2, id2label=LABELS)
    settings = replace(
        settings, max_tokens=min(settings.max_tokens, RobertaDetector(model, tokenizer).max_tokens)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    ids, labels = encode(tokenizer, [d.text for d in train]), torch.tensor([d.label for d in train])
    done, best, kept = 0, -1.0, model.state_dict()
    if checkpoint.is_file():
        with opened_snapshot(checkpoint) as state:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            done, best, kept = state["epochs"], state["best"], state["kept"]
    for epoch in range(done, settings.epochs):
        _epoch(model, tokenizer, optimizer, ids, labels, settings, epoch, progress)
        quick = RobertaDetector(copy.deepcopy(model), tokenizer, dtype=best_dtype())
        accuracy = _accuracy(quick, valid)
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(model.state_dict())
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "kept": kept}
        save_snapshot(checkpoint, state | {"epochs": epoch + 1, "best": best})
    model.load_state_dict(kept)
    return RobertaDetector(model, tokenizer)


def _accuracy(detector: RobertaDetector, valid: Sequence[Document]) -> float:
    """Share of documents on whose side of even odds their scores lie."""
    scores = detector.score([one.text for one in valid])
    right = [
        (score > 0) == (one.label == MACHINE) for score, one in zip(scores, valid, strict=True)
    ]
    return float(np.mean(right))


def _epoch(
    model: Any,
    tokenizer: Any,
    optimizer: torch.optim.Optimizer,
    ids: Sequence[list[int]],
    labels: Tensor,
    settings: RobertaSettings,
    epoch: int,
    progress: Progress,
) -> None:
    stream = np.random.default_rng([settings.seed, epoch])
    torch.manual_seed(settings.seed + epoch)  # the base's own dropout
    order = stream.permutation(len(ids))
    steps = -(-len(ids) // settings.batch)
    model.train()
    for step in range(steps):
        rows = order[step * settings.batch : (step + 1) * settings.batch]
        batch = batch_of(
            tokenizer,
            [training_view(ids[i], settings, tokenizer.unk_token_id, stream) for i in rows],
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=best_dtype() == torch.bfloat16):
            loss = F.cross_entropy(model(**batch).logits.float(), labels[rows])
        if not torch.isfinite(loss):
            raise CheckpointError(
                f"roberta: the loss is {float(loss)} at step {step}; lower learning_rate"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        # the published rate is constant; a short warm-up keeps small encoders stable
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (epoch * steps + step + 1) / 20)
        optimizer.step()
        progress(epoch * steps + step + 1, settings.epochs * steps)
    model.eval()


def training_view(
    ids: list[int], settings: RobertaSettings, unknown: int, stream: np.random.Generator
) -> list[int]:
    """A text as training sees it this time: `stream` draws length, place and dropped tokens."""
    length = min(len(ids), settings.max_tokens)
    if settings.random_length and length:
        length = int(stream.integers(min(10, length), length + 1))
    start = int(stream.integers(0, len(ids) - length + 1)) if settings.crop else 0
    view = ids[start : start + length]
    if settings.token_dropout:
        view = [
            unknown if drop else token
            for token, drop in zip(
                view, stream.random(length) < settings.token_dropout, strict=True
            )
        ]
    return view
