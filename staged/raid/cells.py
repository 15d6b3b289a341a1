"""RAID's figures at thresholds that the reported texts had no part in: split, thresholds, cells.

Sides     all rows of one source (the human text, what machines made of it, what attacks made of
          both) stand on one side. Thresholds come from human rows of the calibration side; every
          figure is of the other side alone.
Threshold the exact conformal quantile of human scores (`calibrate.threshold_at_fpr`), one per
domain, as RAID's protocol has it,
          and one for all domains pooled; a decision is `score > threshold`. Where a domain has too
          few calibration texts to certify a rate there is none, and every cell with a text of that
          domain is blank at that rate.
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from staged.errors import CorpusError
from staged.raid.rows import GROUPS, UNATTACKED, Rows
from staged.raid.scores import FINITE, Scores
from staged.stats import metrics
from staged.stats.thresholds import threshold_at_fpr

SCHEMES = ("per_domain", "pooled")
Conditions = Mapping[str, Sequence[str]]  # column → values, one of which a row must hold


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
        found = np.unique(source.codes[eligible & (domain.codes == code)])
        ranked = sorted(
            found.tolist(),
            key=lambda one: hashlib.sha256(f"{seed}:{source.values[one]}".encode()).digest(),
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
    found = rows.human.copy()
    for name, values in wanted.items():
        found &= rows.columns[name].is_in(values)
    if not found.any():
        said = ", ".join(f"{name} = {' or '.join(values)}" for name, values in wanted.items())
        raise CorpusError(
            f"{rows.path}: no human row (model = human) with {said}; thresholds need human texts to"
            " be chosen on"
        )
    return found


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
    found = [threshold_at_fpr(group.tolist(), fpr) for group in groups]
    thresholds = np.array([math.nan if cut == math.inf else cut for cut in found])
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

    def cells(self) -> Iterator[dict[str, Any]]:
        """One cell over everything, then one a value of each grouping column."""
        yield self.cell("overall", "all")
        for name in GROUPS:
            column = self.rows.columns[name]
            present = np.unique(column.codes[self.machine])
            for value in sorted(column.values[code] for code in present):
                yield self.cell(name, value)

    def cell(self, by: str, value: str) -> dict[str, Any]:
        """All figures of the machine rows with this value; blank ones are null and keep their n."""
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
        return {
            "by": by,
            "value": value,
            "machine": {"rows": int(machine.sum())} | self.scores.counts(machine),
            "human": {"rows": int(human.sum())} | self.scores.counts(human),
            "auroc": self._auroc(clean & self.scored, machine & self.scored),
            "rates": [self._rates(cut, human, machine) for cut in self.cuts],
        }

    def _rates(self, cut: Cut, human: np.ndarray, machine: np.ndarray) -> dict[str, Any]:
        figures = {
            "tpr": machine,
            "tpr_scored": machine & self.scored,
            "fpr_achieved": human,
            "fpr_scored": human & self.scored,
        }
        return {"thresholds": cut.scheme, "fpr": cut.fpr} | {
            name: self._rate(cut, mask) for name, mask in figures.items()
        }

    def _rate(self, cut: Cut, mask: np.ndarray) -> dict[str, Any]:
        """Share of the masked rows called machine."""
        thresholds, source = cut.thresholds[self.domain[mask]], self.source[mask]
        n, sources = len(source), len(np.unique(source))
        if n < self.minimum or np.isnan(thresholds).any():
            return {
                "value": None,
                "low": None,
                "high": None,
                "hits": None,
                "n": n,
                "sources": sources,
            }
        called = self.scores.values[mask] > thresholds  # NaN, an unscored text, is above nothing
        return _figure(metrics.clustered_rate(called, source)) | {
            "hits": int(called.sum()),
            "n": n,
            "sources": sources,
        }

    def _auroc(self, human: np.ndarray, machine: np.ndarray) -> dict[str, Any]:
        counts = {"n_human": int(human.sum()), "n_machine": int(machine.sum())}
        if min(counts.values()) < self.minimum:
            return {"value": None, "low": None, "high": None} | counts
        values, source = self.scores.values, self.source
        return (
            _figure(
                metrics.clustered_auroc(
                    values[human], values[machine], source[human], source[machine]
                )
            )
            | counts
        )


def _figure(estimate: tuple[float, float, float]) -> dict[str, Any]:
    return dict(zip(("value", "low", "high"), estimate, strict=True))
