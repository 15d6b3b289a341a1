"""The command line: one sub-command a verb, in `commands/`; each parses, calls its verb, and shows
what came of it.

studies    study, report
sample     sample
models     train, convert, evaluate-lm
detect     detect
calibrate  calibrate, stress
raid       evaluate, raid
serve      serve
bias       bias
corpus     corpus build, corpus dedup
survey     survey make, survey tally
release    card; release status, advance, verify, keygen, upload
provenance keys new, list, rotate, revoke; sign; verify;
           fingerprints add, find, delete, prune, status
tokenize   tokenize
train_detector   train-detector, transfer
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from staged import __version__
from staged.commands import (
    bias,
    calibrate,
    detect,
    models,
    raid,
    release,
    sample,
    serve,
    studies,
    survey,
    tokenize,
    train_detector,
)
from staged.commands.corpus import group as corpus
from staged.commands.options import shared as options
from staged.commands.provenance import fingerprints, keys, sign, verify
from staged.errors import ShardDone, StagedError
from staged.notes import LOGGER
from staged.screen import Notes, errors, open_outputs, say, visible
from staged.threads import wait_passively

Member = Callable[..., None] | typer.Typer
GROUPS: dict[str, tuple[Member, ...]] = {  # in the order in which --help shows them
    "Study": (studies.study, studies.report, bias.bias, survey.app),
    "A text in hand": (
        detect.detect,
        calibrate.calibrate,
        calibrate.stress,
        raid.evaluate,
        raid.raid,
        serve.serve,
    ),
    "Detectors": (train_detector.train_detector, train_detector.transfer),
    "GPT-2 and other models": (
        models.train,
        tokenize.tokenize,
        sample.sample,
        models.convert,
        models.evaluate_lm,
    ),
    "Human text": (corpus.app,),
    "Provenance": (keys.app, sign.sign, verify.verify, fingerprints.app),
    "Release": (release.card, release.app),
}
INTERRUPTED = 130


class Grouped(options.Group):
    """Lists commands by what they are for."""

    def sections(self, ctx: Any) -> dict[str, list[str]]:
        """As `GROUPS` has them."""
        return {
            title: [name_of(command) for command in members] for title, members in GROUPS.items()
        }


def name_of(command: Member) -> str:
    """What is typed: a function's name with hyphens, a group's own."""
    return (
        str(command.info.name)
        if isinstance(command, typer.Typer)
        else command.__name__.replace("_", "-")
    )


app = typer.Typer(
    cls=Grouped,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _version(is_given: bool) -> None:
    if is_given:
        say(__version__)
        raise typer.Exit


@app.callback()
def staged(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Release a language model the way GPT-2 1.5B was released: with its weights, its detector, its
    evidence and its card.
    """


for member in (command for members in GROUPS.values() for command in members):
    if isinstance(member, typer.Typer):
        app.add_typer(member)
    else:
        app.command(name=name_of(member))(member)
for group in (app, corpus.app, survey.app, keys.app, fingerprints.app, release.app):
    for info in group.registered_commands:
        info.cls = options.Command


def main() -> None:
    """Run the command line; a StagedError becomes one sentence and exit code 2, and so does an
    output that cannot be written.
    """
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
    except ShardDone as done:
        say(str(done))
    except StagedError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.filename or 'standard output'}: {error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        from staged.model.memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        _refuse(
            "not enough memory; lower --batch where the command has it, close other programs, or"
            " take a smaller model"
        )
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            errors.print(
                "staged: interrupted; a command that writes files continues when it is given again",
                highlight=False,
                soft_wrap=True,
            )
        raise


def _refuse(sentence: str) -> NoReturn:
    errors.print(
        f"staged: {visible(sentence)}",
        style="bold red",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    sys.exit(2)


if __name__ == "__main__":
    main()
