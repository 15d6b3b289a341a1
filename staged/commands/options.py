"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staged.threads import use_threads

MODELS = "mini-s … mini-xl, 124M … 1558M, a folder in any published layout, or a hub name (docs/models.md)"

DetectorOption = Annotated[
    str,
    typer.Option(
        help="evidence, a former one such as evidence-2026-11, a zero-shot score such as fast-detectgpt@gpt2, a released one, "
        "a detector's folder, or a two-label classifier on the hub (docs/detectors.md)."
    ),
]
CalibrationOption = Annotated[
    Path | None, typer.Option(help="Judge by this file, which `staged calibrate` wrote, instead of the detector's own.")
]
LiteralOption = Annotated[
    bool | None,
    typer.Option("--literal-end-of-text", help="Take end-of-text marks in a file as parts of its text; else they separate texts."),
]
DeviceOption = Annotated[str, typer.Option(help="Where it computes: cpu, cuda, or auto, which takes a GPU where there is one.")]


def _use_threads(threads: int) -> int:
    use_threads(threads)
    return threads


ThreadsOption = Annotated[
    int,
    typer.Option(
        callback=_use_threads, help="Threads that compute, at most one a processor; 0 takes OMP_NUM_THREADS, else one a processor."
    ),
]
