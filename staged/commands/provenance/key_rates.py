"""What `staged calibrate --watermark` does: a key's own rate on human texts, measured and shown."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from staged.errors import PlanError
from staged.pages.figures import counted, percent
from staged.places.mirror import place
from staged.screen import count_progress, print_table, say
from staged.verbs import error_rates as verbs

if TYPE_CHECKING:
    from staged.detectors.calibration.key_rates import KeyRate, KeyRates


def calibrate_watermark(
    key: str,
    human: str,
    others: tuple[str | None, ...],
    fpr: float,
    out: Path | None,
    literal: bool,
    *,
    as_json: bool,
) -> None:
    """Measure the key, write what came of it where a place is named, and show it.

    Args:
        others: what the command was given of other texts, which this measures nothing on.

    Raises:
        PlanError: there are such; and as `verbs.calibrate_watermark`.
    """
    if any(others):
        raise PlanError(
            "calibrate: --watermark measures a key on --human alone; leave out --machine and"
            " --held-out"
        )
    with count_progress("texts") as progress:
        rates = verbs.calibrate_watermark(
            key, human, fpr=fpr, out=out, literal=literal, progress=progress
        )
    if as_json:
        typer.echo(json.dumps(rates.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    _print_key_rates(rates)
    if out is not None:
        say(f"\nrates: {place(out)}")


def _print_key_rates(rates: KeyRates) -> None:
    """A row a mark, kind of text and level, and what they say of the key."""
    header = ("scheme", "tokens of", "human texts", "p ≤", "n", "sources", "called marked", "rate")
    title = f"key {rates.key} on {counted(rates.documents, 'human text')}"
    print_table(title, header, list(map(_key_rate_line, rates.rates)))
    say("rate: with its 95% interval over sources; n: texts with enough tokens to be tested")
    if rates.is_above:
        say(
            f"key {rates.key} calls more human texts marked than its p-values say: make another"
            f" key, by staged keys rotate {shlex.quote(rates.key)}, and measure that",
            style="bold",
        )


def _key_rate_line(row: KeyRate) -> tuple[str, ...]:
    rate = percent(row.rate, row.low, row.high, digits=2, unit="%")
    numbers = (f"{number:,}" for number in (row.n, row.sources, row.flagged))
    above = " above" * row.is_above
    return row.scheme, row.tokenizer, row.texts, f"{row.level:g}", *numbers, f"{rate}{above}"
