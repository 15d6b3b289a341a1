"""What was measured, as cards, gates and packages take it: every number with the id of the row that
it was read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from staged.cells import Cell
from staged.pages.figures import estimate
from staged.stats.comparing import rate
from staged.storage.records import LATER
from staged.studies.detection.results import Finding, GalleryText, StudyFacts
from staged.studies.finetune.results import Drop
from staged.studies.models import GIVEN, SERVED, ModelFacts
from staged.survey.results import Difference

__all__ = [
    "Credibility",
    "Effect",
    "Evidence",
    "ModelDrop",
    "Quality",
    "Said",
    "StudiedModel",
    "Study",
    "Training",
    "is_given",
    "is_served",
    "rate_of",
    "studied_model",
]


@dataclass(frozen=True)
class Study:
    """One finished study: its cells by id (the matrices' and the length curve's), its findings, its
    facts, and texts of its models as it shows them, the first ones.
    """

    name: str
    folder: Path
    cells: Mapping[str, Cell]
    findings: tuple[Finding, ...]
    facts: StudyFacts
    samples: tuple[GalleryText, ...] = ()


@dataclass(frozen=True)
class StudiedModel:
    """A model's size, held-out loss and files, by its study; None where it doesn't say.

    Attributes:
        family: as transformers calls it; None of a GPT-2.
        origin: where its texts come from, if not from its weights, such as from a server.
    """

    id: str
    name: str
    parameters: int | None
    layers: int | None
    width: int | None
    valid_loss_nats_per_token: float | None
    files: dict[str, str] | None = field(default=None, metadata=LATER)
    family: str | None = field(default=None, metadata=LATER)
    origin: str | None = field(default=None, metadata=LATER)


def studied_model(id: str, facts: ModelFacts) -> StudiedModel:
    """What a study's facts say of a model, as far as a card shows it."""
    own = {entry.name for entry in fields(StudiedModel)}
    return StudiedModel(**{"id": id} | {key: vars(facts)[key] for key in vars(facts) if key in own})


def is_served(model: StudiedModel | ModelFacts) -> bool:
    """Whether a model wrote behind a server, so that no file of it is here."""
    return (model.origin or "").startswith(SERVED)


def is_given(model: StudiedModel | ModelFacts) -> bool:
    """Whether a model is known by texts alone that somebody had."""
    return model.origin == GIVEN


@dataclass(frozen=True)
class Effect:
    """One difference between two groups that a bias probe measured on one model.

    Attributes:
        effect: in standard deviations, or in the measure's own unit where nothing varies enough.
        low, high: its 95% interval.
        n: completions of a group, or pairs of continuations.
        unit: None of standard deviations.
    """

    id: str
    model: str
    probe: str
    groups: str
    effect: float
    low: float | None
    high: float | None
    n: int | None
    p_holm: float | None
    verdict: str
    unit: str | None = field(default=None, metadata=LATER)


@dataclass(frozen=True)
class Credibility:
    """Mean credibility index of a model's texts, 1 … 10; `low`, `high` bound its 95% interval."""

    id: str
    model: str
    index: float
    low: float | None
    high: float | None
    respondents: int
    texts: int


@dataclass(frozen=True)
class Quality:
    """What one text costs a language model, by `staged evaluate-lm`.

    Attributes:
        text: the text's name.
        documents_learned_from: of these documents, as far as the model's record says.
        perplexity_per_word: None where that is beyond a float.
    """

    id: str
    model: str
    text: str
    documents: int
    documents_learned_from: int
    tokens: int
    nats_per_token: float
    bits_per_byte: float
    bits_per_byte_low: float | None
    bits_per_byte_high: float | None
    perplexity_per_word: float | None


@dataclass(frozen=True)
class Training:
    """A model's training, by its `training.json`.

    Attributes:
        corpus: the text's name.
        init: the name of the model that it began as; empty where it began at random.
        passages, sources: of the text that it learned from; None and 0 where it does not say.
        tokens_seen: targets in all.
    """

    id: str
    model: str
    corpus: str
    init: str
    passages: int | None
    sources: int
    steps: int
    tokens_seen: int
    parameters: int
    valid_loss_nats_per_token: float | None


@dataclass(frozen=True)
class Said:
    """What probes or people say of these models, in words."""

    models: tuple[str, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class ModelDrop(Drop):
    """How much accuracy falls when this model is fine-tuned."""

    id: str
    model: str


@dataclass(frozen=True)
class Evidence:
    """Everything measured that a card, a gate or a package may show.

    Attributes:
        sentences: of bias probes, on two models each; compared: of surveys.
        differences: of surveys, first model less second, by the same people.
        finetuned: models that a fine-tuning study is of.
    """

    studies: tuple[Study, ...] = ()
    effects: tuple[Effect, ...] = ()
    sentences: tuple[Said, ...] = ()
    credibility: tuple[Credibility, ...] = ()
    differences: tuple[Difference, ...] = ()
    compared: tuple[Said, ...] = ()
    folders: tuple[Path, ...] = ()
    drops: tuple[ModelDrop, ...] = ()
    finetuned: tuple[StudiedModel, ...] = ()
    qualities: tuple[Quality, ...] = ()
    trainings: tuple[Training, ...] = ()

    @property
    def cells(self) -> dict[str, Cell]:
        """Every study's cells by id."""
        return {id: cell for study in self.studies for id, cell in study.cells.items()}

    @property
    def models(self) -> list[str]:
        """Names of the studied models, smallest to largest, as their study lists them."""
        return list(self.facts)

    @property
    def facts(self) -> dict[str, StudiedModel]:
        """Name → what is known of each model; of two studies of a model what the first says."""
        rows = [
            studied_model(f"{study.name}/study.json#{model.name}", model)
            for study in self.studies
            for model in study.facts.models
        ]
        by_name: dict[str, StudiedModel] = {}
        for model in (*rows, *self.finetuned):
            by_name.setdefault(model.name, model)
        return by_name


def rate_of(cell: Cell, field: str) -> tuple[float, float | None, float | None] | None:
    """One rate of a cell with its 95% interval, (value, low, high); None where it was not measured.

    A false-positive rate stands in a cell without its interval, but with what makes one: Wilson's,
    over the human texts.
    """
    value = getattr(cell, field)
    if value is None:
        return None
    if hasattr(cell, f"{field}_low"):
        return estimate(cell, field)
    return rate(round(value * cell.n_human), cell.n_human)
