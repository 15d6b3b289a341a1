"""Training: a language model from scratch or fine-tuned, or a masked-token encoder; one process or
many under `torchrun`.

Everything a step does depends on the plan, the seed and the step number: its rows, its masks, its
dropout, its learning rate. So a run killed anywhere goes on from its last checkpoint with the same
loss curve, and ends with the same bytes.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from staged.corpus.build import build_passages, documents_digest, recorded, split_documents
from staged.corpus.learned import Learned, merged, model_learned, text_words_digest
from staged.errors import CheckpointError, PlanError
from staged.model.bpe import BPE, load_bpe, train_bpe
from staged.model.checkpoints import load_model, model_folder
from staged.model.formats.layouts import keyed, model_files, tokenizer_files
from staged.model.gpt2.model import GPT2
from staged.model.memory import peak_memory_mb
from staged.model.training import data, distributed
from staged.model.training.distributed import rank, world
from staged.model.training.objectives import CausalTask, MaskedTask, Task
from staged.model.training.plan import TrainSettings
from staged.model.training.snapshots import opened_snapshot, save_snapshot
from staged.records import Document
from staged.storage.gate import CHECKPOINT, check_stage
from staged.storage.json_files import write_json
from staged.storage.stage_folders import build, check_name, fingerprint, is_complete, partial_of
from staged.storage.writing import write_atomic


@dataclass(frozen=True)
class Progress:
    """What a training step reports: losses in nats per token, speed over all distributed,
    `peak_memory_mb` of this one.
    """

    step: int
    steps: int
    train_loss: float
    valid_loss: float | None
    tokens_per_s: float
    eta_s: float
    peak_memory_mb: float


Report = Callable[[Progress], None]


def _learned(documents: Sequence[Document], passages: Sequence[Document], init: str) -> Learned:
    """What a run learns from, and what a model given as `init` did, as far as its folder says."""
    sources = frozenset(one.source for one in passages if one.split == "pretrain")
    texts = frozenset(text_words_digest(one.text) for one in documents if one.source in sources)
    return merged(
        [Learned(sources=sources, texts=texts), model_learned(model_folder(init)) if init else None]
    )


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Linear warm-up to the peak, then a cosine down to a tenth of it at the last step."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * (0.55 + 0.45 * math.cos(math.pi * progress))


def train(folder: Path, settings: TrainSettings, *, report: Report = lambda _: None) -> bool:
    """Train into `folder`: a model in the hub's layout, `loss.jsonl`, `training.json`, and the
    manifest last.

    Under `torchrun` every process calls this; the first one writes. Killed at any moment and called
    again, it continues from the last checkpoint in `folder.partial`.

    Returns:
        True when work was done, False when the folder was already complete.

    Raises:
        CorpusError, CheckpointError, PlanError: what the settings name is missing or does not fit.
        CheckpointError: the loss stopped being a finite number.
        ArtifactError: the folder holds something else, or cannot be written.
    """
    distributed.join()
    check_name(folder)
    documents = split_documents(settings.corpus)
    wanted = fingerprint(
        recorded(settings) | {"text": documents_digest(documents)}, _model_files(settings)
    )
    if is_complete(folder, wanted):
        return False
    check_stage(folder)
    if settings.init and folder.exists() and folder.samefile(model_folder(settings.init)):
        raise PlanError(
            f"{folder}: is the model to start from and would be replaced by the tuned one; choose"
            " another --out"
        )
    made = is_complete(partial_of(folder), wanted)  # killed between its manifest and its new name
    # every process has seen that there is work before the first one can finish it
    distributed.barrier()

    def work(partial: Path) -> None:
        _Run(partial, settings, documents, report).train()

    if rank() == 0:
        build(folder, work, settings=wanted["settings"], inputs=_model_files(settings))
    elif not made:
        work(partial_of(folder))
    distributed.barrier()
    return True


def _model_files(settings: TrainSettings) -> dict[str, Path]:
    """The files of other models that a run starts from, whatever their format."""
    files: dict[str, Path] = {}
    if settings.tokenizer:
        files |= keyed("tokenizer", tokenizer_files(model_folder(settings.tokenizer)))
    if settings.init:
        files |= model_files(model_folder(settings.init))
    return files


class _Run:
    """One training run over its folder under construction."""

    def __init__(
        self, folder: Path, settings: TrainSettings, documents: Sequence[Document], report: Report
    ) -> None:
        self.folder, self.settings, self.report = folder, settings, report
        if settings.batch // settings.micro_batch < world():
            raise PlanError(
                f"train: {world()} processes share {settings.batch // settings.micro_batch}"
                " micro-batches a step; lower micro_batch so that each gets one"
            )
        self.bpe, pretrained = self._start(documents)
        n_ctx = settings.n_ctx if pretrained is None else pretrained.config.n_ctx
        if settings.corpus.budget_tokens > n_ctx:
            raise PlanError(
                f"train: budget_tokens {settings.corpus.budget_tokens} is more than the model's"
                f" context of {n_ctx} tokens, beyond which nothing would be learned; lower it"
            )
        passages, self.counts = build_passages(documents, settings.corpus, self.bpe.count)
        texts = {
            split: [p.text for p in passages if p.split == split] for split in ("pretrain", "valid")
        }
        if not texts["pretrain"] or not texts["valid"]:
            raise PlanError(
                "train: the corpus needs the splits `pretrain` and `valid`; set their shares"
                " above 0"
            )
        self.learned = _learned(documents, passages, settings.init)
        torch.manual_seed(settings.seed)
        kind = MaskedTask if settings.objective == "masked" else CausalTask
        self.task: Task = kind(
            settings, self.bpe, texts["pretrain"], texts["valid"][: settings.valid_rows], pretrained
        )
        place = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(place)
        self.task.loss.to(self.device)
        self.loss: nn.Module = self.task.loss
        if world() > 1:
            self.loss = nn.parallel.DistributedDataParallel(self.task.loss)
        self.optimizer = _adamw(self.task.model, settings)
        self.step, self.curve, self.tokens = 0, list[dict[str, float]](), 0

    def _start(self, documents: Sequence[Document]) -> tuple[BPE, GPT2 | None]:
        """The tokenizer, and the model to start from if there is one."""
        if self.settings.init:
            model, bpe = load_model(self.settings.init)
            return bpe, model
        if self.settings.tokenizer:
            return load_bpe(model_folder(self.settings.tokenizer)), None
        return (
            train_bpe(
                (one.text for one in documents if one.split == "pretrain"), self.settings.n_vocab
            ),
            None,
        )

    def train(self) -> None:
        self._resume()
        started, first_tokens, first_step = time.monotonic(), self.tokens, self.step
        while self.step < self.settings.steps:
            loss = self._step()
            self._check_finite("loss", loss)
            self.step += 1
            valid = self._validate() if self._due(self.settings.valid_every) else None
            self._check_finite("validation loss", valid or 0.0)
            self.curve.append(
                {"step": self.step, "train": loss} | ({"valid": valid} if valid is not None else {})
            )
            if self._due(self.settings.checkpoint_every) and rank() == 0:
                self._checkpoint()
            passed = time.monotonic() - started
            speed, left = (
                (self.tokens - first_tokens) / passed,
                (self.settings.steps - self.step) * passed / (self.step - first_step),
            )
            self.report(
                Progress(self.step, self.settings.steps, loss, valid, speed, left, peak_memory_mb())
            )
        if rank() == 0:
            self._finish()

    def _check_finite(self, what: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise CheckpointError(
                f"training: the {what} is {loss} at step {self.step}; lower learning_rate"
            )

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.steps

    def _step(self) -> float:
        """One optimizer step over `batch` passages, shared among processes and split into
        micro-batches.
        """
        settings = self.settings
        torch.manual_seed(
            settings.seed + 1_000_003 * (self.step + 1) + 7919 * rank()
        )  # dropout's stream
        chosen = data.step_rows(
            self.step, rows=len(self.task.rows), batch=settings.batch, seed=settings.seed
        )
        micro = [
            chosen[i : i + settings.micro_batch]
            for i in range(0, settings.batch, settings.micro_batch)
        ]
        key = (settings.seed, self.step)
        batches = [
            self.task.batch([self.task.rows[i] for i in part], (*key, n))
            for n, part in enumerate(micro)
        ]
        targets = sum(int((wanted != data.IGNORED).sum()) for _, wanted in batches)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, settings)
        mine = batches[rank() :: world()]
        total = torch.zeros((), device=self.device)
        for i, (inputs, wanted) in enumerate(mine):
            last = i == len(mine) - 1 or world() == 1
            with nullcontext() if last else self.loss.no_sync():  # type: ignore[operator]
                loss = self._summed(self.loss, inputs, wanted) * (
                    world() / max(targets, 1)
                )  # DDP takes the mean over processes
                loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(self.task.model.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.tokens += targets
        if world() > 1:
            dist.all_reduce(total)
        return float(total) / world()

    def _summed(self, loss: nn.Module, inputs: Tensor, wanted: Tensor) -> Tensor:
        """The loss summed over a micro-batch's targets, in nats."""
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"
        ):
            found: Tensor = loss(inputs.to(self.device), wanted.to(self.device))
        return found

    @torch.no_grad()
    def _validate(self) -> float:
        """Mean loss over the validation rows, in nats per target token; masks are the same each
        time.
        """
        self.task.model.eval()
        size, rows = self.settings.micro_batch, self.task.valid_rows
        total, targets = 0.0, 0
        for n in range(0, len(rows), size):
            inputs, wanted = self.task.batch(rows[n : n + size], (self.settings.seed, 0, n, 1))
            total += float(self._summed(self.task.loss, inputs, wanted))
            targets += int((wanted != data.IGNORED).sum())
        self.task.model.train()
        if (
            not targets and self.settings.objective != "masked"
        ):  # of which so short a text may have none by chance
            raise PlanError(
                "train: no text of the validation split has a second token to predict; give longer"
                " texts"
            )
        return total / max(targets, 1)

    def _trained(self) -> dict[str, Tensor]:
        """The weights that training changes: all of them, or LoRA's."""
        return {
            name: weight.data
            for name, weight in self.task.model.named_parameters()
            if weight.requires_grad
        }

    def _checkpoint(self) -> None:
        state = {
            "weights": self._trained(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        save_snapshot(
            self.folder / CHECKPOINT, state | {"tokens": self.tokens, "curve": self.curve}
        )

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if path.is_file():
            with opened_snapshot(path, device=self.device) as state:
                for name, weight in self._trained().items():
                    weight.copy_(state["weights"][name])
                self.optimizer.load_state_dict(state["optimizer"])
                self.step, self.tokens, self.curve = state["step"], state["tokens"], state["curve"]
        distributed.barrier()  # every process has read it before the first one can be done with it

    def _finish(self) -> None:
        self.task.save(self.folder)
        write_atomic(
            self.folder / "loss.jsonl",
            "".join(json.dumps(row) + "\n" for row in self.curve).encode(),
        )
        last = [row["valid"] for row in self.curve if "valid" in row][-1]
        facts: dict[str, Any] = {
            "parameters": sum(p.numel() for p in self.task.model.parameters()),
            "valid_loss_nats_per_token": last,
        }
        facts |= {"steps": self.step, "tokens_seen": self.tokens, "corpus": self.counts}
        facts |= {"sources": sorted(self.learned.sources), "texts": sorted(self.learned.texts)}
        write_json(self.folder / "training.json", facts | {"settings": asdict(self.settings)})


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
