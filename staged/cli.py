"""The command line: one sub-command a verb, in `commands/`; each parses, calls its verb, and shows what came of it.

studies    study, report
sample     sample
models     train, convert, evaluate-lm
detect     detect, train-detector
calibrate  calibrate, stress
raid       evaluate
serve      serve
bias       bias
survey     survey make, survey tally
release    card; release status, advance, verify, keygen, upload
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Annotated, NoReturn

import typer

from staged import __version__
from staged.commands import bias, calibrate, card, detect, models, options, raid, release, sample, serve, studies, survey
from staged.errors import StagedError
from staged.notes import LOGGER
from staged.screen import Notes, errors, open_outputs, say, visible
from staged.threads import wait_passively

COMMANDS = (
    *(studies.study, studies.report),
    *(models.train, sample.sample, models.convert, models.evaluate_lm),
    *(detect.detect, detect.train_detector, detect.transfer, calibrate.calibrate, calibrate.stress, raid.evaluate, serve.serve),
    bias.bias,
    card.card,
)
GROUPS = {"survey": survey.app, "release": release.app}
INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback()
def staged(
    _: Annotated[bool, typer.Option("--version", help="Print the version and stop.", callback=_version, is_eager=True)] = False,
) -> None:
    """Release a language model the way GPT-2 1.5B was released: with its weights, its detector, its evidence and its card."""


for command in COMMANDS:
    app.command(name=command.__name__.replace("_", "-"))(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)
for each in (app, *GROUPS.values()):
    for info in each.registered_commands:
        info.cls = options.Command


def main() -> None:
    """Run the command line; a StagedError becomes one sentence and exit code 2, and so does an output that cannot be written."""
    wait_passively()
    open_outputs()
    if sys.stdin is None:  # closed by whoever started this: nothing comes from there
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    logging.getLogger(LOGGER).addHandler(Notes())
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a failure can still be said
    except StagedError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.filename or 'standard output'}: {error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        from staged.model.memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        _refuse("not enough memory; lower --batch where the command has it, close other programs, or take a smaller model")
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            errors.print(
                "staged: interrupted; a command that writes files continues when it is given again", highlight=False, soft_wrap=True
            )
        raise


def _refuse(sentence: str) -> NoReturn:
    errors.print(f"staged: {visible(sentence)}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
