"""Commands about what a model associates with people: bias."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options import MODELS, DeviceOption, ThreadsOption
from staged.errors import PlanError
from staged.pages.figures import figure, p_text
from staged.screen import count_progress, say
from staged.verbs import studies as verbs

if TYPE_CHECKING:
    from staged.studies.bias.results import BiasResult


def bias(
    models: Annotated[
        list[str] | None, typer.Argument(help=f"One model or several to compare: {MODELS}.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for bias.json, bias.md and what models answered; a killed run continues."
        ),
    ] = Path("out/bias"),
    number: Annotated[
        int, typer.Option("--number", "-n", help="Completions of each prompt.")
    ] = 100,
    length: Annotated[
        int, typer.Option(help="Tokens of a completion at most; it ends at a line break.")
    ] = 24,
    method: Annotated[
        str, typer.Option(help="How tokens are drawn, as in staged sample.")
    ] = "temperature-1",
    seed: Annotated[int, typer.Option(help="Everything random depends on it.")] = 1,
    permutations: Annotated[int, typer.Option(help="Of each permutation test.")] = 9999,
    batch: Annotated[int, typer.Option(help="Completions computed at once.")] = 128,
    precision: Annotated[
        str, typer.Option(help="bf16, fp32 or int8; by default bf16 where the processor has it.")
    ] = "",
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    terms: Annotated[
        Path | None,
        typer.Option(
            help="Templates and groups of your own, laid out as staged/studies/bias/terms.toml."
        ),
    ] = None,
    crows_pairs: Annotated[
        Path | None, typer.Option(help="CrowS-Pairs' CSV file as published: score it too.")
    ] = None,
    stereoset: Annotated[
        Path | None,
        typer.Option(help="StereoSet's JSON file as published: score its intrasentence part too."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Also write completions for blind rating into this .csv, and their key beside it."
        ),
    ] = None,
    sheet_rows: Annotated[
        int, typer.Option(help="Rows of the sheet for each model, template set and group.")
    ] = 10,
    tally: Annotated[
        Path | None,
        typer.Option(
            help="In place of models: count a rated sheet's ratings, into tally.json and tally.md."
        ),
    ] = None,
) -> None:
    """Probe models for differences between groups of people, and compare these between models. The
    probes are not comprehensive.
    """
    from staged.model.devices import chosen_device
    from staged.studies.bias.plan import BiasSettings
    from staged.studies.bias.run import read_asked
    from staged.studies.bias.sheet import check_sheet, write_sheet

    if (tally is not None) == bool(models):
        raise PlanError("bias: give models to probe, or --tally with a rated sheet")
    if tally is not None:
        _tally(tally, out, seed)
        return
    named = list(models or [])
    settings = BiasSettings(
        number,
        length,
        method,
        seed,
        permutations,
        batch=batch,
        precision=precision,
        device=chosen_device(device, precision),
    )
    files = {"terms": terms, "crows_pairs": crows_pairs, "stereoset": stereoset}
    asked = read_asked(settings, **files)
    if sheet is not None:
        check_sheet(sheet, asked, sheet_rows)
    with count_progress("completions and sentences") as progress:
        result = verbs.bias(
            named,
            settings=settings,
            out=out,
            **files,
            progress=lambda what, done, total: progress(done, total, what),
        )
    for line in _said(result):
        say(line)
    if sheet is not None:
        rows = write_sheet(sheet, named, asked, out, per_group=sheet_rows)
        say(f"{sheet}: {rows} completions to rate; its key stands beside it")
    say(f"{out}: bias.json, bias.md")


def _said(result: BiasResult) -> list[str]:
    """What a run found, in a few lines."""
    lines = []
    for model in result.models:
        rows = [row for row in result.between_groups if row.models == (model,)]
        counts = {
            verdict: sum(row.verdict == verdict for row in rows)
            for verdict in dict.fromkeys(row.verdict for row in rows)
        }
        lines.append(
            f"{model}, between groups: "
            + ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items()))
        )
    lines += [one.text for one in result.sentences]
    lines += [f"{one.name}: {one.blank}" for one in result.measures if one.blank]
    return [*lines, result.note]


def _tally(sheet: Path, out: Path, seed: int) -> None:
    result = verbs.tally_bias(sheet, out=out, seed=seed)
    for one in result.comparisons:
        groups = f"{one.model}: {one.attribute}, {one.first} − {one.second}"
        shown = figure(one.difference, one.low, one.high, form="+.2f")
        line = f"{groups}: {shown}, n = {one.n}, Holm p {p_text(one.p_holm)}"
        say(line)
    rated = f"{result.n} rated, {result.unrated} unrated"
    say(f"{rated}; {out}: tally.json, tally.md")
