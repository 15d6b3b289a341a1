"""From features to the weights of `evidence`: two regressions, one for each way that machine text
leads away from human text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from staged.detectors.kinds.evidence import Matrix, Weights, standardised
from staged.detectors.kinds.features import FEATURES, SMOOTHER
from staged.errors import PlanError
from staged.records import HUMAN, MACHINE, Document
from staged.training.evidence.generated import generator_of, method_of
from staged.training.evidence.passages import corpus_of, is_clean
from staged.training.evidence.plan import EvidenceSettings, generator_name


def balance(documents: Sequence[Document]) -> Matrix:
    """(documents,) a weight each: both labels count the same, and within a label every corpus or
    every generator does.
    """
    groups = [
        corpus_of(document) if document.label != MACHINE else generator_of(document)
        for document in documents
    ]
    counts = Counter(zip((document.label for document in documents), groups, strict=True))
    kinds = Counter(label for label, _ in counts)
    return np.asarray(
        [
            1 / (kinds[document.label] * counts[document.label, group])
            for document, group in zip(documents, groups, strict=True)
        ]
    )


def fit_weights(
    features: Matrix, documents: Sequence[Document], settings: EvidenceSettings
) -> Weights:
    """Two regressions on the standardised features: human text against each of the two ways to
    differ from it.

    The smooth way may only use `SMOOTHER`, or what the plan takes of it, each feature in its own
    direction: what a free regression finds beyond that tells these generators from people, not
    machines (docs/log.md). Its texts are those of careful samplers; the rough way's all others, and
    all of a generator whose texts are rougher than people write however they are sampled. The rough
    way is told from attacked human text too, so that careless spelling is no sign of a machine.

    Args:
        features: (texts, `FEATURES`).
        settings: its `smooth`, `smooth_features`, `rough`, penalties and `rarer` are used.

    Raises:
        PlanError: no text of one of the two ways.
    """
    human = np.asarray([document.label == HUMAN for document in documents])
    clean = np.asarray([is_clean(document) for document in documents])
    rough = {generator_name(generator) for generator in settings.rough}
    careful = ~human & np.asarray(
        [
            method_of(document) in settings.smooth and generator_of(document) not in rough
            for document in documents
        ]
    )
    mean, scale = features[clean].mean(axis=0), np.maximum(features[clean].std(axis=0), 1e-6)
    z = standardised(features, mean, scale)
    importance = balance(documents) * np.where(human & ~clean, settings.attacked_share, 1.0)
    allowed = settings.smooth_features or tuple(SMOOTHER)
    signs = np.asarray([SMOOTHER[name] if name in allowed else 0 for name in FEATURES])
    rest = ~human & ~careful
    if not careful.any() or not rest.any():
        raise PlanError(
            "evidence: the plan needs machine texts of both ways: some by `smooth` methods, and"
            " others"
        )
    fits = []
    ways = (
        (clean, careful, settings.smooth_penalty, signs),
        (human, rest, settings.rough_penalty, None),
    )
    for people, machine, penalty, bounds in ways:
        rows = people | machine
        of_machine, of_people = (importance / importance[side].sum() for side in (machine, people))
        share = np.where(machine, of_machine, of_people)[rows] / 2
        fits.append(ridge_logistic(z[rows], machine[rows], share, penalty=penalty, signs=bounds))
    (smooth_weights, a), (rough_weights, b) = fits
    return Weights(mean, scale, smooth_weights, rough_weights, (a, b - settings.rarer))


def ridge_logistic(
    z: Matrix,
    machine: npt.NDArray[np.bool_],
    share: Matrix,
    *,
    penalty: float,
    signs: npt.NDArray[np.int64] | None = None,
) -> tuple[Matrix, float]:
    """Weights and intercept of a logistic regression with a ridge penalty, scaled back to
    calibrated log-odds afterwards.

    A strong penalty makes the weights of features that say the same alike; by itself it would also
    make them too small.

    Args:
        share: of each text in the loss; sums to 1.
        penalty: times half the squared weights.
        signs: +1 or −1 where a weight may only be positive or negative, 0 where it is none; without
            it all are free.
    """
    direction = np.ones(z.shape[1]) if signs is None else signs
    bounds = [
        (None, None) if signs is None else (0, None) if sign else (0, 0) for sign in direction
    ]
    free = z * direction

    def loss(t: Matrix) -> tuple[float, Matrix]:
        odds = free @ t[:-1] + t[-1]
        gradient = share * (expit(odds) - machine)
        value = (
            share @ np.logaddexp(0, np.where(machine, -odds, odds)) + penalty / 2 * t[:-1] @ t[:-1]
        )
        return float(value), np.append(free.T @ gradient + penalty * t[:-1], gradient.sum())

    fit = minimize(
        loss, np.zeros(z.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)]
    ).x
    odds = (free @ fit[:-1] + fit[-1])[:, None]
    scaled = LogisticRegression(C=1e6).fit(odds, machine, sample_weight=share * len(share))
    slope = float(scaled.coef_[0, 0])
    return fit[:-1] * direction * slope, float(fit[-1] * slope + scaled.intercept_[0])
