"""What the command line shows: progress bars, tables, texts. Only this file and commands/ print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

from staged.figures import counted, estimate, figure, percent

screen = Console()
errors = Console(stderr=True)
WIDEST = 10_000  # columns of a table that no terminal shows


def visible(text: str) -> str:
    """Characters that could command a terminal as escapes: names of files and rows are others' text."""
    return "".join(one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)


def say(text: str, *, style: str = "") -> None:
    """A line as it is, whatever brackets it holds, broken by the terminal alone."""
    screen.print(visible(text), style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def count_progress(what: str) -> Iterator[Any]:
    """A bar; one that had nothing to show leaves no trace: what it waits for was refused, or was there already."""
    with _bars(MofNCompleteColumn()) as bars:
        task = bars.add_task(what, total=None)
        try:
            yield lambda done, total: bars.update(task, completed=done, total=total)
        finally:
            if bars.tasks[0].total is None:
                bars.remove_task(task)


@contextmanager
def train_progress(name: str) -> Iterator[Any]:
    with _bars(MofNCompleteColumn(), TextColumn("{task.fields[facts]}")) as bars:
        task = bars.add_task(name, total=None, facts="")
        seen: dict[str, Any] = {"valid": None}

        def report(progress: Any) -> None:
            seen["valid"] = progress.valid_loss or seen["valid"]
            valid = f" valid {seen['valid']:.3f}" if seen["valid"] else ""
            facts = f"train {progress.train_loss:.3f}{valid} · {progress.tokens_per_s:,.0f} tok/s"
            facts += f" · {progress.peak_memory_mb:,.0f} MB · ETA {progress.eta_s:,.0f} s"
            bars.update(task, completed=progress.step, total=progress.steps, facts=facts)
            if progress.valid_loss and not bars.console.is_terminal:
                errors.print(f"{name} step {progress.step}/{progress.steps}: {facts}", highlight=False, markup=False)

        yield report


@contextmanager
def study_progress() -> Iterator[Any]:
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


def _bars(*columns: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
    )


def print_samples(settings: Any) -> None:
    """Samples on standard output: JSON rows with log-probabilities, one text as it is made, or several under headings."""
    from staged.samples.dataset import sample, speak

    if settings.logprobs:
        for row in sample(settings):
            typer.echo(json.dumps(row, ensure_ascii=False))
    elif settings.count == 1:
        try:
            row = speak(settings, lambda text: typer.echo(text, nl=False))
        except KeyboardInterrupt:
            typer.echo()  # so that whole lines are left
            raise
        typer.echo()
        errors.print(f"──── {_ending(row)}", style="dim", highlight=False, markup=False)
    else:
        for row in sample(settings):
            typer.secho(f"──── sample {row['id']} · {_ending(row)}", dim=True)
            typer.echo(row["prompt"] + row["text"])


def _ending(row: dict[str, Any]) -> str:
    """How a sample came to its end, for a heading."""
    why = {"end": "end of text", "length": "length reached", "stop": f"stop {row['stopped']!r}", "context": "end of the context"}
    moved = f" · window moved {row['slides']} times" if row["slides"] else ""
    return f"{counted(row['length'], 'token')} · {why[row['reason']]}{moved}"


def print_study(folder: Path) -> None:
    """The transfer matrix by size on the post's method, the findings in a line each, and where the report is."""
    from staged.artifacts import read_json
    from staged.study.matrix import by_size, load_cells, values

    cells = load_cells(folder / "cells.json")
    methods = values(cells, "tested_method")
    for detector in values(cells, "detector"):
        matrix = by_size(cells, detector, "nucleus" if "nucleus" in methods else methods[0])
        rows = [
            (name, *(percent(c.accuracy, c.accuracy_low, c.accuracy_high) if c else "–" for c in line))
            for name, line in zip(matrix.rows, matrix.cells, strict=True)
        ]
        title = f"{detector}, {matrix.fixed}: accuracy in % [95% interval]"
        print_table(title, ("trained on ↓  tested on →", *matrix.columns), rows)
    say(f"n = {cells[0].n_human} human + {cells[0].n_machine} machine texts of at most {cells[0].length_tokens} tokens a cell")
    for finding in read_json(folder / "findings.json")["findings"]:
        say(f"{finding['verdict']}: {finding['claim']}")
    say(f"\nreport: {folder / 'report.html'}")


def print_finetune(folder: Path) -> None:
    """Detection before and after fine-tuning beside what was published, the style classifier, and where the report is."""
    from staged.artifacts import read_json

    found = read_json(folder / "finetune.json")
    header = ("", "before", "after", "drop", "of it by length", "retrained")
    again = {(cell["detector"], cell["tested_on"]): cell for cell in found["cells"] if cell["trained_on"] == "fine-tuned"}
    for detector in found["settings"]["detectors"]:
        rows = []
        for row in (one for one in found["drops"] if one["detector"] == detector):
            cell = again.get((detector, row["style"]))
            shown = [percent(*estimate(row, name)) for name in ("before", "after", "drop")]
            share = percent(*estimate(row, "share_by_length"), digits=0)
            rows.append((row["style"], *shown, share, percent(*estimate(cell, "accuracy")) if cell else ""))
        rows += [("published, GPT-2 1.5B", "92.7", "70.2", "22.5", "about half", "")] if detector == "tfidf" else []
        print_table(f"{detector}: accuracy in % [95% interval]", header, rows)
        for verdict in dict.fromkeys(row["verdict"] for row in found["drops"] if row["detector"] == detector):
            these = [row["style"] for row in found["drops"] if (row["detector"], row["verdict"]) == (detector, verdict)]
            say(f"{verdict}: {', '.join(these)}")
    n, whole = found["drops"][0]["n_machine"], [one for one in found["styles"] if one["part"] == "whole"]
    say(f"n = {n} human + {n} machine texts before, and for each style")
    right = [(one["text"], one["style"], str(one["n"]), percent(*estimate(one, "accuracy"))) for one in whole if one["style"]]
    print_table("style classifier, whole texts: called rightly, in %", ("text", "style", "n", "accuracy"), right)
    chance = f"{100 / len(found['settings']['styles']):.0f}"
    for one in (one for one in whole if not one["style"]):
        shares = ", ".join(f"{name} {100 * count / one['n']:.0f}" for name, count in one["called"].items())
        say(f"the untuned model's texts are called, in %: {shares}; chance {chance} (n = {one['n']})")
    say(f"\nreport: {folder / 'report.html'}")


def print_evaluation(result: Any) -> None:
    """This text's figures, how its interval was made, and what the paper published."""
    from staged.model.published import PUBLISHED, PUBLISHED_NOTE, PUBLISHED_SIZES

    rows = [
        (f"per {unit}", f"{one['count']:,}", f"{one['nats']:.4f}", f"{one['bits']:.4f}", _perplexity(one["perplexity"]))
        for unit, one in result.rates().items()
    ]
    print_table(f"{result.model} on {result.file}", ("", "count", "nats", "bits", "perplexity"), rows)
    facts = (
        f"sliding window of {result.n_ctx} tokens, stride {result.stride}; {result.precision}; documents: {result.documents:,}, "
        "each scored by itself after <|endoftext|>; words are separated by white space"
    )
    say(facts)
    say(f"95% interval of bits per byte: {_bits_interval(result.interval)}")
    if result.documents_learned_from:
        seen = f"the model was trained on {result.documents_learned_from:,} of these documents: this says little about new text"
        say(seen, style="bold")
    say("")
    published = [(name, *(f"{value:g}" for value in values)) for name, values in PUBLISHED.items()]
    print_table("GPT-2 as published", ("", *PUBLISHED_SIZES), published)
    say(PUBLISHED_NOTE)


def print_raid(result: dict[str, Any]) -> None:
    """One table a rate, at per-domain thresholds, with what was left unscored; what the columns mean stands under them."""
    counts = result["counts"]
    facts = ", ".join(f"{name} {counts[name]:,}" for name in ("rows", "scored", "missing", "nan", "infinite", "extra"))
    if not result["labelled"]:
        say(f"{result['note']}\n{facts}")
        return
    unscored = counts["scored"] < counts["rows"]
    of_scored = ("unscored", "TPR of scored") if unscored else ()
    header = ("", "value", "machine texts", "TPR in %", "human texts", "achieved FPR in %", "AUROC", *of_scored)
    for number, fpr in enumerate(result["settings"]["fprs"]):  # the first cuts of a cell are per domain, in this order
        rows = [_raid_row(cell, cell["rates"][number], unscored=unscored) for cell in result["cells"]]
        print_table(f"{result['detector'] or result['predictions']} on {result['file']}, nominal FPR {100 * fpr:g}%", header, rows)
    human, sources, held = result["calibration"]["human"]["rows"], result["calibration"]["sources"], result["reported"]
    said = (
        f"{facts}; thresholds per domain from {human:,} human texts ({sources:,} sources), figures "
        f"of {held['human']:,} human + {held['machine']:,} machine texts of other sources; [95% interval]; – where n is below "
        f"{result['settings']['minimum']} or too few human texts certify the rate; an unscored text counts as not detected"
    )
    say(said)


def _raid_row(cell: dict[str, Any], rates: dict[str, Any], *, unscored: bool) -> tuple[str, ...]:
    tpr, scored, fpr, area = (
        (one["value"], one["low"], one["high"]) for one in (rates["tpr"], rates["tpr_scored"], rates["fpr_achieved"], cell["auroc"])
    )
    machine, n_human = cell["machine"], rates["fpr_achieved"]["n"]
    left_out = machine["rows"] - machine["scored"]
    of_scored = (f"{left_out:,}", percent(*scored) if left_out else "") if unscored else ()
    shown = (percent(*tpr), f"{n_human:,}", percent(*fpr, digits=2), figure(*area, form=".3f"))
    return (cell["by"], cell["value"] or "(empty)", f"{machine['rows']:,}", *shown, *of_scored)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One table, of which nothing is cut: a narrow terminal folds it, a file gets it as wide as it is.

    The first column is aligned left, the others right.
    """
    table = Table(title=escape(visible(title)), title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in row))
    if not screen.is_terminal:
        table.width = screen.measure(table, options=screen.options.update(max_width=WIDEST)).maximum
    screen.print(table, crop=False)


def _perplexity(value: float | None) -> str:
    return "too large" if value is None else f"{value:,.2f}" if value < 1e6 else f"{value:.3g}"


def _bits_interval(interval: Any) -> str:
    if interval is None:
        from staged.model.bits_interval import BLOCK_TOKENS_AT_LEAST, UNITS_AT_LEAST

        enough = f"{UNITS_AT_LEAST} documents of similar length, or {UNITS_AT_LEAST * BLOCK_TOKENS_AT_LEAST:,} tokens"
        return f"none; the text is too short for one (it takes {enough})"
    what = "documents" if interval.unit == "documents" else "blocks of consecutive tokens"
    return f"{interval.low:.4f} … {interval.high:.4f}, from the spread over {interval.units:,} {what}"
