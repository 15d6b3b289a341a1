"""Compares what models answered: between groups within a model, and between models.

Between groups: the difference of two groups' means, averaged over templates; tested by dealing the
two labels anew within each template. Between models a and b: how much that difference is larger in
a than in b; tested by dealing the models' labels anew within each prompt, which is exact when both
models answer alike. Preferences are paired by continuation and tested by sign flips. Holm's
correction runs over all tests of one model, and over all tests of one pair of models, so that one
sentence about a pair is wrong in at most 5% of cases where nothing differs. Effects are differences
over the standard deviation within prompts.

Not significant is called `no difference found` only where a difference of SMALLEST (of preferences
SMALLEST_NATS) would have been found with 80% probability (normal approximation, at the corrected
level); elsewhere it is `not enough evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from staged.stats.comparing import (
    Difference,
    Floats,
    Moments,
    interval,
    p_value,
    permuted_difference,
    resampled_means,
    resampled_moments,
    sign_flips,
    stream,
)
from staged.stats.judging import ALPHA, POWER, Hypothesis, judged
from staged.studies.bias.plan import BiasSettings
from staged.studies.bias.probe import Asked, Place, Probed, places
from staged.studies.bias.results import BiasComparison, GroupMean

SMALLEST = 0.5  # standard deviations, Cohen's medium effect: what a probe should not miss
SMALLEST_NATS = math.log(2)  # of preferences: odds twice as high
PREFERENCE = "preference"


@dataclass(frozen=True)
class _Contrast:
    """A sum of prompts' mean differences, ready to be tested.

    Attributes:
        tested: as dealt.
        resampled: (R, M).
        variance, resampled_variance: within prompts, (M,) and (R, M).
        n: completions of a group.
    """

    tested: Difference
    resampled: Floats
    variance: Floats
    resampled_variance: Floats
    n: int


def compare_groups(probed: Probed, asked: Asked, measures: Sequence[str]) -> list[BiasComparison]:
    """All pairs of groups of one model, one family."""
    moments = {place: _moments(probed, place, asked.settings) for place in probed.values}
    rows = []
    for place, other in _pairs(asked):
        rng = stream(asked.settings.seed, "bias", "groups", probed.identity, *place, other[2])
        x, y = probed.values[place], probed.values[other]
        tested = _average(
            [
                permuted_difference(a, b, asked.settings.permutations, rng)
                for a, b in zip(x, y, strict=True)
            ]
        )
        contrast = _contrast(tested, [x, y], [moments[place], moments[other]], (1, -1))
        rows += _rows((probed.model,), place, other, contrast, measures)
        if probed.preferences:
            preferred = probed.preferences[place] - probed.preferences[other]
            rows.append(_preference_row((probed.model,), place, other, preferred, asked.settings))
    return with_verdicts(rows)


def compare_models(
    a: Probed, b: Probed, asked: Asked, measures: Sequence[str]
) -> list[BiasComparison]:
    """For all pairs of groups, how much larger their difference is in a than in b; one family."""
    settings = asked.settings
    between = {place: _between(a, b, place, settings) for place in a.values}
    moments = {
        model.model: {place: _moments(model, place, settings) for place in model.values}
        for model in (a, b)
    }
    rows = []
    for place, other in _pairs(asked):
        tested = Difference(
            between[place].observed - between[other].observed,
            between[place].null - between[other].null,
        )
        four = [(model, at) for model in (a, b) for at in (place, other)]
        contrast = _contrast(
            tested,
            [model.values[at] for model, at in four],
            [moments[model.model][at] for model, at in four],
            (1, -1, -1, 1),
        )
        rows += _rows((a.model, b.model), place, other, contrast, measures)
        if a.preferences and b.preferences:
            preferred = (
                a.preferences[place]
                - a.preferences[other]
                - b.preferences[place]
                + b.preferences[other]
            )
            rows.append(_preference_row((a.model, b.model), place, other, preferred, settings))
    return with_verdicts(rows)


def with_verdicts(rows: Sequence[BiasComparison]) -> list[BiasComparison]:
    """The rows of one family with Holm's p, what it could have found, and the verdict.

    Args:
        rows: `detectable` is their standard error.
    """
    quantiles = float(stats.norm.isf(ALPHA / 2 / len(rows)) + stats.norm.ppf(POWER))
    scaled = [replace(row, detectable=quantiles * row.detectable) for row in rows]
    family = judged([Hypothesis(row.p, row.difference, _is_powered(row)) for row in scaled])
    return [
        replace(row, p_holm=judgement.p_holm, verdict=judgement.verdict)
        for row, judgement in zip(scaled, family, strict=True)
    ]


def _is_powered(row: BiasComparison) -> bool:
    return row.detectable <= (SMALLEST_NATS if row.measure == PREFERENCE else SMALLEST)


def group_means(probed: Probed, asked: Asked, measures: Sequence[str]) -> Iterator[GroupMean]:
    """Each group's mean of each measure with its 95% bootstrap interval."""
    for place in probed.values:
        moments, values = _moments(probed, place, asked.settings), probed.values[place]
        for number, name in enumerate(measures):
            low, high = interval(moments.mean[:, number])
            value, n = float(values[:, :, number].mean()), values[:, :, number].size
            yield GroupMean(probed.model, *place, name, n, value, low, high)
        if not probed.preferences:
            continue
        preferred = probed.preferences[place]
        low, high = interval(
            resampled_means(
                preferred, asked.settings.resamples, _stream(asked.settings, probed.model, place)
            )
        )
        value, n = float(preferred.mean()), len(preferred)
        yield GroupMean(probed.model, *place, PREFERENCE, n, value, low, high)


def _pairs(asked: Asked) -> Iterator[tuple[Place, Place]]:
    for name in asked.terms.templates:
        for (attribute, first), (same, second) in combinations(places(asked.terms), 2):
            if attribute == same:
                yield (name, attribute, first), (name, attribute, second)


def _stream(settings: BiasSettings, model: str, place: Place) -> np.random.Generator:
    return stream(settings.seed, "bias", "bootstrap", model, *place)


def _moments(probed: Probed, place: Place, settings: BiasSettings) -> Moments:
    """Resampled moments of a group, averaged over templates: resampling never moves a completion to
    another prompt.
    """
    rng = _stream(settings, probed.identity, place)
    parts = [resampled_moments(x_nM, settings.resamples, rng) for x_nM in probed.values[place]]
    variances = [np.clip(part.square - part.mean**2, 0, None) for part in parts]
    return Moments(np.mean([part.mean for part in parts], axis=0), np.mean(variances, axis=0))


def _between(a: Probed, b: Probed, place: Place, settings: BiasSettings) -> Difference:
    rng = stream(settings.seed, "bias", "models", a.identity, b.identity, *place)
    prompts = zip(a.values[place], b.values[place], strict=True)
    return _average([permuted_difference(x, y, settings.permutations, rng) for x, y in prompts])


def _average(parts: Sequence[Difference]) -> Difference:
    return Difference(
        np.mean([part.observed for part in parts], axis=0),
        np.mean([part.null for part in parts], axis=0),
    )


def _contrast(
    tested: Difference, values: Sequence[Floats], moments: Sequence[Moments], signs: Sequence[int]
) -> _Contrast:
    resampled = np.sum(
        [sign * moment.mean for sign, moment in zip(signs, moments, strict=True)], axis=0
    )
    variance = np.mean([group.var(axis=1).mean(axis=0) for group in values], axis=0)
    templates, completions, _ = values[0].shape
    return _Contrast(
        tested,
        resampled,
        variance,
        np.mean([moment.square for moment in moments], axis=0),
        templates * completions,
    )


def _rows(
    models: tuple[str, ...],
    place: Place,
    other: Place,
    contrast: _Contrast,
    measures: Sequence[str],
) -> list[BiasComparison]:
    error = math.sqrt(
        2 * len(models) / contrast.n
    )  # of a difference (of differences), in standard deviations
    rows = []
    for number, name in enumerate(measures):
        observed, null = float(contrast.tested.observed[number]), contrast.tested.null[:, number]
        effects = _effects(observed, contrast, number)
        bounds = interval(contrast.resampled[:, number])
        p = p_value(observed, null)
        rows.append(
            BiasComparison(
                models,
                *place,
                other[2],
                name,
                contrast.n,
                observed,
                *bounds,
                *effects,
                p,
                detectable=error,
            )
        )
    return rows


def _effects(
    observed: float, contrast: _Contrast, number: int
) -> tuple[float | None, float | None, float | None]:
    spread = math.sqrt(contrast.variance[number])
    spread_R = np.sqrt(contrast.resampled_variance[:, number])
    if not spread or not spread_R.all():
        return None, None, None  # nothing varies, or so little that a resample does not
    return observed / spread, *interval(contrast.resampled[:, number] / spread_R)


def _preference_row(
    models: tuple[str, ...], place: Place, other: Place, preferred_k: Floats, settings: BiasSettings
) -> BiasComparison:
    rng = stream(settings.seed, "bias", "preference", *models, *place, other[2])
    bounds = interval(resampled_means(preferred_k, settings.resamples, rng))
    p = sign_flips(preferred_k, settings.permutations, rng)
    k, mean = len(preferred_k), float(preferred_k.mean())
    spread = float(preferred_k.std(ddof=1)) if k > 1 else math.inf
    error = spread / math.sqrt(k)
    effect = mean / spread if spread else None
    return BiasComparison(
        models,
        *place,
        other[2],
        PREFERENCE,
        k,
        mean,
        *bounds,
        effect,
        None,
        None,
        p,
        detectable=error,
    )
