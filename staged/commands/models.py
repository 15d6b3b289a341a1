"""Commands of a model: train, convert, evaluate-lm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from staged.commands.options import MODELS, PLAN, DeviceOption, LiteralOption, ThreadsOption
from staged.errors import PlanError
from staged.plans.shipped import find_plan
from staged.screen import count_progress, print_table, say, train_progress
from staged.verbs import models as verbs


def train(
    plan: Annotated[
        Path | None,
        typer.Argument(help=f"The plan, one table a run: {PLAN}; without a plan, give --init."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=(
                "With a plan, the folder that receives one model folder per run (out/models); else"
                " the model's folder."
            )
        ),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(help="Only this run of the plan; may be given several times."),
    ] = None,
    threads: ThreadsOption = 0,
    init: Annotated[str | None, typer.Option(help=f"Fine-tune this model: {MODELS}.")] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help=(
                "Human text: a file or folder of a kind that docs/formats.md lists, such as .txt or"
                " .jsonl."
            )
        ),
    ] = None,
    end_of_text: LiteralOption = None,
    budget_tokens: Annotated[
        int | None, typer.Option(help="Longest passage that a text is cut into.")
    ] = None,
    minimum_tokens: Annotated[
        int | None, typer.Option(help="Shortest passage; what is shorter is left out.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Passages a step.")] = None,
    micro_batch: Annotated[
        int | None, typer.Option(help="Passages computed at once: fewer need less memory.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Its peak, after the warm-up.")
    ] = None,
    warmup_steps: Annotated[
        int | None, typer.Option(help="Steps until the learning rate is at its peak.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Rate on embeddings and residuals.")] = None,
    valid_every: Annotated[
        int | None, typer.Option(help="Measure the validation loss every so many steps.")
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Save every so many steps what a killed run continues from.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="bf16 (autocast) or fp32, while training.")
    ] = None,
    saved_precision: Annotated[
        str | None, typer.Option(help="bf16 or fp32, of the finished model's weights.")
    ] = None,
    checkpointing: Annotated[
        bool | None,
        typer.Option(
            help=(
                "Compute each block again in the backward pass: less memory, more time, the same"
                " result."
            )
        ),
    ] = None,
    lora_rank: Annotated[
        int | None,
        typer.Option(
            help="Train only LoRA matrices of this rank, merged when saved; 0 trains all."
        ),
    ] = None,
    lora_alpha: Annotated[
        float | None, typer.Option(help="LoRA's scale: its product counts alpha / rank.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Everything random depends on it.")] = None,
) -> None:
    """Pretrain or fine-tune models, by a plan or by flags; a flag outweighs the plan. Interrupted,
    the same command continues.
    """
    flags: dict[str, object] = {
        "init": init,
        "source": corpus,
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
    from staged.corpus.build import LITERAL
    from staged.model.memory import peak_memory_mb
    from staged.model.training.plan import with_flags
    from staged.model.training.train import train as train_run

    flags |= {"end_of_text": LITERAL if end_of_text else None}
    runs = {
        folder: with_flags(one, flags)
        for folder, one in _runs(plan, out, run or [], init, corpus).items()
    }
    for folder, settings in runs.items():
        with train_progress(folder.name) as report:
            worked = train_run(folder, settings, report=report)
        done = (
            f"trained · peak memory {peak_memory_mb():,.0f} MB"
            if worked
            else "already there, nothing to do"
        )
        say(f"{folder}: {done}")


def _runs(
    plan: Path | None, out: Path | None, names: list[str], init: str | None, corpus: str | None
) -> dict[Path, Any]:
    """Model folder → settings: of a plan's runs, or of the one that --init and --corpus
    describe.
    """
    from staged.model.training.plan import FINE_TUNING, read_plan
    from staged.settings import nearest

    if plan is None:
        if names or not (init and corpus and out):
            raise PlanError(
                "train: give a plan, or --init MODEL, --corpus FOLDER and --out FOLDER to fine-tune"
                " without one"
            )
        return {out: FINE_TUNING}
    runs = read_plan(find_plan(plan))
    for name in names:
        if name not in runs:
            raise PlanError(f"{plan}: no run {name!r}; {nearest(name, runs)}")
    return {(out or Path("out/models")) / name: runs[name] for name in names or runs}


def convert(
    src: Annotated[
        str,
        typer.Argument(
            help="A model folder in any published layout, 124M … 1558M, openai:124M, or a hub name."
        ),
    ],
    dst: Annotated[
        Path, typer.Argument(help="A new folder in the hub's layout, or a file ending in .gguf.")
    ],
    dtype: Annotated[
        str,
        typer.Option(
            help="float32, bfloat16 or float16; a .gguf also q8_0; keep takes the source's."
        ),
    ] = "keep",
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nothing of the network; say what is missing.")
    ] = False,
) -> None:
    """Write a model in another format, tensor by tensor: TensorFlow, safetensors or pickles to
    safetensors or GGUF.
    """
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"

    with count_progress("tensors") as progress:
        worked = verbs.convert(src, dst, dtype=dtype, progress=progress)
    say(f"{dst}: {'written' if worked else 'already there, nothing to do'}")


def evaluate_lm(
    model: Annotated[str, typer.Argument(help=f"{MODELS}.")],
    file: Annotated[
        str,
        typer.Argument(
            help=(
                "Text: a file or folder of a kind that docs/formats.md lists, such as .txt or"
                " .jsonl, or - for standard input."
            )
        ),
    ],
    stride: Annotated[
        int | None,
        typer.Option(help="Tokens from one window to the next; by default half the context."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Full windows computed at once.")] = 8,
    precision: Annotated[
        str, typer.Option(help="fp32, or bf16 where speed matters more than the last digits.")
    ] = "fp32",
    literal: LiteralOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="A .json file that receives the object; a killed run then continues."),
    ] = None,
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


def _print_evaluation(result: Any) -> None:
    """This text's figures, how its interval was made, and what the paper published."""
    from staged.model.reading.paper_results import PUBLISHED, PUBLISHED_NOTE, PUBLISHED_SIZES

    rows = [
        (
            f"per {unit}",
            f"{one['count']:,}",
            f"{one['nats']:.4f}",
            f"{one['bits']:.4f}",
            _perplexity(one["perplexity"]),
        )
        for unit, one in result.rates().items()
    ]
    print_table(
        f"{result.model} on {result.file}", ("", "count", "nats", "bits", "perplexity"), rows
    )
    facts = (
        f"sliding window of {result.n_ctx} tokens, stride {result.stride}; {result.precision};"
        f" documents: {result.documents:,}, each scored by itself after <|endoftext|>; words are"
        " separated by white space"
    )
    say(facts)
    say(f"95% interval of bits per byte: {_bits_interval(result.interval)}")
    if result.documents_learned_from:
        seen = (
            f"the model was trained on {result.documents_learned_from:,} of these documents: this"
            " says little about new text"
        )
        say(seen, style="bold")
    say("")
    published = [(name, *(f"{value:g}" for value in values)) for name, values in PUBLISHED.items()]
    print_table("GPT-2 as published", ("", *PUBLISHED_SIZES), published)
    say(PUBLISHED_NOTE)


def _perplexity(value: float | None) -> str:
    return "too large" if value is None else f"{value:,.2f}" if value < 1e6 else f"{value:.3g}"


def _bits_interval(interval: Any) -> str:
    if interval is None:
        from staged.model.reading.bits_interval import BLOCK_TOKENS_AT_LEAST, UNITS_AT_LEAST

        enough = (
            f"{UNITS_AT_LEAST} documents of similar length, or"
            f" {UNITS_AT_LEAST * BLOCK_TOKENS_AT_LEAST:,} tokens"
        )
        return f"none; the text is too short for one (it takes {enough})"
    what = "documents" if interval.unit == "documents" else "blocks of consecutive tokens"
    return (
        f"{interval.low:.4f} … {interval.high:.4f}, from the spread over {interval.units:,} {what}"
    )
