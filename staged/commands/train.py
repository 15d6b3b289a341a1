"""The command that trains and fine-tunes: train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from staged.commands.options import MODELS, LiteralOption, ThreadsOption
from staged.errors import PlanError
from staged.screen import say, train_progress


def train(
    plan: Annotated[
        Path | None, typer.Argument(help="The plan, a TOML file with one table per run; without it, give --init.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With a plan, the folder that receives one model folder per run (out/models); else the model's folder."),
    ] = None,
    run: Annotated[list[str] | None, typer.Option(help="Only this run of the plan; may be given several times.")] = None,
    threads: ThreadsOption = 0,
    init: Annotated[str | None, typer.Option(help=f"Fine-tune this model: {MODELS}.")] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Human text: a file or folder of a kind that docs/formats.md lists, such as .txt or .jsonl.")
    ] = None,
    end_of_text: LiteralOption = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Longest passage that a text is cut into.")] = None,
    minimum_tokens: Annotated[int | None, typer.Option(help="Shortest passage; what is shorter is left out.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Passages a step.")] = None,
    micro_batch: Annotated[int | None, typer.Option(help="Passages computed at once: fewer need less memory.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Its peak, after the warm-up.")] = None,
    warmup_steps: Annotated[int | None, typer.Option(help="Steps until the learning rate is at its peak.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Rate on embeddings and residuals.")] = None,
    valid_every: Annotated[int | None, typer.Option(help="Measure the validation loss every so many steps.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Save every so many steps what a killed run continues from.")] = None,
    precision: Annotated[str | None, typer.Option(help="bf16 (autocast) or fp32, while training.")] = None,
    saved_precision: Annotated[str | None, typer.Option(help="bf16 or fp32, of the finished model's weights.")] = None,
    checkpointing: Annotated[
        bool | None, typer.Option(help="Compute each block again in the backward pass: less memory, more time, the same result.")
    ] = None,
    lora_rank: Annotated[
        int | None, typer.Option(help="Train only LoRA matrices of this rank, merged when saved; 0 trains all.")
    ] = None,
    lora_alpha: Annotated[float | None, typer.Option(help="LoRA's scale: its product counts alpha / rank.")] = None,
    seed: Annotated[int | None, typer.Option(help="Everything random depends on it.")] = None,
) -> None:
    """Pretrain or fine-tune models, by a plan or by flags; a flag outweighs the plan. Interrupted, the same command continues."""
    flags: dict[str, object] = {"init": init, "source": corpus, "budget_tokens": budget_tokens, "minimum_tokens": minimum_tokens}
    flags |= {"steps": steps, "batch": batch, "micro_batch": micro_batch, "learning_rate": learning_rate}
    flags |= {"warmup_steps": warmup_steps, "dropout": dropout, "valid_every": valid_every, "checkpoint_every": checkpoint_every}
    flags |= {"precision": precision, "saved_precision": saved_precision, "checkpointing": checkpointing}
    flags |= {"lora_rank": lora_rank, "lora_alpha": lora_alpha, "seed": seed}
    from staged.corpus.build import LITERAL
    from staged.model.memory import peak_memory_mb
    from staged.model.plan import with_flags
    from staged.model.train import train as train_run

    flags |= {"end_of_text": LITERAL if end_of_text else None}
    runs = {folder: with_flags(one, flags) for folder, one in _runs(plan, out, run or [], init, corpus).items()}
    for folder, settings in runs.items():
        with train_progress(folder.name) as report:
            worked = train_run(folder, settings, report=report)
        done = f"trained · peak memory {peak_memory_mb():,.0f} MB" if worked else "already there, nothing to do"
        say(f"{folder}: {done}")


def _runs(plan: Path | None, out: Path | None, names: list[str], init: str | None, corpus: str | None) -> dict[Path, Any]:
    """Model folder → settings: of a plan's runs, or of the one that --init and --corpus describe."""
    from staged.model.plan import FINE_TUNING, read_plan
    from staged.settings import nearest

    if plan is None:
        if names or not (init and corpus and out):
            raise PlanError("train: give a plan, or --init MODEL, --corpus FOLDER and --out FOLDER to fine-tune without one")
        return {out: FINE_TUNING}
    runs = read_plan(plan)
    for name in names:
        if name not in runs:
            raise PlanError(f"{plan}: no run {name!r}; {nearest(name, runs)}")
    return {(out or Path("out/models")) / name: runs[name] for name in names or runs}
