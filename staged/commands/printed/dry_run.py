"""What a study's dry run shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from staged.screen import print_table, say

if TYPE_CHECKING:
    from staged.studies.costs.dry_run import DryRun


def print_dry_run(run: DryRun, *, as_json: bool) -> None:
    """One JSON object; or the stages by kind, the work by model, and what to say beside these."""
    if as_json:
        typer.echo(json.dumps(run.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    kinds = [(k.kind, k.stages, k.blocks, k.tokens, k.hours) for k in run.kinds]
    total = ("all", run.stages, run.blocks, run.tokens, run.hours)
    header = ("", "stages", "blocks", "tokens, at most", "hours")
    rows = [(name, *map(_figure, numbers)) for name, *numbers in (*kinds, total)]
    print_table(f"{run.title}, on {run.devices.said}", header, rows)
    rows = [
        (f"{row.work} {row.model}", *map(_figure, (row.texts, row.tokens, row.hours)))
        for row in run.work
    ]
    print_table("of it, by model", ("work", "texts", "tokens, at most", "hours"), rows)
    for sentence in run.sentences():
        say(sentence)


def _figure(number: float | None) -> str:
    if number is None:
        return "–"
    if isinstance(number, int):
        return f"{number:,}"
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"
