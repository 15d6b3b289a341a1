"""Samples that a longer run needs: made once, found again by a killed run that continues."""

from __future__ import annotations

import shutil
from pathlib import Path

from staged.engines.choice import HERE, Engine
from staged.model.checkpoints import model_folder, own_folder
from staged.model.devices import best_precision
from staged.model.formats.layouts import files_beside_weights, weight_files
from staged.model.sources.served import parse_served
from staged.progress import Progress
from staged.samples.chat.template import template_of
from staged.samples.dataset import SampleSettings, write_samples
from staged.samples.writers.route import library
from staged.storage.stage_folders import build

FILE = "samples.jsonl"


def keep_file(out: Path, settings: SampleSettings, *, progress: Progress) -> None:
    """`write_samples` within a stage of other files, unless the file is there; what the settings
    are is the stage's to say.
    """
    if not out.is_file():
        write_samples(out, settings, progress=progress)
    # killed just before it was removed
    shutil.rmtree(out.with_name(f"{out.name}.blocks"), ignore_errors=True)


def keep_folder(
    folder: Path, settings: SampleSettings, *, engine: Engine = HERE, progress: Progress
) -> None:
    """`write_samples` as a stage of its own, FILE in its folder: redone where settings, the model's
    files or the precision differ.
    """

    def write(place: Path) -> None:
        write_samples(place / FILE, settings, engine=engine, progress=progress)

    served = parse_served(settings.model)
    computed_in = (
        served.computed_by if served else settings.precision or best_precision(settings.device)
    )
    wanted = settings.deciding() | {"computed_in": computed_in}
    if settings.chat and not served:
        wanted |= {"template": template_of(settings.model)}
    build(folder, write, settings=wanted, inputs=_files(settings.model))


def check_at_hand(model: str) -> None:
    """Refuse a model that cannot write, before minutes of work on others. It is downloaded where it
    has to be; a server is asked when its turn comes.

    Raises:
        CheckpointError: there is no such model, or no library that speaks to servers.
    """
    if served := parse_served(model):
        library(served)
    else:
        model_folder(model)


def weights_of(model: str) -> dict[str, Path]:
    """A model's weight files, as a stage's inputs; none of one behind a server."""
    if parse_served(model):
        return {}
    return {
        f"weights {number}": path for number, path in enumerate(weight_files(model_folder(model)))
    }


def _files(model: str) -> dict[str, Path]:
    """All files of a model that decide its texts, as a stage's inputs."""
    return weights_of(model) | (
        {} if parse_served(model) else files_beside_weights(model_folder(model))
    )


def own_weights(model: str) -> dict[str, Path]:
    """`weights_of` a model that is a user's folder, which may be trained again; another's name says
    what it is.
    """
    return weights_of(model) if own_folder(model) else {}
