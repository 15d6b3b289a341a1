"""The command line: parses, calls one verb, prints. Nothing else in staged prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from staged.errors import PlanError, StagedError

app = typer.Typer(
    help="Release a language model the way GPT-2 1.5B was released: with its weights, its detector, its evidence and its card.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
screen = Console()
errors = Console(stderr=True)

INTERRUPTED = 130
DEFAULT_PLAN = Path("plans/mini.toml")


@app.command()
def study(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file.")] = DEFAULT_PLAN,
    out: Annotated[Path, typer.Option(help="Folder of the study; a finished stage in it is never done again.")] = Path("out/study"),
    corpus: Annotated[
        str, typer.Option(help="Human text instead of the plan's: a .txt, .jsonl or .parquet file, or a folder.")
    ] = "",
    workers: Annotated[int, typer.Option(help="Processes at work, one thread each; 0 takes one a core.")] = 0,
) -> None:
    """Run a release study: corpus, samples, detectors, cells, report. Interrupted, it continues where it was."""
    from staged.report.page import write_report
    from staged.study.plan import read_study
    from staged.study.study import run_study

    settings = read_study(plan, corpus=corpus)
    if workers < 0:
        raise PlanError(f"--workers must be 0 or more, not {workers}")
    with _study_progress() as progress:
        run_study(out, settings, render=write_report, workers=workers or os.cpu_count() or 1, report=progress)
    _print_study(out)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="Folder of a finished study.")]) -> None:
    """Write report.html again from a study's JSON files, computing nothing."""
    from staged.report.page import write_report

    write_report(folder)
    screen.print(f"report: {folder / 'report.html'}", highlight=False, soft_wrap=True)


@app.command()
def train(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file with one table per run.")],
    out: Annotated[Path, typer.Option(help="Folder that receives one model folder per run.")] = Path("out/models"),
    run: Annotated[list[str] | None, typer.Option(help="Only this run of the plan; may be given several times.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of this process; 0 leaves it to PyTorch.")] = 0,
) -> None:
    """Pretrain or fine-tune models. Interrupted, it continues with the same loss curve; under torchrun, on many processes."""
    import torch

    from staged.model.plan import read_plan
    from staged.model.train import train as train_run
    from staged.settings import nearest

    runs = read_plan(plan)
    for name in run or []:
        if name not in runs:
            raise PlanError(f"{plan}: no run {name!r}; {nearest(name, runs)}")
    if threads:
        torch.set_num_threads(threads)
    for name in run or list(runs):
        with _train_progress(name) as report:
            worked = train_run(out / name, runs[name], report=report)
        screen.print(f"{out / name}: {'trained' if worked else 'already there, nothing to do'}", highlight=False, soft_wrap=True)


@app.command()
def sample(
    model: Annotated[str, typer.Argument(help="mini-s, mini-m, mini-l, mini-xl, or a model folder in the hub's layout.")],
    method: Annotated[
        str, typer.Option(help="temperature-1, top-k-40, nucleus, greedy, or parts such as temperature-0.7+top-p-0.9.")
    ] = "temperature-1",
    number: Annotated[int | None, typer.Option("-n", "--number", help="How many samples; by default 1, or one a prompt.")] = None,
    length: Annotated[int, typer.Option(help="New tokens at most.")] = 128,
    seed: Annotated[int, typer.Option(help="Sample i depends on the seed and i.")] = 1,
    temperature: Annotated[float | None, typer.Option(help="In place of --method: divide the logits by this; 0 is greedy.")] = None,
    top_k: Annotated[int | None, typer.Option(help="In place of --method: keep the k most likely tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="In place of --method: keep the smallest set with this mass.")] = None,
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    prompts: Annotated[
        str,
        typer.Option(
            help='File with one prompt a line, or rows with "prompt" or "text" if .jsonl; - reads them from standard input.'
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option(help="File to write, .jsonl or .parquet; by default texts are printed.")] = None,
    batch: Annotated[int, typer.Option(help="Samples computed at once.")] = 128,
    precision: Annotated[str, typer.Option(help="bf16 or fp32; by default bf16 where the processor has it.")] = "",
) -> None:
    """Generate text. With --out, killed at any moment and started again, it ends with the same bytes."""
    from staged.samples.dataset import FORMATS, SampleSettings, write_samples
    from staged.samples.dataset import sample as generate
    from staged.samples.methods import from_numbers
    from staged.samples.methods import method as by_name
    from staged.samples.prompts import read_prompts

    numbers = (temperature, top_k, top_p)
    chosen = by_name(method) if numbers == (None, None, None) else from_numbers(*numbers)
    texts = (prompt,) if prompt else tuple(read_prompts(prompts)) if prompts else ()
    if prompt and prompts:
        raise PlanError("sample: give --prompt or --prompts, not both")
    if out is not None and out.suffix not in FORMATS:
        raise PlanError(f"{out}: samples are written as .jsonl or .parquet; choose one of these endings")
    count = number if number is not None else max(1, len(texts))
    settings = SampleSettings(
        model=model, method=chosen, count=count, length=length, seed=seed, prompts=texts, batch=batch, precision=precision
    )
    if out is None:
        for row in generate(settings):
            screen.print(f"──── sample {row['id']} · {row['length']} tokens", style="dim", highlight=False)
            screen.print(row["prompt"] + row["text"], markup=False, highlight=False, soft_wrap=True)
        return
    with _count_progress("samples") as progress:
        write_samples(out, settings, progress=progress)
    screen.print(f"{count} samples: {out}", highlight=False, soft_wrap=True)


@app.command(name="evaluate-lm")
def evaluate_lm(
    model: Annotated[str, typer.Argument(help="mini-s, mini-m, mini-l, mini-xl, or a model folder in the hub's layout.")],
    file: Annotated[
        str, typer.Argument(help='Text: .txt, .jsonl or .parquet (rows with "text"), a folder of these, or - for standard input.')
    ],
    stride: Annotated[int | None, typer.Option(help="Tokens from one window to the next; by default half the context.")] = None,
    batch: Annotated[int, typer.Option(help="Full windows computed at once.")] = 8,
    precision: Annotated[str, typer.Option(help="fp32, or bf16 where speed matters more than the last digits.")] = "fp32",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """What a text costs a language model: nats and bits per token, byte and word, beside the paper's table."""
    from staged.model.evaluate import evaluate

    with _count_progress("tokens") as progress:
        result = evaluate(model, file, stride=stride, batch=batch, precision=precision, progress=progress)
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print_evaluation(result)


def _bars(*columns: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=errors
    )


@contextmanager
def _count_progress(what: str) -> Iterator[Any]:
    with _bars(MofNCompleteColumn()) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def _train_progress(name: str) -> Iterator[Any]:
    with _bars(MofNCompleteColumn(), TextColumn("{task.fields[facts]}")) as bars:
        task = bars.add_task(name, total=None, facts="")
        seen: dict[str, Any] = {"valid": None}

        def report(progress: Any) -> None:
            seen["valid"] = progress.valid_loss or seen["valid"]
            valid = f" valid {seen['valid']:.3f}" if seen["valid"] else ""
            facts = f"train {progress.train_loss:.3f}{valid} · {progress.tokens_per_s:,.0f} tok/s · ETA {progress.eta_s:,.0f} s"
            bars.update(task, completed=progress.step, total=progress.steps, facts=facts)
            if progress.valid_loss and not bars.console.is_terminal:
                errors.print(f"{name} step {progress.step}/{progress.steps}: {facts}", highlight=False)

        yield report


@contextmanager
def _study_progress() -> Iterator[Any]:
    with _bars(TaskProgressColumn()) as bars:
        whole = bars.add_task("study", total=None)
        running: dict[str, Any] = {}
        done: dict[str, float] = {}

        def report(stages: Any, stage: Any, share: float) -> None:
            done[stage.name] = share * stage.cost
            bars.update(whole, completed=sum(done.values()), total=sum(one.cost for one in stages))
            if share < 1:
                if stage.name not in running:
                    running[stage.name] = bars.add_task(f"  {stage.name}", total=1.0, visible=bars.console.is_terminal)
                bars.update(running[stage.name], completed=share)
            elif stage.name in running:
                bars.remove_task(running.pop(stage.name))
            if share == 1 and not bars.console.is_terminal:
                finished = sum(one.name in done and done[one.name] == one.cost for one in stages)
                errors.print(f"[{finished}/{len(stages)}] {stage.name}", highlight=False, markup=False)

        yield report


def _print_study(folder: Path) -> None:
    """The transfer matrix by size on the post's method, the findings in a line each, and where the report is."""
    from staged.artifacts import read_json
    from staged.study.matrix import by_size, load_cells, values

    cells = load_cells(folder / "cells.json")
    methods = values(cells, "tested_method")
    for detector in values(cells, "detector"):
        matrix = by_size(cells, detector, "nucleus" if "nucleus" in methods else methods[0])
        table = Table(title=f"{detector}, {matrix.fixed}: accuracy in % [95% interval]", title_justify="left")
        table.add_column("trained on ↓  tested on →")
        for column in matrix.columns:
            table.add_column(column, justify="right")
        for row, line in zip(matrix.rows, matrix.cells, strict=True):
            table.add_row(row, *(_percent(cell) for cell in line))
        screen.print(table)
    screen.print(
        f"n = {cells[0].n_human} human + {cells[0].n_machine} machine texts of at most {cells[0].length_tokens} tokens a cell"
    )
    for finding in read_json(folder / "findings.json")["findings"]:
        screen.print(f"{finding['verdict']}: {finding['claim']}", highlight=False, markup=False)
    screen.print(f"\nreport: {folder / 'report.html'}", highlight=False, soft_wrap=True)


def _print_evaluation(result: Any) -> None:
    """This text's figures, how its interval was made, and what the paper published."""
    from staged.model.published import PUBLISHED, PUBLISHED_NOTE, PUBLISHED_SIZES

    rows = [
        (f"per {unit}", f"{one['count']:,}", f"{one['nats']:.4f}", f"{one['bits']:.4f}", _perplexity(one["perplexity"]))
        for unit, one in result.rates().items()
    ]
    _print_table(f"{result.model} on {result.file}", ("", "count", "nats", "bits", "perplexity"), rows)
    facts = (
        f"sliding window of {result.n_ctx} tokens, stride {result.stride}; {result.precision}; documents: {result.documents:,}, "
        "each scored by itself after <|endoftext|>; words are separated by white space"
    )
    screen.print(facts, markup=False, highlight=False, soft_wrap=True)
    screen.print(f"95% interval of bits per byte: {_bits_interval(result.interval)}", markup=False, highlight=False, soft_wrap=True)
    if result.documents_learned_from:
        seen = f"the model was trained on {result.documents_learned_from:,} of these documents: this says little about new text"
        screen.print(seen, style="bold", highlight=False, soft_wrap=True)
    screen.print()
    published = [(name, *(f"{value:g}" for value in values)) for name, values in PUBLISHED.items()]
    _print_table("GPT-2 as published", ("", *PUBLISHED_SIZES), published)
    screen.print(PUBLISHED_NOTE, markup=False, highlight=False, soft_wrap=True)


def _print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=escape(title), title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    screen.print(table)


def _perplexity(value: float | None) -> str:
    return "too large" if value is None else f"{value:,.2f}" if value < 1e6 else f"{value:.3g}"


def _bits_interval(interval: Any) -> str:
    if interval is None:
        from staged.model.evaluate import BLOCK_TOKENS_AT_LEAST, UNITS_AT_LEAST

        enough = f"{UNITS_AT_LEAST} documents of similar length, or {UNITS_AT_LEAST * BLOCK_TOKENS_AT_LEAST:,} tokens"
        return f"none; the text is too short for one (it takes {enough})"
    what = "documents" if interval.unit == "documents" else "blocks of consecutive tokens"
    return f"{interval.low:.4f} … {interval.high:.4f}, from the spread over {interval.units:,} {what}"


def _percent(cell: Any) -> str:
    if cell is None:
        return "–"
    return f"{100 * cell.accuracy:.1f} \\[{100 * cell.accuracy_low:.1f}, {100 * cell.accuracy_high:.1f}]"


def main() -> None:
    """Run the command line; every StagedError becomes one sentence and exit code 2."""
    try:
        app()
    except StagedError as error:
        errors.print(f"staged: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            errors.print("staged: interrupted; the same command continues from here", highlight=False)
        raise


if __name__ == "__main__":
    main()
