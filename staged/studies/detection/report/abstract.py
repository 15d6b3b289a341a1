"""What a study says in short, from its cells: which detector to ship, at what threshold, what it
finds, and what it costs in false alarms.

The rule: of the detectors that were trained on the mix of sampling methods, the one that finds the
most where it finds least, over all models and methods, at a false-positive rate of 1%; by AUROC
where the human `valid` texts are too few to certify that rate. A detector whose interval there
overlaps the chosen one's is not distinguishable from it. The choice is made on the cells that are
then shown, so these flatter it; the page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from staged.cells import Cell
from staged.pages.figures import estimate
from staged.stats.comparing import rate
from staged.studies.detection.plan import MIX
from staged.studies.detection.results import Thresholds

RATE, AREA = "tpr_at_fpr_1", "auroc"
CHANCE = 0.5  # of AUROC


@dataclass(frozen=True)
class Candidate:
    """A detector on everything it was tested on, at the matrix's length.

    Attributes:
        cells: a model and method each.
        metric: the cells' field that detectors are compared by.
    """

    cells: tuple[Cell, ...]
    metric: str

    @property
    def name(self) -> str:
        """Its kind, and the model and method that it was trained on, as its folder is called."""
        cell = self.cells[0]
        return f"{cell.detector}/{cell.trained_on}/{cell.trained_method}"

    @cached_property
    def worst(self) -> Cell:
        """Where it finds least."""
        return min(self.cells, key=lambda cell: getattr(cell, self.metric))

    @cached_property
    def best(self) -> Cell:
        """Where it finds most."""
        return max(self.cells, key=lambda cell: getattr(cell, self.metric))

    def overlaps(self, other: Candidate) -> bool:
        """Whether the 95% intervals of the two worst cases have a value in common."""
        _, low, high = estimate(self.worst, self.metric)
        _, other_low, other_high = estimate(other.worst, self.metric)
        return bool(low <= other_high and other_low <= high)


@dataclass(frozen=True)
class Abstract:
    """What the report says first.

    Attributes:
        choice: the detector to ship.
        others: the detectors that it was chosen over.
        thresholds: its own; None where the study did not record them.
    """

    choice: Candidate
    others: tuple[Candidate, ...]
    thresholds: Thresholds | None

    @property
    def is_certified(self) -> bool:
        """Whether thresholds certify a false-positive rate of 1%."""
        return self.choice.metric == RATE

    @property
    def rivals(self) -> tuple[Candidate, ...]:
        """Those of the others that are not distinguishable from the choice."""
        return tuple(other for other in self.others if other.overlaps(self.choice))

    @property
    def false_alarms(self) -> tuple[float, float, float] | None:
        """The share of human test texts above the threshold for 1%, with its 95% interval."""
        cell = self.choice.worst
        return None if cell.fpr_1 is None else rate(round(cell.fpr_1 * cell.n_human), cell.n_human)

    @property
    def is_chance(self) -> bool:
        """Whether the worst case cannot be told from finding nothing: its interval reaches that of
        the false alarms, or AUROC's that of even odds.
        """
        cell, alarms = self.choice.worst, self.false_alarms
        if cell.tpr_at_fpr_1_low is None or alarms is None:
            return cell.auroc_low <= CHANCE
        return cell.tpr_at_fpr_1_low <= alarms[2]


def abstract_of(cells: Sequence[Cell], thresholds: Sequence[Thresholds]) -> Abstract:
    """What a study's cells say in short.

    Args:
        cells: of the matrix, at least one.
        thresholds: of every detector, or none.
    """
    mixed = [cell for cell in cells if cell.trained_method == MIX] or list(cells)
    metric = AREA if any(cell.tpr_at_fpr_1 is None for cell in mixed) else RATE
    by_name: dict[str, list[Cell]] = {}
    for cell in mixed:
        by_name.setdefault(Candidate((cell,), metric).name, []).append(cell)
    most = max(map(len, by_name.values()))  # a worst case over fewer cells says less
    candidates = [
        Candidate(tuple(group), metric) for group in by_name.values() if len(group) == most
    ]
    choice = max(candidates, key=lambda candidate: getattr(candidate.worst, metric))
    others = tuple(candidate for candidate in candidates if candidate is not choice)
    own = (row for row in thresholds if _name(row) == choice.name)
    return Abstract(choice, others, next(own, None))


def _name(row: Thresholds) -> str:
    return f"{row.detector}/{row.trained_on}/{row.trained_method}"
