"""Commands that run studies and show them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from staged.errors import PlanError
from staged.screen import print_finetune, print_study, say, study_progress

DEFAULT_PLAN = Path("plans/mini.toml")


def study(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file.")] = DEFAULT_PLAN,
    out: Annotated[Path, typer.Option(help="Folder of the study; a finished stage in it is never done again.")] = Path("out/study"),
    corpus: Annotated[
        str, typer.Option(help="Human text instead of the plan's: a .txt, .docx, .pdf, .jsonl or .parquet file, or a folder.")
    ] = "",
    attacks: Annotated[
        bool, typer.Option("--attacks", help="Also score attacked test texts, under every attack of docs/robustness.md.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes at work, one thread each; 0 takes one a core.")] = 0,
) -> None:
    """Run a release study: corpus, samples, detectors, cells, report. Interrupted, it continues where it was.

    A plan with a table [styles] is a fine-tuning study instead: detection before and after, docs/finetune.md.
    """
    from staged.study.finetune_plan import is_finetune

    if workers < 0:
        raise PlanError(f"--workers must be 0 or more, not {workers}")
    run = _finetune if is_finetune(plan) else _release
    run(plan, out, corpus, attacks, workers or os.cpu_count() or 1)


def _release(plan: Path, out: Path, corpus: str, attacks: bool, workers: int) -> None:
    from staged.report.page import write_report
    from staged.study.attacks import ATTACKS
    from staged.study.plan import read_study
    from staged.study.study import run_study

    settings = read_study(plan, corpus=corpus)
    settings = replace(settings, attacks=tuple(ATTACKS)) if attacks else settings
    with study_progress() as progress:
        run_study(out, settings, render=write_report, workers=workers, report=progress)
    print_study(out)


def _finetune(plan: Path, out: Path, corpus: str, attacks: bool, workers: int) -> None:
    from staged.report.finetune import write_finetune_report
    from staged.study.finetune import run_finetune
    from staged.study.finetune_plan import read_finetune

    if attacks:
        raise PlanError(f"{plan}: --attacks belongs to release studies; this plan has [styles], so it is a fine-tuning study")
    with study_progress() as progress:
        run_finetune(out, read_finetune(plan, corpus=corpus), render=write_finetune_report, workers=workers, report=progress)
    print_finetune(out)


def report(folder: Annotated[Path, typer.Argument(help="Folder of a finished study.")]) -> None:
    """Write report.html again from a study's JSON files, computing nothing."""
    from staged.report.finetune import write_finetune_report
    from staged.report.page import write_report

    (write_finetune_report if (folder / "finetune.json").is_file() else write_report)(folder)
    say(f"report: {folder / 'report.html'}")
