"""Commands of a model: train, convert, evaluate-lm."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options.shared import (
    HUMAN_TEXT,
    MODELS,
    PLAN,
    DeviceOption,
    JsonOption,
    LiteralOption,
    ModelArgument,
    ShowOption,
    ThreadsOption,
    show_plan,
)
from staged.screen import count_progress, print_table, say, train_progress
from staged.verbs import models as verbs

if TYPE_CHECKING:
    from staged.model.reading.evaluate import Evaluation
    from staged.model.training.plan import TrainSettings

PlanArgument = Annotated[
    Path | None,
    typer.Argument(help=f"The plan, one table a run: {PLAN}; without a plan, give --init."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help=(
            "With a plan, the folder that receives one model folder per run (out/models); else the"
            " model's folder."
        )
    ),
]
RunOption = Annotated[
    list[str] | None, typer.Option(help="Only this run of the plan; may be given several times.")
]
InitOption = Annotated[str | None, typer.Option(help=f"Fine-tune this model: {MODELS}.")]
CorpusOption = Annotated[str | None, typer.Option(help=HUMAN_TEXT)]
BudgetTokensOption = Annotated[
    int | None, typer.Option(help="Longest passage that a text is cut into.")
]
MinimumTokensOption = Annotated[
    int | None, typer.Option(help="Shortest passage; what is shorter is left out.")
]
StepsOption = Annotated[int | None, typer.Option(help="Optimizer steps.")]
BatchOption = Annotated[int | None, typer.Option(help="Passages a step.")]
MicroBatchOption = Annotated[
    int | None, typer.Option(help="Passages computed at once: fewer need less memory.")
]
LearningRateOption = Annotated[float | None, typer.Option(help="Its peak, after the warm-up.")]
WarmupStepsOption = Annotated[
    int | None, typer.Option(help="Steps until the learning rate is at its peak.")
]
DropoutOption = Annotated[
    float | None, typer.Option(help="A GPT-2's rate on embeddings and residuals.")
]
ValidEveryOption = Annotated[
    int | None, typer.Option(help="Measure the validation loss every so many steps.")
]
CheckpointEveryOption = Annotated[
    int | None, typer.Option(help="Save every so many steps what a killed run continues from.")
]
PrecisionOption = Annotated[
    str | None, typer.Option(help="bf16 (autocast) or fp32, while training.")
]
SavedPrecisionOption = Annotated[
    str | None, typer.Option(help="bf16 or fp32, of the finished model's weights.")
]
CheckpointingOption = Annotated[
    bool | None,
    typer.Option(
        help=(
            "Compute each block again in the backward pass: less memory, more time, the same"
            " result."
        )
    ),
]
LoraRankOption = Annotated[
    int | None,
    typer.Option(help="Train only LoRA matrices of this rank, merged when saved; 0 trains all."),
]
LoraAlphaOption = Annotated[
    float | None, typer.Option(help="LoRA's scale: its product counts alpha / rank.")
]
SeedOption = Annotated[int | None, typer.Option(help="Everything random depends on it.")]


def train(
    plan: PlanArgument = None,
    out: OutOption = None,
    run: RunOption = None,
    threads: ThreadsOption = 0,
    init: InitOption = None,
    corpus: CorpusOption = None,
    end_of_text: LiteralOption = None,
    budget_tokens: BudgetTokensOption = None,
    minimum_tokens: MinimumTokensOption = None,
    steps: StepsOption = None,
    batch: BatchOption = None,
    micro_batch: MicroBatchOption = None,
    learning_rate: LearningRateOption = None,
    warmup_steps: WarmupStepsOption = None,
    dropout: DropoutOption = None,
    valid_every: ValidEveryOption = None,
    checkpoint_every: CheckpointEveryOption = None,
    precision: PrecisionOption = None,
    saved_precision: SavedPrecisionOption = None,
    checkpointing: CheckpointingOption = None,
    lora_rank: LoraRankOption = None,
    lora_alpha: LoraAlphaOption = None,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    show: ShowOption = False,
) -> None:
    """Pretrain or fine-tune models, by a plan or by flags; a flag outweighs the plan. Interrupted,
    the same command continues.
    """
    from staged.corpus.build import LITERAL
    from staged.model.training.plan import chosen_runs, with_flags

    if show:
        show_plan(plan)
        return
    flags = {
        "init": init,
        "source": corpus,
        "end_of_text": LITERAL if end_of_text else None,
        "budget_tokens": budget_tokens,
        "minimum_tokens": minimum_tokens,
        "steps": steps,
        "batch": batch,
        "micro_batch": micro_batch,
        "learning_rate": learning_rate,
        "warmup_steps": warmup_steps,
        "dropout": dropout,
        "valid_every": valid_every,
        "checkpoint_every": checkpoint_every,
        "precision": precision,
        "saved_precision": saved_precision,
        "checkpointing": checkpointing,
        "lora_rank": lora_rank,
        "lora_alpha": lora_alpha,
        "seed": seed,
    }
    runs = chosen_runs(plan, out, run or [], init, corpus)
    _train_each({folder: with_flags(settings, flags) for folder, settings in runs.items()}, device)


def _train_each(runs: Mapping[Path, TrainSettings], device: str) -> None:
    """Run after run, each into its folder, with a line on what came of it."""
    from staged.model.memory import peak_memory_mb
    from staged.model.training.train import train as train_run

    for folder, settings in runs.items():
        with train_progress(folder.name) as report:
            worked = train_run(folder, settings, device=device, report=report)
        done = (
            f"trained · peak memory {peak_memory_mb():,.0f} MB"
            if worked
            else "already there, nothing to do"
        )
        say(f"{folder}: {done}")


SourceArgument = Annotated[
    str,
    typer.Argument(
        help=(
            "A GPT-2: a folder in any published layout, 124M … 1558M, openai:124M, or a hub name."
        )
    ),
]
TargetArgument = Annotated[
    Path, typer.Argument(help="A new folder in the hub's layout, or a file ending in .gguf.")
]
DtypeOption = Annotated[
    str,
    typer.Option(help="float32, bfloat16 or float16; a .gguf also q8_0; keep takes the source's."),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Ask nothing of the network; say what is missing.")
]


def convert(
    src: SourceArgument,
    dst: TargetArgument,
    dtype: DtypeOption = "keep",
    offline: OfflineOption = False,
) -> None:
    """Write a GPT-2 in another format, tensor by tensor: TensorFlow, safetensors or pickles to
    safetensors or GGUF.
    """
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    with count_progress("tensors") as progress:
        worked = verbs.convert(src, dst, dtype=dtype, progress=progress)
    say(f"{dst}: {'written' if worked else 'already there, nothing to do'}")


TextArgument = Annotated[
    str,
    typer.Argument(
        help=(
            "Text: a file or folder of a kind that docs/formats.md lists, such as .txt or .jsonl,"
            " or - for standard input."
        )
    ),
]
StrideOption = Annotated[
    int | None,
    typer.Option(help="Tokens from one window to the next; by default half the context."),
]
WindowsOption = Annotated[int, typer.Option(help="Full windows computed at once.")]
WindowPrecisionOption = Annotated[
    str, typer.Option(help="fp32, or bf16 where speed matters more than the last digits.")
]
ResultOption = Annotated[
    Path | None,
    typer.Option(help="A .json file that receives the object; a killed run then continues."),
]


def evaluate_lm(
    model: ModelArgument,
    file: TextArgument,
    stride: StrideOption = None,
    batch: WindowsOption = 8,
    precision: WindowPrecisionOption = "fp32",
    literal: LiteralOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    out: ResultOption = None,
) -> None:
    """What a text costs a language model: nats and bits per token, byte and word, beside the
    paper's table.
    """
    with count_progress("tokens") as progress:
        result = verbs.evaluate_lm(
            model,
            file,
            stride=stride,
            batch=batch,
            precision=precision,
            literal=bool(literal),
            device=device,
            out=out,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print_evaluation(result)


def _print_evaluation(result: Evaluation) -> None:
    """This text's figures, how its interval was made, and what the paper published."""
    from staged.model.reading.evaluation_text import HEADER, conditions, rate_rows

    print_table(f"{result.model} on {result.file}", HEADER, list(rate_rows(result)))
    say(conditions(result))
    if result.documents_learned_from:
        say(
            f"the model was trained on {result.documents_learned_from:,} of these documents: this"
            " says little about new text",
            style="bold",
        )
    say("")
    _print_published()


def _print_published() -> None:
    from staged.model.reading.paper_results import PUBLISHED, PUBLISHED_NOTE, PUBLISHED_SIZES

    published = [(name, *(f"{value:g}" for value in values)) for name, values in PUBLISHED.items()]
    print_table("GPT-2 as published", ("", *PUBLISHED_SIZES), published)
    say(PUBLISHED_NOTE)
