"""Do the post's findings on detection hold here? Each is answered from the cells, by paired tests.

Where a comparison takes a worst case, which case that is, is chosen on the even-numbered texts and
tested on the odd ones.

Pairs: the human test texts, each under both decisions, and the machine test texts of equal number,
which draw the same random numbers for every model. Tests of one finding are one family under Holm's
correction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from staged.stats import metrics
from staged.stats.judging import UNKNOWN, Hypothesis, judged
from staged.studies.detection.cells import Measured
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.results import AS_CLAIMED, OTHER_WAY, Comparison, Finding
from staged.studies.models import short_name

ALPHA = 0.01
Pair = tuple[str, str, str]  # what is claimed of a over b, cell a, cell b


def names(settings: StudySettings) -> tuple[str, ...]:
    """The models' names as cells record them, smallest first."""
    return tuple(map(short_name, settings.models))


def findings(measured: Sequence[Measured], settings: StudySettings) -> list[Finding]:
    """The four findings, in the post's order; fewer where the study has one model or one method."""
    table = {result.cell.id: result for result in measured}
    claims: list[Finding] = []
    if len(settings.models) > 1:
        claims += [
            _larger_is_harder(table, settings),
            _larger_transfers_better(table, settings),
            _best_worst_case(table, settings),
        ]
    if len(settings.methods) > 1:
        claims.append(_range_of_methods(table, settings))
    return claims


def neighbours(measured: Sequence[Measured], settings: StudySettings) -> list[Comparison]:
    """Harder to detect? Each size against the next, each by the detector trained on it, per
    detector and method.
    """
    sizes = names(settings)

    def steps(kind: str, method: str) -> list[Pair]:
        keys = [key(kind, size, method, size, method) for size in sizes]
        return [
            (f"{sizes[i]} is easier than {sizes[i + 1]}", keys[i], keys[i + 1])
            for i in range(len(sizes) - 1)
        ]

    return _family({result.cell.id: result for result in measured}, _pairs(settings, steps))


def key(kind: str, trained_on: str, trained_method: str, tested_on: str, tested_method: str) -> str:
    return f"{kind}/{trained_on}/{trained_method}/{tested_on}/{tested_method}"


def _id(stem: str, settings: StudySettings) -> str:
    return f"{stem}/{settings.length_tokens}"


def _family(table: dict[str, Measured], pairs: Sequence[Pair]) -> list[Comparison]:
    raw = [_compare(table[a], table[b]) for _, a, b in pairs]
    hypotheses = [Hypothesis(p, only_a - only_b) for _, only_a, only_b, p in raw]
    family = judged(hypotheses, alpha=ALPHA, words=(AS_CLAIMED, OTHER_WAY))
    return [
        Comparison(
            what,
            a,
            b,
            n,
            only_a,
            only_b,
            *metrics.paired_difference(only_a, only_b, n),
            p,
            judgement.p_holm,
            judgement.verdict,
        )
        for (what, a, b), (n, only_a, only_b, p), judgement in zip(pairs, raw, family, strict=True)
    ]


def _compare(a: Measured, b: Measured) -> tuple[int, int, int, float]:
    right_a = np.concatenate([a.human_right, a.machine_right])
    right_b = np.concatenate([b.human_right, b.machine_right])
    return len(right_a), *metrics.mcnemar(right_a.tolist(), right_b.tolist())


def _half(result: Measured, start: int) -> Measured:
    """Every second text, from number `start` on."""
    return replace(
        result,
        human_right=result.human_right[start::2],
        machine_right=result.machine_right[start::2],
    )


def _finding(table: dict[str, Measured], claim: str, test: str, pairs: Sequence[Pair]) -> Finding:
    comparisons = _family(table, pairs)
    verdicts = {comparison.verdict for comparison in comparisons}
    for_it, against = AS_CLAIMED in verdicts, OTHER_WAY in verdicts
    if verdicts == {AS_CLAIMED}:
        verdict = "holds"
    elif for_it:
        verdict = "mixed" if against else "holds in part"
    else:
        verdict = "does not hold" if against else UNKNOWN
    return Finding(claim, test, verdict, tuple(comparisons))


def _pairs(settings: StudySettings, make: Callable[[str, str], list[Pair]]) -> list[Pair]:
    """The pairs of every detector and method, their cells named in full."""
    return [
        (f"{kind}, {method}: {what}", _id(a, settings), _id(b, settings))
        for kind in settings.detectors
        for method in settings.methods
        for what, a, b in make(kind, method)
    ]


def _larger_is_harder(table: dict[str, Measured], settings: StudySettings) -> Finding:
    small, large = names(settings)[0], names(settings)[-1]

    def make(kind: str, method: str) -> list[Pair]:
        def under(trained_small: str, trained_large: str, how: str) -> Pair:
            a = key(kind, trained_small, method, small, method)
            b = key(kind, trained_large, method, large, method)
            return f"{small} is easier than {large}, {how}", a, b

        return [
            under(small, large, "each by its own detector"),
            under(small, small, f"both by the one trained on {small}"),
            under(large, large, f"both by the one trained on {large}"),
        ]

    claim = "Larger models' outputs are harder to classify."
    test = (
        f"Accuracy on {small} minus accuracy on {large}: each by the detector trained on it, and"
        " both by the same detector."
    )
    return _finding(table, claim, test, _pairs(settings, make))


def _larger_transfers_better(table: dict[str, Measured], settings: StudySettings) -> Finding:
    small, large = names(settings)[0], names(settings)[-1]

    def make(kind: str, method: str) -> list[Pair]:
        a, b = (key(kind, size, method, large, method) for size in (large, small))
        return [(f"on {large}, trained there beats trained on {small}", a, b)]

    claim = (
        "A detector trained on a small model's output fails on a large one's; accuracy there rises"
        " with the training generator."
    )
    return _finding(
        table,
        claim,
        f"Tested on {large}: trained on {large} minus trained on {small}.",
        _pairs(settings, make),
    )


def _best_worst_case(table: dict[str, Measured], settings: StudySettings) -> Finding:
    *others, largest = names(settings)

    def worst(kind: str, method: str, trained_on: str) -> str:
        return _worst(
            table,
            settings,
            [key(kind, trained_on, method, size, method) for size in (*others, largest)],
        )

    def make(kind: str, method: str) -> list[Pair]:
        best = worst(kind, method, largest)
        return [
            (
                f"worst case of {largest}'s beats worst case of {other}'s",
                best,
                worst(kind, method, other),
            )
            for other in others
        ]

    claim = "The detector trained on the largest model has the best worst case over all sizes."
    test = f"Least accuracy over the sizes: trained on {largest} minus trained on each other size."
    return _finding(_odd(table), claim, test, _pairs(settings, make))


def _range_of_methods(table: dict[str, Measured], settings: StudySettings) -> Finding:
    def worst(kind: str, model: str, trained: str) -> str:
        return _id(
            _worst(
                table,
                settings,
                [key(kind, model, trained, model, method) for method in settings.methods],
            ),
            settings,
        )

    pairs = [
        (
            f"{kind}, {model}: worst method trained on the mix beats trained on {method} alone",
            worst(kind, model, MIX),
            alone,
        )
        for kind in settings.detectors
        for model in names(settings)
        for method in settings.methods
        for alone in [worst(kind, model, method)]
    ]
    claim = "Training on a range of sampling methods makes detection more reliable."
    test = (
        "Least accuracy over the sampling methods: trained on the mix minus trained on one method,"
        " same number of texts."
    )
    return _finding(_odd(table), claim, test, pairs)


def _odd(table: dict[str, Measured]) -> dict[str, Measured]:
    """The texts that no choice of a worst case has seen."""
    return {key: _half(result, 1) for key, result in table.items()}


def _worst(table: dict[str, Measured], settings: StudySettings, stems: Sequence[str]) -> str:
    """The one of these cells with the fewest right decisions on the even-numbered texts."""

    def right(stem: str) -> int:
        half = _half(table[_id(stem, settings)], 0)
        return int(half.human_right.sum() + half.machine_right.sum())

    return min(stems, key=right)
