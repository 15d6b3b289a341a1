"""What a training run is: its objective, its text, its shape and its schedule; and the plan, a TOML
file of runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from staged.corpus.build import CorpusSettings
from staged.errors import PlanError
from staged.plans.shipped import find_plan
from staged.settings import (
    LARGEST,
    Check,
    check_each,
    computing,
    determining,
    from_table,
    is_folder_name,
    nearest,
    over,
    read_toml,
)

GPT2_ARCHITECTURE = "gpt2"
OBJECTIVES = ("causal", "masked")
PRECISIONS = ("bf16", "fp32")
PARALLEL = ("ddp", "fsdp")
SHAPE = ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")
PACE = ("steps", "batch", "micro_batch", "valid_every", "valid_rows", "checkpoint_every")


@dataclass(frozen=True)
class TrainSettings:
    """One training run.

    Attributes:
        objective: `causal` (predict the next token) or `masked` (RoBERTa).
        architecture: of a causal model from scratch: `gpt2`, or the `model_type` of another family
            that transformers knows, such as `llama`. A model given as init has its own.
        init: a model to start from (fine-tuning), of any family; empty trains from scratch.
        tokenizer: a model folder or shipped model whose tokenizer to use; empty learns one of
            `n_vocab` entries, or takes init's.
        corpus: the human text; its `pretrain` split is trained on, its `valid` split measured.
        n_vocab: entries of the vocabulary that a model from scratch gets.
        n_ctx: tokens of its context.
        n_embd: its width.
        n_head: attention heads a layer.
        n_layer: its layers.
        steps: optimizer steps, each of `batch` passages, computed `micro_batch` at a time.
        learning_rate: peak; linear warm-up, then a cosine down to a tenth of it.
        batch: passages a step.
        micro_batch: passages computed at a time.
        warmup_steps: until the learning rate's peak.
        weight_decay, beta_2: of AdamW.
        clip_norm: that a step's gradient is scaled down to.
        valid_every: steps from one measurement of the validation loss to the next.
        checkpoint_every: steps from one checkpoint to the next, where a killed run continues.
        dropout: a GPT-2's rate on embeddings and residuals; another family's are in its config.
        mask_share: of the tokens that a masked objective predicts.
        valid_rows: validation passages (all of the split if it has fewer).
        precision: `bf16` (autocast) or `fp32`.
        saved_precision: of the finished model's weights; `bf16` halves the file, `fp32` keeps small
            changes to a float32 model.
        checkpointing: compute each block again in the backward pass: less memory, about a third
            more time, the same result.
        lora_rank: of the matrices that LoRA trains beside the frozen weights of `init`, merged when
            saved; 0 trains all weights.
        lora_alpha: LoRA's scale; the product of its matrices counts alpha / rank.
        seed: of weights, order of passages and dropout.
        parallel: of several processes, `ddp` (each has all weights) or `fsdp` (each has its share
            of them).
        compile: let `torch.compile` fuse each block: faster on a GPU after a minute of compiling.
    """

    objective: str = "causal"
    architecture: str = GPT2_ARCHITECTURE
    init: str = ""
    tokenizer: str = ""
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    n_vocab: int = 4096
    n_ctx: int = 256
    n_embd: int = 128
    n_head: int = 2
    n_layer: int = 2
    dropout: float = 0.0
    mask_share: float = 0.15
    steps: int = 1000
    batch: int = 32
    micro_batch: int = 16
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta_2: float = 0.98
    clip_norm: float = 1.0
    valid_every: int = 200
    valid_rows: int = 256
    checkpoint_every: int = 100
    precision: str = "bf16"
    saved_precision: str = "bf16"
    checkpointing: bool = False
    lora_rank: int = 0
    lora_alpha: float = 16.0
    seed: int = 1
    parallel: str = computing("ddp")
    compile: bool = computing(False)

    def __post_init__(self) -> None:
        check_each(self._checks(), where="train")

    def _checks(self) -> Iterator[Check]:
        yield (
            self.objective in OBJECTIVES,
            f"objective {self.objective!r}; known: {', '.join(OBJECTIVES)}",
        )
        for name in ("precision", "saved_precision"):
            value = getattr(self, name)
            yield value in PRECISIONS, f"{name} {value!r}; known: {', '.join(PRECISIONS)}"
        yield (
            self.parallel in PARALLEL,
            f"parallel {self.parallel!r}; known: {', '.join(PARALLEL)}",
        )
        yield from self._of_numbers()
        yield (
            self.objective != "masked" or not (self.init or self.n_embd % (2 * self.n_head)),
            "a masked run starts from scratch (no init), with n_embd an even multiple of n_head",
        )
        yield (
            not (self.init and self.tokenizer),
            "a model given as init brings its own tokenizer; leave tokenizer empty",
        )
        yield bool(self.init or not self.lora_rank), "lora_rank needs a model to start from (init)"
        yield (
            self.architecture == GPT2_ARCHITECTURE
            or not (self.objective == "masked" or self.dropout),
            f"architecture {self.architecture!r} goes with a causal objective and without dropout",
        )
        yield (
            self.batch % self.micro_batch == 0,
            f"batch {self.batch} is not a multiple of micro_batch {self.micro_batch}",
        )

    def _of_numbers(self) -> Iterator[Check]:
        for name in (*PACE, *SHAPE):
            value = getattr(self, name)
            yield (
                1 <= value <= LARGEST,
                f"{name} must be at least 1 and at most {LARGEST:,}, not {value}",
            )
        is_count, is_finite = "be 0 or more, and no astronomical number", "be 0 or more and finite"
        for name, holds, allowed in (
            ("dropout", 0 <= self.dropout < 0.9, "lie in [0, 0.9)"),
            ("mask_share", 0 < self.mask_share < 1, "lie in (0, 1)"),
            ("seed", 0 <= self.seed < 2**48, "lie in [0, 2⁴⁸)"),
            ("warmup_steps", 0 <= self.warmup_steps <= LARGEST, is_count),
            ("weight_decay", 0 <= self.weight_decay < math.inf, is_finite),
            ("beta_2", 0 <= self.beta_2 < 1, "lie in [0, 1)"),
            ("lora_rank", 0 <= self.lora_rank <= LARGEST, is_count),
        ):
            yield holds, f"{name} must {allowed}, not {getattr(self, name)}"
        for name in ("learning_rate", "clip_norm", "lora_alpha"):
            value = getattr(self, name)
            yield 0 < value < math.inf, f"{name} must be above 0 and finite, not {value}"


def as_recorded(settings: TrainSettings) -> dict[str, Any]:
    """Settings as a model's `training.json` has them: the architecture only where it is another
    than GPT-2's, so that what was trained before there was a choice has the same record.
    """
    values = determining(settings)
    if settings.architecture == GPT2_ARCHITECTURE:
        del values["architecture"]
    return values


FINE_TUNING = TrainSettings(
    corpus=CorpusSettings(shares={"pretrain": 0.9, "valid": 0.1}),
    steps=200,
    batch=8,
    micro_batch=4,
    learning_rate=1e-4,
    warmup_steps=20,
    valid_every=50,
    checkpoint_every=50,
    saved_precision="fp32",
)
"""What fine-tuning without a plan starts from: every text is learned from or validated on, in steps
that fit a laptop.
"""


CORPUS = ("source", "budget_tokens", "minimum_tokens", "end_of_text")


def with_flags(settings: TrainSettings, given: Mapping[str, Any]) -> TrainSettings:
    """The settings with what was given on the command line in place; `None` was not given.

    Args:
        given: field → value; those of CORPUS are the corpus's.

    Raises:
        PlanError: a value that is wrong.
    """
    values = {name: value for name, value in given.items() if value is not None}
    corpus = {name: values.pop(name) for name in CORPUS if name in values}
    return replace(settings, corpus=replace(settings.corpus, **corpus), **values)


def read_training_plan(plan: str | Path) -> dict[str, TrainSettings]:
    """The runs of a training plan, by name: each table of the TOML file over what is under
    `[defaults]`, and its corpus over `[defaults.corpus]`.

    Args:
        plan: the name of one that ships, such as `minis`, or a TOML file.

    Raises:
        PlanError: unreadable, an unknown key, or no run.
    """
    path = find_plan(plan, command="train")
    tables = read_toml(path)
    defaults = over({}, tables.pop("defaults", {}), where=f"{path} [defaults]")
    common = over({}, defaults.get("corpus", {}), where=f"{path} [defaults.corpus]")
    runs: dict[str, TrainSettings] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise PlanError(
                f"{path}: key {name!r} stands outside a table; put it under [defaults] or under a"
                " run's name"
            )
        if not is_folder_name(name):
            raise PlanError(
                f"{path}: run {name!r} cannot be a folder's name; choose one of letters and digits"
            )
        merged = defaults | table
        where = f"{path} [{name}]"
        if "corpus" in merged:
            corpus = over(common, merged["corpus"], where=f"{where} corpus")
            merged["corpus"] = from_table(CorpusSettings, corpus, where=f"{where} corpus")
        runs[name] = from_table(TrainSettings, merged, where=where)
    if not runs:
        raise PlanError(f"{path}: holds no run; add a table such as [my-model]")
    return runs


def chosen_runs(
    plan: Path | None, out: Path | None, names: Sequence[str], init: str | None, corpus: str | None
) -> dict[Path, TrainSettings]:
    """Model folder → settings: of a plan's runs, all or those named, or of fine-tuning `init` on
    `corpus`, which needs no plan.

    Raises:
        PlanError: neither a plan nor all that fine-tuning without one needs; no such run; or as
            `read_training_plan`.
    """
    if plan is None:
        if names or not (init and corpus and out):
            raise PlanError(
                "train: give a plan, or --init MODEL, --corpus FOLDER and --out FOLDER to fine-tune"
                " without one"
            )
        return {out: FINE_TUNING}
    runs = read_training_plan(plan)
    for name in names:
        if name not in runs:
            raise PlanError(f"{plan}: no run {name!r}; {nearest(name, runs)}")
    return {(out or Path("out/models")) / name: runs[name] for name in names or runs}
