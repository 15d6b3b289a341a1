"""RAID's figures at thresholds that the reported texts had no part in: split, thresholds, cells.

Sides     all rows of one source (the human text, what machines made of it, what attacks made of
          both) stand on one side. Thresholds come from human rows of the calibration side; every
          figure is of the other side alone.
Threshold the exact conformal quantile of human scores (`threshold_at_fpr`), one per domain, as
          RAID's protocol has it, and one for all domains pooled; a decision is `score > threshold`.
          Where a domain has too few calibration texts to certify a rate there is none, and every
          cell with a text of that domain is blank at that rate.
Human     TPR stands beside the false-positive rate achieved on human rows of the same domains and
          attack. AUROC is against the human rows of the same domains that were not attacked.
Unscored  a text without a finite score counts as not called machine; the figure over scored texts
          alone stands beside.
Interval  95%; rows of one source depend on each other, so they count as a cluster
          (`metrics.clustered_rate`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from staged.errors import CorpusError
from staged.raid.form import LABEL
from staged.raid.results import Area, RaidCell, Rate, Rates
from staged.raid.rows import GROUPS, UNATTACKED, Rows
from staged.raid.scores import FINITE, Scores
from staged.raid.settings import Conditions
from staged.stats import metrics
from staged.stats.thresholds import threshold_at_fpr

SCHEMES = ("per_domain", "pooled")


@dataclass(frozen=True)
class Cut:
    """Thresholds for one false-positive rate under one scheme.

    Attributes:
        thresholds: one a domain, in the order of the column's values; NaN where none can be
            certified.
        counts: human calibration texts behind each.
    """

    scheme: str
    fpr: float
    thresholds: np.ndarray
    counts: np.ndarray


def calibration_side(rows: Rows, eligible: np.ndarray, *, share: float, seed: int) -> np.ndarray:
    """Of each row, whether its source stands on the calibration side.

    In each domain the share of sources with an eligible row whose digest with the seed is smallest:
    it depends on neither the order of rows nor on what else the file holds.
    """
    source, domain = rows.columns["source_id"], rows.columns["domain"]
    chosen = np.zeros(len(source.values), dtype=bool)
    for code in range(len(domain.values)):
        sources = np.unique(source.codes[eligible & (domain.codes == code)])
        ranked = sorted(
            sources.tolist(),
            key=lambda number: hashlib.sha256(f"{seed}:{source.values[number]}".encode()).digest(),
        )
        chosen[ranked[: math.floor(share * len(ranked) + 0.5)]] = True
    return chosen[source.codes]


def eligible_rows(rows: Rows, conditions: Conditions) -> np.ndarray:
    """Of each row, whether it is human and meets the conditions; not attacked, unless they speak of
    attacks.

    Raises:
        CorpusError: no row does.
    """
    wanted = {"attack": [UNATTACKED], **conditions}
    eligible = rows.human.copy()
    for name, values in wanted.items():
        eligible &= rows.columns[name].is_in(values)
    if not eligible.any():
        terms = ", ".join(f"{name} = {' or '.join(values)}" for name, values in wanted.items())
        labels = rows.columns[LABEL].values[:5] if LABEL in rows.columns else ()
        taken = f", and its labels are {', '.join(map(repr, labels))}" if labels else ""
        raise CorpusError(
            f"{rows.path}: no human row (model = human) with {terms}{taken}; thresholds need human"
            " texts to be chosen on"
        )
    return eligible


def choose_cuts(
    rows: Rows, scores: Scores, calibrating: np.ndarray, fprs: Sequence[float]
) -> list[Cut]:
    """Thresholds from the scored calibration rows, for every scheme and rate."""
    usable = calibrating & (scores.kinds == FINITE)
    domain = rows.columns["domain"]
    alone = [scores.values[usable & (domain.codes == code)] for code in range(len(domain.values))]
    groups = {"per_domain": alone, "pooled": [scores.values[usable]] * len(alone)}
    return [_cut(scheme, fpr, groups[scheme]) for scheme in SCHEMES for fpr in fprs]


def _cut(scheme: str, fpr: float, groups: Sequence[np.ndarray]) -> Cut:
    exact = [threshold_at_fpr(group.tolist(), fpr) for group in groups]
    thresholds = np.array([math.nan if cut == math.inf else cut for cut in exact])
    return Cut(scheme, fpr, thresholds, np.array([len(group) for group in groups]))


class Reported:
    """The rows that figures are of, with every decision made once."""

    def __init__(
        self, rows: Rows, scores: Scores, reported: np.ndarray, cuts: Sequence[Cut], *, minimum: int
    ) -> None:
        self.rows, self.scores, self.reported = rows, scores, reported
        self.cuts, self.minimum = cuts, minimum
        self.domain = rows.columns["domain"].codes
        self.source = rows.columns["source_id"].codes
        self.human, self.machine = reported & rows.human, reported & ~rows.human
        self.clean = self.human & rows.columns["attack"].is_in([UNATTACKED])
        self.scored = scores.kinds == FINITE

    def cells(self) -> Iterator[RaidCell]:
        """One cell over everything, then one a value of each grouping column."""
        yield self.cell("overall", "all")
        for name in GROUPS:
            column = self.rows.columns[name]
            present = np.unique(column.codes[self.machine])
            for value in sorted(column.values[code] for code in present):
                yield self.cell(name, value)

    def cell(self, by: str, value: str) -> RaidCell:
        """All figures of the machine rows with this value; blank ones are None and keep their n."""
        machine = (
            self.machine if by == "overall" else self.machine & self.rows.columns[by].is_in([value])
        )
        same_domains = np.isin(self.domain, np.unique(self.domain[machine]))
        clean = self.clean & same_domains
        human = (
            self.human & same_domains & self.rows.columns["attack"].is_in([value])
            if by == "attack"
            else clean
        )
        return RaidCell(
            by=by,
            value=value,
            machine=self.scores.counts(machine),
            human=self.scores.counts(human),
            auroc=self._auroc(clean & self.scored, machine & self.scored),
            rates=tuple(self._rates(cut, human, machine) for cut in self.cuts),
        )

    def _rates(self, cut: Cut, human: np.ndarray, machine: np.ndarray) -> Rates:
        return Rates(
            thresholds=cut.scheme,
            fpr=cut.fpr,
            tpr=self._rate(cut, machine),
            tpr_scored=self._rate(cut, machine & self.scored),
            fpr_achieved=self._rate(cut, human),
            fpr_scored=self._rate(cut, human & self.scored),
        )

    def _rate(self, cut: Cut, mask: np.ndarray) -> Rate:
        """Share of the masked rows called machine."""
        thresholds, source = cut.thresholds[self.domain[mask]], self.source[mask]
        n, sources = len(source), len(np.unique(source))
        if n < self.minimum or np.isnan(thresholds).any():
            return Rate(None, None, None, None, n, sources)
        called = self.scores.values[mask] > thresholds  # NaN, an unscored text, is above nothing
        return Rate(*metrics.clustered_rate(called, source), int(called.sum()), n, sources)

    def _auroc(self, human: np.ndarray, machine: np.ndarray) -> Area:
        n_human, n_machine = int(human.sum()), int(machine.sum())
        if min(n_human, n_machine) < self.minimum:
            return Area(None, None, None, n_human, n_machine)
        values, source = self.scores.values, self.source
        area = metrics.clustered_auroc(
            values[human], values[machine], source[human], source[machine]
        )
        return Area(*area, n_human, n_machine)
