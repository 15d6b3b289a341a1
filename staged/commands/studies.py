"""Commands that run studies and show them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staged.commands.options.engines import (
    AddressOption,
    EngineOption,
    ShardOption,
    WorkersOption,
    engine_of,
)
from staged.commands.options.shared import LiteralOption, PlanArgument, ShowOption, show_plan
from staged.commands.printed.dry_run import print_dry_run
from staged.commands.printed.studies import print_finetune, print_provenance, print_study
from staged.engines.choice import ALL_CORES
from staged.errors import PlanError
from staged.plans.shipped import study_titles
from staged.screen import say, study_progress
from staged.verbs import studies as verbs

DEFAULT_PLAN = Path("mini")

OutOption = Annotated[
    Path,
    typer.Option(
        help=(
            "Folder of the study, also at a URL such as s3://BUCKET/NAME; a finished stage in it is"
            " never done again."
        )
    ),
]
CorpusOption = Annotated[
    str,
    typer.Option(
        help=(
            "Human text instead of the plan's: a file or folder of a kind that docs/formats.md"
            " lists."
        )
    ),
]
SamplesOption = Annotated[
    str,
    typer.Option(
        help=(
            "Texts that somebody has, in place of those that the plan's models would write: a file"
            " or folder, docs/study.md."
        )
    ),
]
AttacksOption = Annotated[
    bool,
    typer.Option(
        "--attacks",
        help="Also score attacked test texts, under every attack of docs/robustness.md.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help=(
            "Where models write and encoders learn and score: cpu, cuda, or auto, which takes a GPU"
            " where there is one; by default what the plan says, else auto."
        )
    ),
]
OnlyOption = Annotated[
    str,
    typer.Option(
        help=(
            "Make this stage alone, by its folder's name, such as detectors/roberta/124M/nucleus;"
            " under torchrun an encoder's training is shared (docs/train.md)."
        )
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help=(
            "Print stages, blocks, tokens, bytes, and hours by measured rates; do nothing, and"
            " download nothing."
        ),
    ),
]
CountsOption = Annotated[
    bool, typer.Option("--json", help="With --dry-run: print one JSON object instead of tables.")
]
ListOption = Annotated[
    bool, typer.Option("--list", help="Print name and title of each study that ships.")
]


def study(
    plan: PlanArgument = DEFAULT_PLAN,
    out: OutOption = Path("out/study"),
    corpus: CorpusOption = "",
    samples: SamplesOption = "",
    attacks: AttacksOption = False,
    literal: LiteralOption = False,
    device: DeviceOption = "",
    only: OnlyOption = "",
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
    dry_run: DryRunOption = False,
    as_json: CountsOption = False,
    names: ListOption = False,
    show: ShowOption = False,
) -> None:
    """Run a release study: corpus, samples, detectors, cells, report. Interrupted, it continues
    where it was.

    A plan with a table [styles] is a fine-tuning study instead, docs/finetune.md; one with schemes
    a study of watermarks, docs/watermarks.md.
    """
    if names or show:
        _print_titles() if names else show_plan(plan)
        return
    if as_json and not dry_run:
        raise PlanError("study: --json belongs to --dry-run; a finished study has its JSON files")
    chosen = engine_of(engine, address, workers, shard, device=device, otherwise=ALL_CORES)
    if dry_run:
        counts = verbs.dry_run(plan, corpus=corpus, samples=samples, attacks=attacks, device=device)
        print_dry_run(counts, as_json=as_json)
        return
    if only:
        if attacks or engine or address or shard or workers is not None:
            raise PlanError(
                "--only makes one stage, by this command's process or those of torchrun; leave out"
                " --attacks, --engine, --address, --workers and --shard"
            )
        _make_stage(only, plan, out, corpus, samples, bool(literal), device)
        return
    with study_progress() as progress:
        finished = verbs.study(
            plan,
            out,
            corpus=corpus,
            samples=samples,
            attacks=attacks,
            literal=bool(literal),
            device=device,
            engine=chosen,
            progress=progress,
        )
    shown = {"fine-tuning study": print_finetune, "watermark study": print_provenance}
    shown.get(finished.kind, print_study)(finished.folder)


def _make_stage(
    name: str, plan: Path, out: Path, corpus: str, samples: str, literal: bool, device: str
) -> None:
    with study_progress() as progress:
        folder = verbs.study_stage(
            name,
            plan,
            out,
            corpus=corpus,
            samples=samples,
            literal=literal,
            device=device,
            progress=progress,
        )
    say(f"{folder}: made")


def _print_titles() -> None:
    titles = study_titles()
    width = max(map(len, titles))
    for name, title in titles.items():
        say(f"{name:{width}}  {title}")


StudyArgument = Annotated[Path, typer.Argument(help="Folder of a finished study.")]


def report(folder: StudyArgument) -> None:
    """Write report.html again from a study's JSON files, computing nothing."""
    say(f"report: {verbs.write_report(folder)}")
