"""Commands that train detectors: train-detector, and transfer, the post's table of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from staged.commands.options.engines import (
    AddressOption,
    EngineOption,
    ShardOption,
    WorkersOption,
    engine_of,
)
from staged.commands.options.shared import PLAN, DeviceOption, PlanArgument, ThreadsOption
from staged.pages.figures import figure, percent
from staged.plans.shipped import find_plan
from staged.progress import NamedProgress
from staged.screen import count_progress, print_table, say
from staged.storage.json_files import read_json
from staged.verbs import detectors as verbs

OutOption = Annotated[
    Path | None,
    typer.Option(
        help=(
            "Folder of all that is made, out/PLAN by default; the finished detector is its"
            " `detector`."
        )
    ),
]


def train_detector(
    plan: PlanArgument = Path("evidence"),
    out: OutOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
    threads: ThreadsOption = 0,
) -> None:
    """Train a detector like `evidence` by a plan, or one of an earlier kind. Interrupted, the same
    command continues.
    """
    from staged.training.readers.plan import is_of_readers

    with count_progress("texts") as progress:
        detector = verbs.train_detector(
            plan,
            out,
            device=device,
            engine=engine_of(engine, address, workers, shard, device=device),
            progress=_named(progress),
        )
    facts = read_json(detector / "facts.json")
    (_print_readers if is_of_readers(find_plan(plan)) else _print_evidence)(facts)
    say(f"detector: {detector}")


def _named(progress: Any) -> NamedProgress:
    """A bar that says of which piece of work it is."""
    return lambda what, done, total: progress(done, total, what)


ReadersPlanArgument = Annotated[
    Path, typer.Argument(help=f"The plan of a detector of several readers: {PLAN}.")
]
WorkOption = Annotated[
    Path | None,
    typer.Option(
        help=(
            "Where `train-detector` of this plan keeps its samples and numbers, out/PLAN by"
            " default."
        )
    ),
]
TablesOption = Annotated[
    Path, typer.Option(help="Folder of transfer.json, its tables and its pictures.")
]


def transfer(
    plan: ReadersPlanArgument = Path("evidence"),
    work: WorkOption = None,
    out: TablesOption = Path("out/transfer"),
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """How a detector trained on one family of generators, kind of text or year finds the others:
    the post's table. Interrupted, the same command continues.
    """
    from staged.training.transfer import VIEWS

    with count_progress("texts") as progress:
        cells = verbs.transfer(plan, out, work=work, device=device, progress=_named(progress))
    for view, name in VIEWS.items():
        of_view = [cell for cell in cells if cell.view == view]
        columns = list(dict.fromkeys(cell.tested_on for cell in of_view))
        rows = [
            (row, *(f"{cell.auroc:.3f}" for cell in of_view if cell.trained_on == row))
            for row in dict.fromkeys(cell.trained_on for cell in of_view)
        ]
        print_table(f"AUROC by {name}: trained on (row), tested on (column)", ("", *columns), rows)
    say(f"with intervals: {out / 'transfer.md'}")


def _print_readers(facts: dict[str, Any]) -> None:
    whole = "of all readers"
    areas = [
        (
            row["machine"],
            f"{row['n_machine']:,}",
            figure(row["auroc"], row["low"], row["high"], form=".3f"),
        )
        for row in facts["auroc"]
        if row["score"] == whole
    ]
    title = "Sources that no reader learned from: AUROC [95% interval]"
    print_table(title, ("machine texts", "n machine", "AUROC"), areas)
    flagged = [
        (
            row["source"],
            row["kind"],
            f"{row['n']:,}",
            percent(row["rate"], row["low"], row["high"], unit="%"),
        )
        for row in facts["flagged"][whole]
        if row["n"]
    ]
    header = ("human texts", "kind", "n", "called machine at 1%")
    print_table("Human texts by a calibration without their source [95% interval]", header, flagged)


def _print_evidence(facts: dict[str, Any]) -> None:
    from staged.detectors.kinds.features import FEATURES

    rows = [
        (
            row["machine"],
            row["score"],
            f"{row['n_machine']:,}",
            figure(row["auroc"], row["low"], row["high"], form=".3f"),
        )
        for row in facts["auroc"]
        if row["score"] == "fast-detectgpt" or row["score"] not in FEATURES
    ]
    header = ("machine texts", "score", "n machine", "AUROC")
    print_table("Held-out sources: AUROC [95% interval]", header, rows)
    if not rows:
        say("none: too few machine texts are kept for tests; let the plan's generators write more")
    _print_achieved(facts["achieved"])


def _print_achieved(achieved: dict[str, Any]) -> None:
    """A row a corpus, over all lengths; nominal rates across."""
    rows = [
        (
            rates[0]["domain"],
            f"{rates[0]['n']:,}",
            *(percent(rate["rate"], rate["low"], rate["high"], unit="%") for rate in rates),
        )
        for rates in zip(*achieved.values(), strict=True)
        if rates[0]["length"] == "all"
    ]
    nominal = (f"called machine at {100 * float(fpr):g}%" for fpr in achieved)
    title = "Human texts that had no part in it [95% interval]"
    print_table(title, ("human texts", "n", *nominal), rows)
