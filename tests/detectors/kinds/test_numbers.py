"""Boosted trees as arrays: what scikit-learn fitted, read without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from staged.detectors.kinds.features import FEATURES
from staged.detectors.kinds.readers import numbers
from staged.detectors.kinds.readers.numbers import (
    NumbersReader,
    load_numbers,
    save_numbers,
    scorer_of,
)
from staged.errors import CheckpointError
from staged.training.readers.numbers import as_trees, fit_numbers
from tests.conftest import prose


def fitted() -> tuple[HistGradientBoostingClassifier, np.ndarray]:
    x = np.random.default_rng(1).normal(size=(600, len(FEATURES)))
    return HistGradientBoostingClassifier(max_iter=20, random_state=1).fit(
        x, x[:, 0] * x[:, 1] + x[:, 2] > 0
    ), x


def test_the_same_log_odds_as_scikit_learn() -> None:
    fit, x = fitted()
    assert as_trees(fit).log_odds(x) == pytest.approx(fit.decision_function(x), abs=1e-12)
    edges = np.vstack([np.full(len(FEATURES), value) for value in (-1e9, 1e9, 0.0)])
    assert as_trees(fit).log_odds(edges) == pytest.approx(fit.decision_function(edges), abs=1e-12)


def test_shares_count() -> None:
    """Where only one half of the texts counts, the other half's labels do not."""
    _, x = fitted()
    machine = x[:, 0] > 0
    machine[300:] = ~machine[300:]
    shares = np.where(np.arange(600) < 300, 1.0, 1e-9)
    odds = fit_numbers(x, machine, shares).log_odds(x[:300])
    assert ((odds > 0) == machine[:300]).mean() > 0.95


def test_round_trip_and_a_scorer_that_is_not_there(tiny: Path, tmp_path: Path) -> None:
    fit, x = fitted()
    reader = NumbersReader(str(tiny), as_trees(fit), most_tokens=64)
    save_numbers(tmp_path, reader)
    again = load_numbers(tmp_path)
    assert again is not None
    assert again.trees.log_odds(x) == pytest.approx(reader.trees.log_odds(x))
    text = prose(1, 8)
    assert again.log_odds([text, ""]) == pytest.approx(reader.log_odds([text, ""]))
    assert again.log_odds(["", "one"]).tolist() == [0.0, 0.0]
    assert (again.most_tokens, scorer_of(tmp_path)) == (64, str(tiny))
    assert scorer_of(tmp_path / "nowhere") is None
    (tmp_path / "other").mkdir()
    save_numbers(
        tmp_path / "other", NumbersReader(str(tmp_path / "gone"), reader.trees, most_tokens=64)
    )
    assert load_numbers(tmp_path / "other") is None


def test_other_features_are_said(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_numbers(tmp_path, NumbersReader(str(tiny), as_trees(fitted()[0]), most_tokens=64))
    monkeypatch.setattr(numbers, "FEATURES", FEATURES[:-1])
    with pytest.raises(CheckpointError, match="other features"):
        load_numbers(tmp_path)
