"""The results that RAID's own evaluation would give, in its shape: every combination of domain,
attack, model, decoding, penalty.

For comparison with its leaderboard only: as there, thresholds are chosen on the very human texts
that are counted, all of them that were not attacked, and figures have no interval. One thing
differs: the threshold is the exact quantile (the highest TPR whose false-positive rate is at most
the target), where RAID searches by steps until it is within 0.0005 of the target.

Shape     `run_evaluation` in raid/evaluate.py: {"scores": [{domain … attack, "accuracy": {fpr: {tp,
          fn, accuracy}}, "auroc"}], "thresholds": {fpr: {domain: t}}, "fpr": {fpr: {domain:
          achieved}}}; machine is score ≥ t. As there, a combination with any text unscored is left
          out, and so is one whose domain has no threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from staged.raid.results import Accuracy, Combination, LeaderboardResults
from staged.raid.rows import UNATTACKED, Rows
from staged.raid.scores import FINITE, Scores

NESTING = ("domain", "attack", "model", "decoding", "repetition_penalty")
ALL = "all"


def raid_results(rows: Rows, scores: Scores, fprs: Sequence[float]) -> LeaderboardResults:
    """What `raid.run_evaluation(predictions, df, target_fpr=fprs)` gives, at exact thresholds."""
    domain, values = rows.columns["domain"], scores.values
    quiet = rows.human & rows.columns["attack"].is_in([UNATTACKED]) & (scores.kinds == FINITE)
    clean = {
        name: np.sort(values[quiet & (domain.codes == code)])
        for code, name in enumerate(domain.values)
    }
    thresholds = {
        f"{fpr}": {name: exact_threshold(group, fpr) for name, group in clean.items() if len(group)}
        for fpr in fprs
    }
    achieved = {
        fpr: {name: float((clean[name] >= cut).mean()) for name, cut in by_domain.items()}
        for fpr, by_domain in thresholds.items()
    }
    combinations = tuple(_measured(rows, values, thresholds))
    return LeaderboardResults(combinations, thresholds, achieved)


def _measured(
    rows: Rows, values: np.ndarray, thresholds: Mapping[str, Mapping[str, float]]
) -> Iterator[Combination]:
    """Every combination whose texts are all scored, and whose domain has a threshold."""
    domain, human = rows.columns["domain"], rows.human
    sorted_human = {  # NaN, if any, stands last
        name: np.sort(values[human & (domain.codes == code)])
        for code, name in enumerate(domain.values)
    }
    sorted_human[ALL] = np.sort(values[human])
    cuts = {
        fpr: np.array([by_domain.get(name, math.nan) for name in domain.values])[domain.codes]
        for fpr, by_domain in thresholds.items()
    }
    for names, index in _combinations(rows, np.flatnonzero(~human), NESTING):
        against, machine = sorted_human[names["domain"]], values[index]
        known = all(not np.isnan(cut[index]).all() for cut in cuts.values())
        if known and len(against) and not np.isnan(against[-1]) and not np.isnan(machine).any():
            accuracy = {fpr: _accuracy(machine >= cut[index]) for fpr, cut in cuts.items()}
            yield Combination(**names, accuracy=accuracy, auroc=_area(against, machine))


def exact_threshold(sorted_human: np.ndarray, fpr: float) -> float:
    """The lowest t, one float above a human score, with #{human ≥ t} / n ≤ fpr.

    Args:
        sorted_human: ascending, n ≥ 1.
    """
    allowed = math.floor(fpr * len(sorted_human) + 1e-9)
    return (
        float(np.nextafter(sorted_human[len(sorted_human) - allowed - 1], math.inf))
        if allowed < len(sorted_human)
        else -math.inf
    )


def _combinations(
    rows: Rows, index: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """Every combination of values (or `all`) that some machine row has, with those rows; `all`
    comes last, as in RAID.
    """
    if not names:
        yield {}, index
        return
    column = rows.columns[names[0]]
    codes = column.codes[index]
    parts = [(column.values[code], index[codes == code]) for code in np.unique(codes)]
    for value, part in [*parts, (ALL, index)]:
        if len(part):
            for deeper, inner in _combinations(rows, part, names[1:]):
                yield {names[0]: value} | deeper, inner


def _accuracy(called: np.ndarray) -> Accuracy:
    tp = int(called.sum())
    return Accuracy(tp, len(called) - tp, tp / len(called))


def _area(sorted_human: np.ndarray, machine: np.ndarray) -> float:
    below = np.searchsorted(sorted_human, machine, side="left") + np.searchsorted(
        sorted_human, machine, side="right"
    )
    return float(below.mean() / 2 / len(sorted_human))
