"""Fits how several readers' log-odds become one, on texts of sources that none of the readers
learned from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from staged.detectors.kinds.readers.detector import Combination
from staged.training.readers.crops import Crop
from staged.training.readers.judging import are_machine, folds_of
from staged.training.readers.plan import ReadersSettings

Floats = npt.NDArray[np.float64]
SURE = 0.001  # share of human texts that may lie above `sure`
CLEAR = 0.01  # share of machine texts that may lie below `clear`


def fit_combination(
    readings: Floats, machine: npt.NDArray[np.bool_], shares: Floats
) -> Combination:
    """Weights of two logistic regressions, none below 0, and between which log-odds the third
    reader is asked.

    Args:
        readings: (texts, 3) log-odds of lexical, encoder and numbers, by readers that did not learn
            from the text's source.
        shares: of each text in the loss.
    """
    words = _fitted(readings[:, :2], machine, shares)
    every = _fitted(readings, machine, shares)
    a, b, bias = words
    alone = a * readings[:, 0] + b * readings[:, 1] + bias
    together = readings @ np.asarray(every[:3]) + every[3]
    (clear, sure), (low, high) = (_bounds(scores, machine) for scores in (alone, together))
    return Combination(words, every, clear, sure, low, high)  # type: ignore[arg-type]


def _bounds(scores: Floats, machine: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Below which few machine texts lie, and above which few human ones do."""
    high = float(np.quantile(scores[~machine], 1 - SURE))
    return min(float(np.quantile(scores[machine], CLEAR)), high), high


def _fitted(readings: Floats, machine: npt.NDArray[np.bool_], shares: Floats) -> tuple[float, ...]:
    share = shares / shares.sum()

    def loss(t: Floats) -> tuple[float, Floats]:
        odds = readings @ t[:-1] + t[-1]
        gradient = share * (expit(odds) - machine)
        return float(share @ np.logaddexp(0, np.where(machine, -odds, odds))), np.append(
            readings.T @ gradient, gradient.sum()
        )

    start = np.append(np.full(readings.shape[1], 0.5), 0.0)
    bounds = [(0.0, None)] * readings.shape[1] + [(None, None)]
    return tuple(map(float, minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x))


def combined(combination: Combination, readings: Floats) -> tuple[Floats, Floats]:
    """(crops,) log-odds of all readers, the third where it is asked, and of the first two alone."""
    alone = combination.alone(readings[:, 0], readings[:, 1])
    numbers = np.where(combination.is_open(alone), readings[:, 2], np.nan)
    return combination.together(readings[:, 0], readings[:, 1], numbers), alone


def held_out(
    crops: Sequence[Crop], readings: Floats, shares: Floats, settings: ReadersSettings
) -> tuple[Floats, Floats]:
    """As `combined`, each fold's by a combination that the other folds were fitted with."""
    folds, machine = folds_of(crops, settings), are_machine(crops)
    together, alone = np.zeros(len(crops)), np.zeros(len(crops))
    for fold in range(settings.n_folds):
        rest, held = folds != fold, folds == fold
        combination = fit_combination(readings[rest], machine[rest], shares[rest])
        together[held], alone[held] = combined(combination, readings[held])
    return together, alone
