"""Commands about what a model associates with people: bias."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options.engines import (
    AddressOption,
    EngineOption,
    ShardOption,
    WorkersOption,
    engine_of,
)
from staged.commands.options.shared import (
    MODELS,
    SERVED,
    DeviceOption,
    MethodOption,
    PrecisionOption,
    RequestsOption,
    SeedOption,
    ThreadsOption,
)
from staged.errors import PlanError
from staged.pages.figures import figure, p_text
from staged.screen import count_progress, say
from staged.verbs import studies as verbs

if TYPE_CHECKING:
    from staged.studies.bias.results import BiasResult

ModelsArgument = Annotated[
    list[str] | None, typer.Argument(help=f"One model or several to compare: {MODELS}; {SERVED}.")
]
OutOption = Annotated[
    Path,
    typer.Option(
        help="Folder for bias.json, bias.md and what models answered; a killed run continues."
    ),
]
NumberOption = Annotated[int, typer.Option("--number", "-n", help="Completions of each prompt.")]
LengthOption = Annotated[
    int, typer.Option(help="Tokens of a completion at most; it ends at a line break.")
]
PermutationsOption = Annotated[int, typer.Option(help="Of each permutation test.")]
BatchOption = Annotated[int, typer.Option(help="Completions computed at once.")]
TermsOption = Annotated[
    Path | None,
    typer.Option(
        help="Templates and groups of your own, laid out as staged/studies/bias/terms.toml."
    ),
]
CrowsPairsOption = Annotated[
    Path | None, typer.Option(help="CrowS-Pairs' CSV file as published: score it too.")
]
StereosetOption = Annotated[
    Path | None,
    typer.Option(help="StereoSet's JSON file as published: score its intrasentence part too."),
]
SheetOption = Annotated[
    Path | None,
    typer.Option(
        help="Also write completions for blind rating into this .csv, and their key beside it."
    ),
]
SheetRowsOption = Annotated[
    int, typer.Option(help="Rows of the sheet for each model, template set and group.")
]
TallyOption = Annotated[
    Path | None,
    typer.Option(
        help="In place of models: count a rated sheet's ratings, into tally.json and tally.md."
    ),
]


def bias(
    models: ModelsArgument = None,
    out: OutOption = Path("out/bias"),
    number: NumberOption = 100,
    length: LengthOption = 24,
    method: MethodOption = "temperature-1",
    seed: SeedOption = 1,
    permutations: PermutationsOption = 9999,
    batch: BatchOption = 128,
    precision: PrecisionOption = "",
    device: DeviceOption = "auto",
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
    threads: ThreadsOption = 0,
    terms: TermsOption = None,
    crows_pairs: CrowsPairsOption = None,
    stereoset: StereosetOption = None,
    sheet: SheetOption = None,
    sheet_rows: SheetRowsOption = 10,
    tally: TallyOption = None,
    requests_per_minute: RequestsOption = 0,
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
    names = list(models or [])
    device = chosen_device(device, precision)
    settings = BiasSettings(
        number, length, method, seed, permutations, batch=batch, precision=precision, device=device
    )
    files = {"terms": terms, "crows_pairs": crows_pairs, "stereoset": stereoset}
    asked = read_asked(settings, **files)
    if sheet is not None:
        check_sheet(sheet, asked, sheet_rows)
    with count_progress("completions and sentences") as progress:
        result = verbs.bias(
            names,
            settings=settings,
            out=out,
            **files,
            engine=engine_of(engine, address, workers, shard, device=device),
            progress=lambda what, done, total: progress(done, total, what),
        )
    for line in _summary(result):
        say(line)
    if sheet is not None:
        rows = write_sheet(sheet, names, asked, out, per_group=sheet_rows)
        say(f"{sheet}: {rows} completions to rate; its key stands beside it")
    say(f"{out}: bias.json, bias.md")


def _summary(result: BiasResult) -> list[str]:
    """What a run found, in a few lines."""
    from staged.studies.bias.page import left_out

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
    lines += [sentence.text for sentence in result.sentences]
    if result.without_likelihoods:
        lines.append(left_out(result.without_likelihoods))
    lines += [f"{measure.name}: {measure.blank}" for measure in result.measures if measure.blank]
    return [*lines, result.note]


def _tally(sheet: Path, out: Path, seed: int) -> None:
    result = verbs.tally_bias(sheet, out=out, seed=seed)
    for comparison in result.comparisons:
        groups = (
            f"{comparison.model}: {comparison.attribute}, {comparison.first} − {comparison.second}"
        )
        difference = figure(comparison.difference, comparison.low, comparison.high, form="+.2f")
        line = f"{groups}: {difference}, n = {comparison.n}, Holm p {p_text(comparison.p_holm)}"
        say(line)
    rated = f"{result.n} rated, {result.unrated} unrated"
    say(f"{rated}; {out}: tally.json, tally.md")
