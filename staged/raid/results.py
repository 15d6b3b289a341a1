"""What an evaluation on labelled texts hands on: `evaluation.json`, `raid_results.json` and the
rows of `predictions.json`.

Rates and AUROC are fractions in [0, 1]; `low` and `high` bound 95% intervals. A figure of too few
texts, or without a threshold, is blank: None with its n. What each figure is of: `cells.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from staged.raid.settings import RaidSettings
from staged.storage.records import LATER

EVALUATION, RAID_RESULTS = "evaluation.json", "raid_results.json"
PREDICTIONS = "predictions.json"


@dataclass(frozen=True)
class Counts:
    """How many rows there are, and what they have: a finite score, none, NaN, an infinite one."""

    rows: int
    scored: int
    missing: int
    nan: int
    infinite: int


@dataclass(frozen=True)
class FileCounts(Counts):
    """Of a whole file; `extra`: ids scored that it doesn't hold, `extra_first` the first five."""

    extra: int
    extra_first: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """An estimate with its interval; all None where it is blank."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Rate(Figure):
    """The share of n rows of so many sources that is called machine: hits / n."""

    hits: int | None
    n: int
    sources: int


@dataclass(frozen=True)
class Area(Figure):
    """An AUROC of so many scored texts of both kinds."""

    n_human: int
    n_machine: int


@dataclass(frozen=True)
class Rates:
    """A cell's rates at the thresholds of one scheme for one nominal rate.

    Attributes:
        thresholds: the scheme, `per_domain` or `pooled`.
        tpr, fpr_achieved: of machine and of human rows; an unscored one is not called machine.
        tpr_scored, fpr_scored: of the scored rows alone.
    """

    thresholds: str
    fpr: float
    tpr: Rate
    tpr_scored: Rate
    fpr_achieved: Rate
    fpr_scored: Rate


@dataclass(frozen=True)
class RaidCell:
    """The figures of the machine rows that hold `value` in the column `by`; the first cell is of
    all of them (`overall`, `all`).

    Attributes:
        human: rows beside them, which `fpr_achieved` is of.
        rates: one a scheme and nominal rate.
    """

    by: str
    value: str
    machine: Counts
    human: Counts
    auroc: Area
    rates: tuple[Rates, ...]


@dataclass(frozen=True)
class Threshold:
    """A scheme's threshold for a nominal rate in one domain (`all` where it is pooled), chosen on
    n_human scores; None where they are too few to certify the rate.
    """

    thresholds: str
    fpr: float
    domain: str
    threshold: float | None
    n_human: int


@dataclass(frozen=True)
class CalibrationSide:
    """The human rows that thresholds are chosen on, and of how many sources they are."""

    human: Counts
    sources: int
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True)
class ReportedSide:
    """How many rows the figures are of: all human and all machine rows of the other sources."""

    human: int
    machine: int


@dataclass(frozen=True, slots=True)  # of ten million rows, maybe
class Prediction:
    """RAID's submission format, an entry a text; `score` is None where it is not finite."""

    id: str
    score: float | None


@dataclass(frozen=True)
class TakenLabels:
    """What the labels of texts of one's own were taken as.

    Attributes:
        text, label: names of the columns; no text where scores were given.
        human, machine: label as it is written → rows.
    """

    text: str | None
    label: str
    human: dict[str, int]
    machine: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class RaidResult:
    """`evaluation.json`: what is measured on a file of labelled texts.

    Attributes:
        file: its name; `detector` or `predictions`: whose scores, or the name of a file of them.
        cells: over everything, then by domain, model, decoding, repetition penalty and attack.
        taken: of texts of one's own.
    """

    file: str
    detector: str | None
    predictions: str | None
    labelled: bool = True
    counts: FileCounts
    settings: RaidSettings
    calibration: CalibrationSide
    reported: ReportedSide
    cells: tuple[RaidCell, ...]
    taken: TakenLabels | None = field(default=None, metadata=LATER)


@dataclass(frozen=True, kw_only=True)
class RaidScores:
    """What comes of a file without labels, which is scored alone.

    Attributes:
        note: why nothing is measured.
        scores: one a text, in the file's order; None where a folder receives them.
    """

    file: str
    detector: str | None
    predictions: str | None
    labelled: bool = False
    note: str
    counts: FileCounts
    scores: tuple[Prediction, ...] | None = field(default=None, metadata=LATER)


@dataclass(frozen=True)
class Accuracy:
    """Machine texts called machine and not, and the share of the first."""

    tp: int
    fn: int
    accuracy: float


@dataclass(frozen=True)
class Combination:
    """RAID's figures of one combination of labels, each a value or `all`; accuracy by nominal
    rate.
    """

    domain: str
    attack: str
    model: str
    decoding: str
    repetition_penalty: str
    accuracy: dict[str, Accuracy]
    auroc: float


@dataclass(frozen=True)
class LeaderboardResults:
    """`raid_results.json`, in the shape of RAID's `run_evaluation`: nominal rate → domain →
    threshold, and the rate achieved at it.
    """

    scores: tuple[Combination, ...]
    thresholds: dict[str, dict[str, float]]
    fpr: dict[str, dict[str, float]]
