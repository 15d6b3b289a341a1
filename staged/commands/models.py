"""Commands of the model itself: train, sample, convert, evaluate-lm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from staged.commands.options import MODELS, DeviceOption
from staged.errors import PlanError
from staged.figures import counted
from staged.screen import count_progress, print_evaluation, print_samples, say, train_progress


def train(
    plan: Annotated[
        Path | None, typer.Argument(help="The plan, a TOML file with one table per run; without it, give --init.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With a plan, the folder that receives one model folder per run (out/models); else the model's folder."),
    ] = None,
    run: Annotated[list[str] | None, typer.Option(help="Only this run of the plan; may be given several times.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of this process; 0 leaves it to PyTorch.")] = 0,
    init: Annotated[str | None, typer.Option(help=f"Fine-tune this model: {MODELS}.")] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Human text: a .txt, .docx, .pdf, .jsonl or .parquet file, or a folder of these.")
    ] = None,
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
    import torch

    from staged.model.memory import peak_memory_mb
    from staged.model.plan import with_flags
    from staged.model.train import train as train_run

    if threads < 0:
        raise PlanError(f"--threads must be 0 or more, not {threads}")
    if threads:
        torch.set_num_threads(threads)
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


def sample(
    model: Annotated[str, typer.Argument(help=f"{MODELS}.")],
    method: Annotated[
        str | None,
        typer.Option(help="temperature-1 (the default), top-k-40, nucleus, greedy, or parts such as temperature-0.7+top-p-0.9."),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("-n", "--number", help="How many samples in all, prompts taken in turn; by default 1, or one a prompt."),
    ] = None,
    per_prompt: Annotated[
        int | None, typer.Option(help="In place of --number: so many samples of each prompt, standing together.")
    ] = None,
    length: Annotated[int, typer.Option(help="New tokens at most.")] = 128,
    seed: Annotated[int, typer.Option(help="Sample i depends on the seed and i.")] = 1,
    temperature: Annotated[float | None, typer.Option(help="In place of --method: divide the logits by this; 0 is greedy.")] = None,
    top_k: Annotated[int | None, typer.Option(help="In place of --method: keep the k most likely tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="In place of --method: keep the smallest set with this mass.")] = None,
    semantics: Annotated[
        str,
        typer.Option(
            help="standard: the nucleus keeps the token that crosses p; released: it drops it, as the code released with GPT-2. "
            "By default as the method's name says, else standard."
        ),
    ] = "",
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1, tokens of the prompt and of the sample become less likely (CTRL's form); 1 is off.")
    ] = 1.0,
    stop: Annotated[
        list[str] | None, typer.Option(help="End a sample at this text, and cut it before; may be given several times.")
    ] = None,
    logprobs: Annotated[
        bool,
        typer.Option(
            "--logprobs", help="Rows also hold tokens and their log-probabilities; without --out, rows are printed as JSON."
        ),
    ] = False,
    context: Annotated[
        str,
        typer.Option(
            help="Where a text outgrows the context: refuse it beforehand, stop there, or slide (go on without the older half)."
        ),
    ] = "refuse",
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    prompts: Annotated[
        str,
        typer.Option(
            help='File with one prompt a line, or rows with "prompt" or "text" if .jsonl; - reads them from standard input.'
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="File to write, .jsonl or .parquet; by default texts are printed, a single one while it is made."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Samples computed at once.")] = 128,
    precision: Annotated[str, typer.Option(help="fp32 (exact), bf16 or int8; by default bf16 where the processor has it.")] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: a GPU where PyTorch finds one.")] = "auto",
    draft: Annotated[
        str,
        typer.Option(help="A smaller model with the same tokenizer that guesses ahead; the distribution stays the same."),
    ] = "",
) -> None:
    """Generate text. With --out, killed at any moment and started again, it ends with the same bytes."""
    from staged.samples.asked import chosen_method, chosen_prompts, how_many
    from staged.samples.dataset import SampleSettings, write_samples
    from staged.texts import refuse_to_replace

    refuse_to_replace(out, prompts)
    texts = chosen_prompts(prompt, prompts)
    settings = SampleSettings(
        model=model,
        method=chosen_method(method, temperature, top_k, top_p, semantics),
        count=how_many(number, per_prompt, texts),
        length=length,
        seed=seed,
        prompts=texts,
        per_prompt=1 if per_prompt is None else per_prompt,
        batch=batch,
        precision=precision,
        draft=draft,
        stop=tuple(stop or ()),
        repetition_penalty=repetition_penalty,
        logprobs=logprobs,
        context=context,
        device=device,
    )
    if out is None:
        print_samples(settings)
        return
    with count_progress("samples") as progress:
        path = write_samples(out, settings, progress=progress)
    say(f"{counted(settings.count, 'sample')} ({path}): {out}")


def convert(
    src: Annotated[str, typer.Argument(help="A model folder in any published layout, 124M … 1558M, openai:124M, or a hub name.")],
    dst: Annotated[Path, typer.Argument(help="A new folder in the hub's layout, or a file ending in .gguf.")],
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16; a .gguf also q8_0; keep takes the source's.")] = "keep",
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing of the network; say what is missing.")] = False,
) -> None:
    """Write a model in another format, tensor by tensor: TensorFlow, safetensors or pickles to safetensors or GGUF."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from staged.model.convert import convert as convert_model

    with count_progress("tensors") as progress:
        worked = convert_model(src, dst, dtype=dtype, progress=progress)
    say(f"{dst}: {'written' if worked else 'already there, nothing to do'}")


def evaluate_lm(
    model: Annotated[str, typer.Argument(help=f"{MODELS}.")],
    file: Annotated[
        str,
        typer.Argument(
            help='Text: .txt, .docx, .pdf, .jsonl or .parquet (rows with "text"), a folder of these, or - for standard input.'
        ),
    ],
    stride: Annotated[int | None, typer.Option(help="Tokens from one window to the next; by default half the context.")] = None,
    batch: Annotated[int, typer.Option(help="Full windows computed at once.")] = 8,
    precision: Annotated[str, typer.Option(help="fp32, or bf16 where speed matters more than the last digits.")] = "fp32",
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    out: Annotated[Path | None, typer.Option(help="A .json file that receives the object; a killed run then continues.")] = None,
) -> None:
    """What a text costs a language model: nats and bits per token, byte and word, beside the paper's table."""
    from staged.model.evaluate import evaluate
    from staged.samples.decoders import chosen_device

    device = chosen_device(device)
    with count_progress("tokens") as progress:
        result = evaluate(model, file, stride=stride, batch=batch, precision=precision, device=device, out=out, progress=progress)
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print_evaluation(result)
