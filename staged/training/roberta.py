"""Fine-tunes the detector of roberta.py on human and generated text, on a processor, a GPU, or
several under `torchrun`.

Published recipe: Adam, learning rate 2e-5, batch 24, 128 tokens from a random place of the text
(crop), as options a random length and random tokens replaced by <unk>. A small encoder wants a
higher learning rate.

A step is `batch` texts on any number of devices: every process draws all of them, with their
places, lengths and dropped tokens, and reads its part, whose loss counts by its rows
(docs/decisions/071-encoders-on-several-devices.md).

Source: https://github.com/openai/gpt-2-output-dataset/tree/master/detector
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from staged.detectors.kinds.roberta import RobertaDetector, batch_of, encode, load_classifier, sent
from staged.errors import CheckpointError, PlanError
from staged.model.devices import best_dtype
from staged.model.training import distributed
from staged.model.training.distributed import rank, world
from staged.model.training.snapshots import opened_snapshot, save_snapshot
from staged.progress import Progress, silent
from staged.records import LABELS, Document
from staged.settings import computing
from staged.training import sharing

COMPUTATION = 2  # counted up where the same settings give a detector, or its scores, other bytes
KEEP_EVERY = 5000  # steps within an epoch between two snapshots
ENCODED_AT_ONCE = 4096  # texts whose tokens stand in memory as lists
WARM_UP = 20  # steps


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
        micro_batch: texts that a process reads at once, where a GPU has no room for its part of a
            batch; 0 reads all of it. The step stays the same but for rounding.
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
    micro_batch: int = computing(0)

    def __post_init__(self) -> None:
        if (
            min(self.epochs, self.batch, self.max_tokens) < 1
            or not 0 <= self.token_dropout < 1
            or self.learning_rate <= 0
            or min(self.seed, self.micro_batch) < 0
        ):
            raise PlanError(
                "roberta: epochs, batch and max_tokens must be at least 1, seed and"
                " micro_batch at least 0, learning_rate above 0, token_dropout in [0, 1)"
            )

    def usual_tokens(self, longest: int) -> int:
        """Of a text of so many tokens, how many a step of training reads on average."""
        most = min(longest, self.max_tokens)
        return (min(10, most) + most) // 2 if self.random_length else most


def train_roberta(
    train: Sequence[Document],
    valid: Sequence[Document],
    settings: RobertaSettings,
    *,
    checkpoint: Path,
    device: str = "cpu",
    progress: Progress = silent,
) -> RobertaDetector:
    """Fine-tune `settings.base` and return the epoch with the best accuracy on `valid` (the
    earliest of equals).

    Under `torchrun` every process calls this, with the same texts; the first one writes.

    Args:
        checkpoint: file that holds the state after each epoch, and now and then within a long one;
            a killed run continues from it with the same result.
        device: where it computes, `cpu` or `cuda`: the processor, or a GPU a process.
        progress: called with (optimizer steps done, all).

    Raises:
        CheckpointError: the base cannot be loaded, or the loss stopped being finite.
        PlanError: more processes than GPUs on a machine.
    """
    distributed.join(device)
    run = _Run(train, settings, checkpoint, distributed.place(device), progress)
    run.resume()
    while run.epoch < settings.epochs:
        run.train_epoch()
        run.validate(valid)
    return run.best_epoch()


class _Run:
    """A training run.

    Attributes:
        epoch, step: epochs that are done, and steps of the next one.
        best: the highest accuracy of an epoch; `kept`: its weights, in the processor's memory.
        learner: the model, in what averages its gradients where processes share the work.
    """

    def __init__(
        self,
        train: Sequence[Document],
        settings: RobertaSettings,
        checkpoint: Path,
        place: torch.device,
        progress: Progress,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.model, self.tokenizer = load_classifier(
            settings.base, device=place.type, num_labels=2, id2label=LABELS
        )
        longest = min(settings.max_tokens, RobertaDetector(self.model, self.tokenizer).max_tokens)
        self.settings, self.checkpoint = replace(settings, max_tokens=longest), checkpoint
        self.place, self.progress, self.model = place, progress, self.model.to(place)
        self.learner = sharing.averaging(self.model, place)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=settings.learning_rate, fused=True
        )
        self.ids = _encoded(self.tokenizer, [document.text for document in train])
        self.labels = torch.tensor([document.label for document in train])
        self.epoch, self.step, self.best, self.kept = 0, 0, -1.0, dict[str, Tensor]()
        self.random: Tensor | None = None  # state of dropout's generator within an epoch

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return -(-len(self.ids) // self.settings.batch)

    def train_epoch(self) -> None:
        """Take the steps that are left of an epoch.

        Raises:
            CheckpointError: the loss stopped being finite.
        """
        self.model.train()
        torch.manual_seed(self.settings.seed + self.epoch)  # the base's own dropout
        if self.random is not None:
            sharing.set_random_state(self.place, self.random)
        loss: Tensor | None = None
        for rows, views in self._left():
            self._check_finite(loss)  # of the step before, which a GPU has finished meanwhile
            loss = self._step(rows, views)
            self.step += 1
            self.progress(self.epoch * self.steps + self.step, self.settings.epochs * self.steps)
            if self.step % KEEP_EVERY == 0:
                self._save()
        self._check_finite(loss)
        self.model.eval()
        self.epoch, self.step, self.random = self.epoch + 1, 0, None

    def _check_finite(self, loss: Tensor | None) -> None:
        if loss is not None and not torch.isfinite(loss):
            raise CheckpointError(
                f"roberta: the loss is {float(loss)} at step {self.step - 1}; lower learning_rate"
            )

    def _left(self) -> Iterator[tuple[npt.NDArray[np.int64], list[list[int]]]]:
        """(numbers of its texts, what is read of them) of each step of the epoch that is left; what
        the steps before have drawn is drawn again.
        """
        settings, done = self.settings, self.step
        stream = np.random.default_rng([settings.seed, self.epoch])
        order = stream.permutation(len(self.ids))
        for step in range(self.steps):
            rows = order[step * settings.batch : (step + 1) * settings.batch]
            views = [
                training_view(self.ids[i].tolist(), settings, self.tokenizer.unk_token_id, stream)
                for i in rows
            ]
            if step >= done:
                yield rows, views

    def _step(self, rows: npt.NDArray[np.int64], views: Sequence[list[int]]) -> Tensor:
        """An optimizer step on a batch, shared among processes; this one's part of the loss."""
        at = self.epoch * self.steps + self.step
        if world() > 1:  # dropout's stream is a process's own
            torch.manual_seed(self.settings.seed + 1_000_003 * (at + 1) + 7919 * rank())
        self.optimizer.zero_grad(set_to_none=True)
        parts = sharing.own_parts(len(rows), rank(), world(), self.settings.micro_batch)
        total = torch.zeros((), device=self.place)
        for number, (part, weight) in enumerate(parts, start=1):
            with self.learner.no_sync() if number < len(parts) and world() > 1 else nullcontext():
                loss = self._loss(views[part], self.labels[rows[part]]) * weight
                loss.backward()
            total += loss.detach()
        # the published rate is constant; a short warm-up keeps small encoders stable
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * min(1.0, (at + 1) / WARM_UP)
        self.optimizer.step()
        return total

    def _loss(self, views: Sequence[list[int]], labels: Tensor) -> Tensor:
        """The mean over texts that are read at once."""
        batch = sent(batch_of(self.tokenizer, views) | {"labels": labels}, self.place)
        wanted, dtype = batch.pop("labels"), best_dtype(self.place.type)
        with torch.autocast(self.place.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits_BL = self.learner(**batch).logits
            return F.cross_entropy(logits_BL.float(), wanted)

    def validate(self, valid: Sequence[Document]) -> None:
        """Keep the epoch's weights where they are the best so far, and save."""
        self.optimizer.zero_grad(set_to_none=True)  # their room is the copy's
        dtype = best_dtype(self.place.type)
        quick = RobertaDetector(copy.deepcopy(self.model), self.tokenizer, dtype=dtype)
        share = sharing.accuracy(quick.to(self.place.type), valid, self.place)
        if share > self.best:
            self.best = share
            self.kept = {
                name: tensor.to("cpu", copy=True)
                for name, tensor in self.model.state_dict().items()
            }
        self._save()

    def best_epoch(self) -> RobertaDetector:
        """The detector with the weights that are kept."""
        self.model.load_state_dict(self.kept)
        return RobertaDetector(self.model, self.tokenizer).to(self.place.type)

    def _save(self) -> None:
        if rank() == 0:
            state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
            state |= {"epochs": self.epoch, "best": self.best, "kept": self.kept}
            within = {
                "step": self.step,
                "random": {self.place.type: sharing.random_state(self.place)},
            }
            save_snapshot(self.checkpoint, state | within)

    def resume(self) -> None:
        """Take up what a killed run has saved; every process reads it before the first one can
        write again.
        """
        distributed.barrier()
        if self.checkpoint.is_file():
            with opened_snapshot(self.checkpoint) as state:
                self.model.load_state_dict(state["model"])
                self.optimizer.load_state_dict(state["optimizer"])
                self.epoch, self.best, self.kept = state["epochs"], state["best"], state["kept"]
                self.step = state.get("step", 0)
                self.random = state.get("random", {}).get(self.place.type) if self.step else None
        distributed.barrier()


def _encoded(tokenizer: Any, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
    """Token ids of each text, at four bytes a token: 500,000 whole texts are 1.4 GB."""
    return [
        np.asarray(ids, np.int32)
        for start in range(0, len(texts), ENCODED_AT_ONCE)
        for ids in encode(tokenizer, texts[start : start + ENCODED_AT_ONCE])
    ]


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
