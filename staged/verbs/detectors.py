"""Verbs that train detectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from staged.engines.choice import HERE, Engine
from staged.errors import PlanError
from staged.progress import NamedProgress

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no model's library
    from staged.training.transfer import Transfer

__all__ = ["train_detector", "transfer"]


def train_detector(
    plan: str | Path = "evidence",
    out: str | Path | None = None,
    *,
    device: str = "auto",
    engine: Engine = HERE,
    progress: NamedProgress = lambda what, done, total: None,
) -> Path:
    """Train a detector like `evidence` by a plan, or one of an earlier kind.
    A killed call continues.

    Args:
        plan: the name of one that ships, or a TOML file.
        out: the folder of all that is made, `out/PLAN` by default.
        device: where texts are generated and read.
        engine: what generates and reads them.
        progress: called with (what is done, how much of it, all of it).

    Returns:
        The detector's folder, as `detect` takes it.

    Raises:
        PlanError, CorpusError, CheckpointError, SamplingError: the plan, or what it names.
        ArtifactError: the place cannot be written.

    Example:
        >>> import staged
        >>> folder = staged.train_detector("my.toml", "out/mine")  # doctest: +SKIP
        >>> staged.detect("a text", detector=str(folder))  # doctest: +SKIP
    """
    from staged.plans.shipped import DETECTORS, find_plan
    from staged.training.evidence.plan import read_detector_plan
    from staged.training.evidence.training import build_detector
    from staged.training.readers.detector import build_readers
    from staged.training.readers.plan import is_of_readers, read_readers

    file = find_plan(plan, command=DETECTORS)
    place = Path(out) if out is not None else Path("out", file.stem)
    if is_of_readers(file):
        build_readers(place, read_readers(file), device=device, engine=engine, progress=progress)
    elif engine.shard:
        raise PlanError(f"{file}: a plan of 2026-11 has no shards; give --workers")
    else:
        build_detector(
            place, read_detector_plan(file), device=device, engine=engine, progress=progress
        )
    return place / "detector"


def transfer(
    plan: str | Path = "evidence",
    out: str | Path = "out/transfer",
    *,
    work: str | Path | None = None,
    device: str = "auto",
    progress: NamedProgress = lambda what, done, total: None,
) -> list[Transfer]:
    """How a detector trained on one family of generators, kind of text or year finds the others. A
    killed call continues.

    Args:
        plan: of a detector of several readers.
        work: where `train_detector` of this plan keeps its samples and numbers, `out/PLAN` by
            default.
        out: receives transfer.json, its tables and its pictures.

    Raises:
        As `train_detector`.
    """
    from staged.plans.shipped import DETECTORS, find_plan
    from staged.training.readers.plan import read_readers
    from staged.training.transfer import build_transfer

    file = find_plan(plan, command=DETECTORS)
    return build_transfer(
        Path(out),
        read_readers(file),
        work=Path(work) if work is not None else Path("out", file.stem),
        device=device,
        progress=progress,
    )
