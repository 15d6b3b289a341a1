"""The commands that make a corpus, as one group: corpus build, corpus dedup."""

from __future__ import annotations

import typer

from staged.commands.corpus.build import build
from staged.commands.corpus.dedup import dedup
from staged.commands.options.shared import Group

app = typer.Typer(
    name="corpus",
    cls=Group,
    no_args_is_help=True,
    help="Make a corpus of pages that you have, and rows without their repeats.",
)
for command in (build, dedup):
    app.command()(command)
