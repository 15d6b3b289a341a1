"""corpus build: a corpus from pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options.shared import PLAN, JsonOption, ShowOption, show_plan
from staged.pages.figures import counted
from staged.screen import count_progress, print_table, say
from staged.storage.records import to_json
from staged.verbs import corpus as verbs

if TYPE_CHECKING:
    from staged.corpus.building.results import BuildCounts

PlanArgument = Annotated[Path, typer.Argument(help=f"The plan: {PLAN}.")]
OutOption = Annotated[Path, typer.Option(help="Folder of documents, counts and what was left out.")]
PagesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="WARC or HTML files, or a folder of them, instead of the plan's; repeatable."
    ),
]
UrlsOption = Annotated[
    str, typer.Option(help="A list of URLs with votes (.tsv, .jsonl), instead of the plan's.")
]
ExecutorOption = Annotated[
    str, typer.Option(help="What hands out the work, instead of the plan's: local, slurm or ray.")
]
AddressOption = Annotated[
    str, typer.Option(help="Of a Ray cluster, or auto; else one is started on this machine.")
]
WorkersOption = Annotated[
    int, typer.Option(help="Parts at work at once, instead of the plan's; 0 takes one a core.")
]


def build(
    plan: PlanArgument = Path("webtext"),
    out: OutOption = Path("out/corpus"),
    pages: PagesOption = None,
    urls: UrlsOption = "",
    executor: ExecutorOption = "",
    address: AddressOption = "",
    workers: WorkersOption = 0,
    as_json: JsonOption = False,
    show: ShowOption = False,
) -> None:
    """Build a corpus like WebText from pages that you have: WARC files, or a folder of HTML.
    Nothing is downloaded. Interrupted, the same command continues.
    """
    if show:
        show_plan(plan)
        return
    with count_progress("pages") as progress:
        counts = verbs.build_corpus(
            plan,
            out,
            pages=pages or (),
            urls=urls,
            executor=executor,
            address=address,
            workers=workers,
            progress=lambda what, done, total: progress(done, total, what),
        )
    _say_built(counts, out, as_json)


def _say_built(counts: BuildCounts, out: Path, as_json: bool) -> None:
    from staged.corpus.building.results import DOCUMENTS, LEFT_OUT, PAGE

    if as_json:
        typer.echo(json.dumps(to_json(counts), indent=2, ensure_ascii=False))
        return
    steps = [
        [step.name, f"{step.entered:,}", f"{step.left_out:,}", ", ".join(list(step.reasons)[:3])]
        for step in counts.steps
    ]
    print_table("Pages, step by step", ["step", "came", "left out", "mostly because"], steps)
    for name, split in counts.splits.items():
        say(
            f"{name}: {counted(split.documents, 'document')} of {counted(split.sites, 'site')},"
            f" {counted(split.characters, 'character')}"
        )
    say(f"{out}: {DOCUMENTS}/, {PAGE}, {LEFT_OUT}")
