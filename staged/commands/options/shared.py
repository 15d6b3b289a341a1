"""Options that several commands have, and what every command refuses before it starts: a value that
names nothing.

A variable of a script that is not set gives an empty value: `staged detect "$FILE"` would else
read, and `--out "$OUT"` write into, the folder in which the script happens to run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from staged.errors import PlanError
from staged.places.mirror import place, url_of
from staged.plans.shipped import find_plan, plan_text
from staged.samples.writers.pace import use_pace
from staged.threads import use_threads

MODELS = (
    "mini-s … mini-xl, 124M … 1558M, a folder in any published layout, or a hub name"
    " (docs/models.md)"
)

SERVED = "or openai:NAME@URL, a model behind a server"
PLAN = "a TOML file, or the name of one that ships with staged"
HUMAN_TEXT = (
    "Human text: a file or folder of a kind that docs/formats.md lists, such as .txt or .jsonl."
)
STORING = ("calibrate", "detect", "sample", "stress", "study")  # whose --out can be a URL
TEXTS = ("--prompt", "--stop")  # options whose values are no names
LONGEST_PART, LONGEST = 255, 4095  # bytes of a file's name, and of a path, on Linux

ModelArgument = Annotated[str, typer.Argument(help=f"{MODELS}.")]
PlanArgument = Annotated[Path, typer.Argument(help=f"The plan: {PLAN}.")]
DetectorOption = Annotated[
    str,
    typer.Option(
        help=(
            "evidence, a former one such as evidence-2026-11, a zero-shot score such as"
            " fast-detectgpt@gpt2, a released one, a detector's folder, or a two-label classifier"
            " on the hub (docs/detectors.md)."
        )
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        help="Judge by this file, which `staged calibrate` wrote, instead of the detector's own."
    ),
]
LiteralOption = Annotated[
    bool | None,
    typer.Option(
        "--literal-end-of-text",
        help="Take end-of-text marks in a file as parts of its text; else they separate texts.",
    ),
]
MethodOption = Annotated[str, typer.Option(help="How tokens are drawn, as in staged sample.")]
SeedOption = Annotated[int, typer.Option(help="Everything random depends on it.")]
PrecisionOption = Annotated[
    str, typer.Option(help="bf16, fp32 or int8; by default bf16 where the processor has it.")
]
ShowOption = Annotated[
    bool, typer.Option("--show", help="Print the plan itself: send it to a file, and edit it.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of tables.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where it computes: cpu, cuda, or auto, which takes a GPU where there is one."
    ),
]


def _use_threads(threads: int) -> int:
    use_threads(threads)
    return threads


ThreadsOption = Annotated[
    int,
    typer.Option(
        callback=_use_threads,
        help=(
            "Threads that compute, at most one a processor; 0 takes OMP_NUM_THREADS, else one a"
            " processor."
        ),
    ),
]


def _use_pace(per_minute: int) -> int:
    use_pace(per_minute)
    return per_minute


RequestsOption = Annotated[
    int,
    typer.Option(
        callback=_use_pace,
        help=(
            "Requests that a server is sent in a minute at most; 0 takes"
            " STAGED_REQUESTS_PER_MINUTE, else as many as it answers."
        ),
    ),
]


def show_plan(plan: Path | None) -> None:
    """Print a plan as it stands, comments and all.

    Raises:
        PlanError: none is named, or it cannot be read.
    """
    if plan is None:
        raise PlanError("--show prints a plan: name it")
    typer.echo(plan_text(find_plan(plan)), nl=False)


class Command(typer.core.TyperCommand):
    """A command that looks at what it was given before anything else."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises PlanError, as `refuse_no_names` and `refuse_urls`."""
        refuse_no_names(args)
        refuse_urls(str(ctx.info_name), args)
        return super().parse_args(ctx, args)


class Group(typer.core.TyperGroup):
    """Lists its commands, each with the whole first sentence of its help."""

    def sections(self, ctx: Any) -> dict[str, list[str]]:
        """Title → names of commands."""
        return {"Commands": self.list_commands(ctx)}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """What `--help` shows of the commands."""
        for title, names in self.sections(ctx).items():
            with formatter.section(title):
                commands = ((name, self.get_command(ctx, name)) for name in names)
                formatter.write_dl(
                    [
                        (name, first_sentence(command.help or ""))
                        for name, command in commands
                        if command
                    ]
                )


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends one, in one line."""
    line = " ".join(text.split())
    return line.split(". ")[0].rstrip(".") + "."


def refuse_no_names(args: Sequence[str]) -> None:
    """Refuse values that can name nothing.

    Raises:
        PlanError: one is empty or blank, holds a NUL, or is longer than a path may be.
    """
    for option, value in _values(args):
        if option in TEXTS:
            continue
        where = f"{option}: " if option else ""
        if not value.strip():
            raise PlanError(
                f"{where}an empty name was given, perhaps by a variable that is not set; give a"
                " name, or leave it out"
            )
        if "\0" in value:
            raise PlanError(f"{where}{value[:40]!r} holds a NUL, which no name does; give another")
        if len(value.encode(errors="surrogateescape")) > LONGEST or any(
            len(part.encode(errors="surrogateescape")) > LONGEST_PART for part in value.split("/")
        ):
            raise PlanError(
                f"{where}{value[:40]!r} … is longer than a file's name can be; give a shorter one"
            )


def refuse_urls(command: str, args: Sequence[str]) -> None:
    """Refuse a URL to write to, of a command that writes to local places alone.

    Raises:
        PlanError: it is one.
    """
    for option, value in _values(args):
        if option == "--out" and command not in STORING and url_of(place(value)):
            raise PlanError(
                f"{value}: staged {command} writes to local places alone; name one, and copy what"
                " it makes"
            )


def _values(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option before it or with it, value) of all that is given; the option is empty where the
    value stands alone.
    """
    option = ""
    for argument in args:
        name, equals, value = argument.partition("=")
        if argument.startswith("-") and argument.strip("-"):
            option = name
            if equals:
                yield name, value
        else:
            yield option, argument
            option = ""
