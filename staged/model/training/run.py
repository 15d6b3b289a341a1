"""A training run: what it starts from, its steps, its checkpoints, and what it leaves behind."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from staged.errors import CheckpointError, PlanError
from staged.model.memory import peak_memory_mb
from staged.model.training import data, distributed
from staged.model.training.distributed import rank, world
from staged.model.training.objectives import Task, new_task
from staged.model.training.parallel.checkpoints import Checkpoints, Counters
from staged.model.training.parallel.sharing import shared
from staged.model.training.plan import TrainSettings, as_recorded
from staged.model.training.rows.contract import TrainingText
from staged.model.training.schedule import learning_rate
from staged.storage.json_files import write_json
from staged.storage.writing import write_atomic


@dataclass(frozen=True)
class TrainStep:
    """What a training step reports: losses in nats per token, the speed of all processes together,
    `peak_memory_mb` of this one.
    """

    step: int
    steps: int
    train_loss: float
    valid_loss: float | None
    tokens_per_s: float
    eta_s: float
    peak_memory_mb: float


StepProgress = Callable[[TrainStep], None]


class Run:
    """A training run over its folder under construction.

    Args:
        folder: where it saves, and finds what a killed run saved.
        text: the corpus.
        report: called after every step.
        device: as `distributed.place` takes it.

    Raises:
        CorpusError, CheckpointError, PlanError: what the settings name is missing or does not fit.
    """

    def __init__(
        self,
        folder: Path,
        settings: TrainSettings,
        text: TrainingText,
        report: StepProgress,
        *,
        device: str = "auto",
    ) -> None:
        self.folder, self.settings, self.report = folder, settings, report
        if settings.batch // settings.micro_batch < world():
            raise PlanError(
                f"train: {world()} processes share {settings.batch // settings.micro_batch}"
                " micro-batches a step; lower micro_batch so that each gets one"
            )
        torch.manual_seed(settings.seed)
        self.task: Task = new_task(settings, text.tokenizer_texts())
        self.taught = text.taught(self.task, settings)
        self.device = distributed.place(device)
        self.sharing = shared(self.task, settings, self.device)
        model, is_sharded = self.task.model, self.sharing.is_sharded
        self.optimizer = _adamw(model, settings)
        self.checkpoints = Checkpoints(folder, model, self.optimizer, self.device, is_sharded)
        self.step, self.curve, self.tokens = 0, list[dict[str, float]](), 0

    def train(self) -> None:
        """Take the steps that are left, then save the model and what is known of it.

        Raises:
            CheckpointError: the loss stopped being a finite number.
        """
        self._resume()
        started, first_tokens, first_step = time.monotonic(), self.tokens, self.step
        while self.step < self.settings.steps:
            loss = self._step()
            self._check_finite("loss", loss)
            self.step += 1
            valid = self._validate() if self._due(self.settings.valid_every) else None
            self._check_finite("validation loss", valid or 0.0)
            self.curve.append({"step": self.step, "train": loss})
            if valid is not None:
                self.curve[-1]["valid"] = valid
            if self._due(self.settings.checkpoint_every):
                self._checkpoint()
            passed, steps = time.monotonic() - started, self.settings.steps
            speed = (self.tokens - first_tokens) / passed
            left = (steps - self.step) * passed / (self.step - first_step)
            self.report(TrainStep(self.step, steps, loss, valid, speed, left, peak_memory_mb()))
        self.sharing.gather()
        if rank() == 0:
            if self.sharing.is_sharded:
                self.checkpoints.save_trained(self._counters())
            self._finish()

    def _check_finite(self, what: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise CheckpointError(
                f"training: the {what} is {loss} at step {self.step}; lower learning_rate"
            )

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.steps

    def _step(self) -> float:
        """An optimizer step on `batch` passages, shared among processes; its mean loss in nats."""
        settings = self.settings
        # dropout's stream
        torch.manual_seed(settings.seed + 1_000_003 * (self.step + 1) + 7919 * rank())
        batches = self._micro_batches()
        targets = sum(int((target_ids != data.IGNORED).sum()) for _, target_ids in batches)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, settings)
        total = self._backward(self.sharing.own(batches), targets)
        nn.utils.clip_grad_norm_(self.task.model.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.tokens += targets
        if world() > 1:
            dist.all_reduce(total)
        return float(total) / world()

    def _micro_batches(self) -> list[tuple[Tensor, Tensor]]:
        """(inputs, wanted) of the step's passages, in the parts that are computed at once."""
        settings, size = self.settings, self.settings.micro_batch
        rows = self.taught.rows.of_step(self.step, batch=settings.batch, seed=settings.seed)
        return [
            self.task.batch(rows[i : i + size], (settings.seed, self.step, n))
            for n, i in enumerate(range(0, settings.batch, size))
        ]

    def _backward(self, batches: Sequence[tuple[Tensor, Tensor]], targets: int) -> Tensor:
        """Gradients of this process's micro-batches, and its part of the loss; `targets` are those
        of all processes, over whose gradients the mean is taken.
        """
        total = torch.zeros((), device=self.device)
        for i, (inputs, target_ids) in enumerate(batches):
            with self.sharing.adding_up(is_last=i == len(batches) - 1):
                loss = self._summed(self.sharing.loss, inputs, target_ids) * (
                    world() / max(targets, 1)
                )
                loss.backward()
            total += loss.detach()
        return total

    def _summed(self, loss: nn.Module, inputs: Tensor, target_ids: Tensor) -> Tensor:
        """The loss summed over a micro-batch's targets, in nats."""
        # sharded weights are gathered in bfloat16 already
        is_bf16 = self.settings.precision == "bf16" and not self.sharing.is_sharded
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_bf16):
            summed: Tensor = loss(inputs.to(self.device), target_ids.to(self.device))
        return summed

    @torch.no_grad()
    def _validate(self) -> float:
        """Mean loss of the validation rows in nats per target token, with the same masks always."""
        self.task.model.eval()
        size, rows = self.settings.micro_batch, self.taught.valid_rows
        total, targets = 0.0, 0
        for n in range(0, len(rows), size):
            inputs, target_ids = self.task.batch(rows[n : n + size], (self.settings.seed, 0, n, 1))
            total += float(self._summed(self.task.loss, inputs, target_ids))
            targets += int((target_ids != data.IGNORED).sum())
        self.sharing.settle()
        self.task.model.train()
        # where tokens are masked, so short a text may have none by chance
        if not targets and self.settings.objective != "masked":
            raise PlanError(
                "train: no text of the validation split has a second token to predict; give longer"
                " texts"
            )
        return total / max(targets, 1)

    def _counters(self) -> Counters:
        return Counters(self.step, self.tokens, self.curve)

    def _checkpoint(self) -> None:
        """After the last step sharded weights are gathered, and kept whole."""
        if self.step < self.settings.steps or not self.sharing.is_sharded:
            self.checkpoints.save(self._counters())

    def _resume(self) -> None:
        at = self.checkpoints.load()
        self.step, self.tokens, self.curve = at.step, at.tokens, at.curve

    def _finish(self) -> None:
        self.task.save(self.folder)
        learned = self.taught.learned()
        curve = "".join(json.dumps(row) + "\n" for row in self.curve)
        write_atomic(self.folder / "loss.jsonl", curve.encode())
        facts = {
            "parameters": sum(p.numel() for p in self.task.model.parameters()),
            "valid_loss_nats_per_token": [row["valid"] for row in self.curve if "valid" in row][-1],
            "steps": self.step,
            "tokens_seen": self.tokens,
            "corpus": self.taught.counts,
            "sources": sorted(learned.sources),
            "texts": sorted(learned.texts),
            "settings": as_recorded(self.settings),
        }
        write_json(self.folder / "training.json", facts)


def _adamw(model: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """Weight decay on matrices only."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=(0.9, settings.beta_2), fused=True
    )
