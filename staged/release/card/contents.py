"""What a card holds, and `card.json` as it is: every number in a row with the id of what it was
read from.
"""

from __future__ import annotations

from dataclasses import dataclass

from staged.cells import Cell
from staged.release.card.measured import Credibility, Effect, ModelDrop, StudiedModel
from staged.release.card.paragraphs import Words
from staged.release.outcomes import Decision

__all__ = ["Analysis", "Blank", "Card", "Claim", "StudyLine"]


@dataclass(frozen=True)
class StudyLine:
    """What a card says of a study; passages and sources: of each split."""

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
