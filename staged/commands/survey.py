"""Commands that ask people: survey make, survey tally."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staged.commands.options import MODELS, DeviceOption, Group, ThreadsOption
from staged.pages.figures import counted, figure
from staged.screen import count_progress, say
from staged.verbs import studies as verbs

app = typer.Typer(
    name="survey",
    cls=Group,
    no_args_is_help=True,
    help="Ask people how credible models' texts are, without telling them whose they are.",
)


@app.command()
def make(
    models: Annotated[
        list[str],
        typer.Argument(help=f"Models to compare, smallest first: {MODELS}.", metavar="MODEL…"),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder for sheets, their key and the texts; a killed run continues."),
    ] = Path("out/survey"),
    sheets: Annotated[int, typer.Option(help="People who will answer, one sheet each.")] = 20,
    each: Annotated[int, typer.Option(help="Texts of each model on a sheet.")] = 2,
    length: Annotated[
        int,
        typer.Option(
            help="Tokens that a model adds at most; its last unfinished sentence is cut off."
        ),
    ] = 150,
    method: Annotated[
        str, typer.Option(help="How tokens are drawn, as in staged sample.")
    ] = "nucleus",
    sentences: Annotated[
        str,
        typer.Option(
            help=(
                "Opening sentences of your own, one a line; else from presidential messages kept"
                " for tests."
            )
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Everything random depends on it.")] = 1,
    batch: Annotated[int, typer.Option(help="Texts computed at once.")] = 64,
    precision: Annotated[
        str, typer.Option(help="bf16, fp32 or int8; by default bf16 where the processor has it.")
    ] = "",
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """Make a blinded questionnaire: one sheet a person, as CSV and for print, and the key that
    nobody who rates should see.
    """
    from staged.model.devices import chosen_device
    from staged.survey.plan import SurveySettings
    from staged.survey.results import KEY

    settings = SurveySettings(
        tuple(models),
        sheets,
        each,
        length,
        method,
        sentences,
        seed,
        batch,
        precision,
        chosen_device(device, precision),
    )
    with count_progress("texts") as progress:
        made = verbs.make_survey(settings, out, progress=progress)
    said = (
        f"{out / 'sheets'}: {made} sheets of {settings.texts} texts; keep {out / KEY} from those"
        " who rate"
    )
    say(said)


@app.command()
def tally(
    folder: Annotated[Path, typer.Argument(help="Folder of a questionnaire.", metavar="DIR")],
    answers: Annotated[
        list[Path], typer.Argument(help="Filled-in sheets, CSV files.", metavar="ANSWERS.csv…")
    ],
) -> None:
    """Count people's ratings into survey.json and survey.md, which cards and release gates read."""
    from staged.survey.results import SURVEY

    result = verbs.tally_survey(folder, answers)
    for one in result.models:
        index = figure(one.index, one.low, one.high, form=".2f")
        line = (
            f"{one.model}: {index}, n = {counted(one.respondents, 'respondent')},"
            f" {counted(one.texts, 'text')}"
        )
        say(line)
    for sentence in result.sentences:
        say(sentence.text)
    say(f"{folder}: {SURVEY}, survey.md")
