"""Commands that ask people: survey make, survey tally."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staged.commands.options.shared import (
    MODELS,
    SERVED,
    DeviceOption,
    Group,
    MethodOption,
    PrecisionOption,
    RequestsOption,
    SeedOption,
    ThreadsOption,
)
from staged.pages.figures import counted, figure
from staged.screen import count_progress, say
from staged.verbs import studies as verbs

app = typer.Typer(
    name="survey",
    cls=Group,
    no_args_is_help=True,
    help="Ask people how credible models' texts are, without telling them whose they are.",
)

ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        help=f"Models to compare, smallest first: {MODELS}; {SERVED}.", metavar="MODEL…"
    ),
]
OutOption = Annotated[
    Path, typer.Option(help="Folder for sheets, their key and the texts; a killed run continues.")
]
SheetsOption = Annotated[int, typer.Option(help="People who will answer, one sheet each.")]
EachOption = Annotated[int, typer.Option(help="Texts of each model on a sheet.")]
LengthOption = Annotated[
    int,
    typer.Option(help="Tokens that a model adds at most; its last unfinished sentence is cut off."),
]
SentencesOption = Annotated[
    str,
    typer.Option(
        help=(
            "Opening sentences of your own, one a line; else from presidential messages kept for"
            " tests."
        )
    ),
]
BatchOption = Annotated[int, typer.Option(help="Texts computed at once.")]


@app.command()
def make(
    models: ModelsArgument,
    out: OutOption = Path("out/survey"),
    sheets: SheetsOption = 20,
    each: EachOption = 2,
    length: LengthOption = 150,
    method: MethodOption = "nucleus",
    sentences: SentencesOption = "",
    seed: SeedOption = 1,
    batch: BatchOption = 64,
    precision: PrecisionOption = "",
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    requests_per_minute: RequestsOption = 0,
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
        count = verbs.make_survey(settings, out, progress=progress)
    say(
        f"{out / 'sheets'}: {count} sheets of {settings.texts} texts; keep {out / KEY} from"
        " those who rate"
    )


FolderArgument = Annotated[Path, typer.Argument(help="Folder of a questionnaire.", metavar="DIR")]
AnswersArgument = Annotated[
    list[Path], typer.Argument(help="Filled-in sheets, CSV files.", metavar="ANSWERS.csv…")
]


@app.command()
def tally(
    folder: FolderArgument,
    answers: AnswersArgument,
) -> None:
    """Count people's ratings into survey.json and survey.md, which cards and release gates read."""
    from staged.survey.results import SURVEY

    result = verbs.tally_survey(folder, answers)
    for row in result.models:
        index = figure(row.index, row.low, row.high, form=".2f")
        line = (
            f"{row.model}: {index}, n = {counted(row.respondents, 'respondent')},"
            f" {counted(row.texts, 'text')}"
        )
        say(line)
    for sentence in result.sentences:
        say(sentence.text)
    say(f"{folder}: {SURVEY}, survey.md")
