"""What a card holds, and `card.json` as it is: every number in a row with the id of what it was
read from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from staged.cells import Cell
from staged.release.card.measured import (
    Credibility,
    Effect,
    ModelDrop,
    Quality,
    StudiedModel,
    Training,
)
from staged.release.card.paragraphs import Words
from staged.release.outcomes import Decision
from staged.storage.records import LATER
from staged.studies.detection.results import GalleryText

__all__ = ["Analysis", "Blank", "Card", "Claim", "DetectorCard", "DetectorTable", "StudyLine"]


@dataclass(frozen=True)
class StudyLine:
    """What a card says of a study; passages and sources: of each split; human_text: title, licence
    and address of the human text, where the plan said them; length_words: None where texts are cut
    to tokens; written: how machine texts came to be, a sentence each.
    """

    name: str
    title: str
    source: str
    length_tokens: int
    methods: tuple[str, ...]
    detectors: tuple[str, ...]
    passages: dict[str, int]
    sources: dict[str, int]
    versions: dict[str, str]
    id: str
    human_text: str | None = field(default=None, metadata=LATER)
    length_words: int | None = field(default=None, metadata=LATER)
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """A table about one model, `unitary` or `intersectional`."""

    kind: str
    model: str
    study: str
    what: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Claim:
    """A study's finding, of so many comparisons."""

    claim: str
    test: str
    verdict: str
    comparisons: int
    id: str


@dataclass(frozen=True)
class Blank:
    """What a card does not know yet, and what fills it."""

    key: str
    what: str
    fill: str


@dataclass(frozen=True)
class Card:
    """The whole content of a card.

    Attributes:
        sentences: of bias probes; compared: of surveys.
        decision: how the release was decided; None where nothing was.
        loads: the model that the card's commands load; empty where no model's files are known.
        method: the sampling method in these commands.
        samples: the first text of each model and method.
    """

    title: str
    words: Words
    models: tuple[StudiedModel, ...]
    studies: tuple[StudyLine, ...]
    analyses: tuple[Analysis, ...]
    findings: tuple[Claim, ...]
    sentences: tuple[str, ...]
    effects: tuple[Effect, ...]
    credibility: tuple[Credibility, ...]
    compared: tuple[str, ...]
    drops: tuple[ModelDrop, ...]
    decision: Decision | None
    blanks: tuple[Blank, ...] = ()
    loads: str = ""
    method: str = ""
    samples: tuple[GalleryText, ...] = ()
    qualities: tuple[Quality, ...] = ()
    trainings: tuple[Training, ...] = ()


@dataclass(frozen=True)
class DetectorTable:
    """Figures of a detector on texts of one study; `source`: the human text's name."""

    study: str
    source: str
    what: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class DetectorCard:
    """What a package says of its detector.

    Attributes:
        model: the package's language model.
        kind, trained_on, trained_method: as studies call them; empty where none of the studies
            trained it.
    """

    title: str
    words: Words
    model: str
    kind: str
    trained_on: str
    trained_method: str
    tables: tuple[DetectorTable, ...]
