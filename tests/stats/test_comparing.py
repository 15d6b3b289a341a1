"""Permutations, bootstraps and sign flips against exact enumeration and closed forms."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from staged.stats.comparing import (
    interval,
    p_value,
    permuted_difference,
    resampled_means,
    resampled_moments,
    sign_flips,
    stream,
)

P = 20000


def test_permutations_agree_with_all_of_them() -> None:
    x, y = np.array([0.1, 0.9, 0.8, 0.7, 0.65]), np.array([0.2, 0.3, 0.05, 0.6])
    both, first = np.concatenate([x, y]), [list(one) for one in combinations(range(9), 5)]
    dealt = np.array([both[one].mean() - np.delete(both, one).mean() for one in first])
    exact = np.mean(np.abs(dealt) >= x.mean() - y.mean() - 1e-12)
    tested = permuted_difference(x[:, None], y[:, None], P, stream(1, "test"))
    assert tested.observed[0] == pytest.approx(x.mean() - y.mean())
    assert p_value(float(tested.observed[0]), tested.null[:, 0]) == pytest.approx(
        exact, abs=4 * np.sqrt(exact / P)
    )


def test_measures_of_one_prompt_are_dealt_together() -> None:
    x = np.random.default_rng(0).random((8, 1))
    tested = permuted_difference(
        np.hstack([x, -2 * x]), np.hstack([x + 1, -2 * x - 2]), 99, stream(1, "test")
    )
    assert np.allclose(tested.null[:, 1], -2 * tested.null[:, 0])
    assert tested.null.shape == (99, 2)


def test_sign_flips_agree_with_all_of_them() -> None:
    d = np.array([0.5, -0.1, 0.4, 0.3, 0.2, 0.6])
    signs = np.array(list(product((-1, 1), repeat=len(d))))
    exact = np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-12)
    assert sign_flips(d, P, stream(1, "test")) == pytest.approx(exact, abs=4 * np.sqrt(exact / P))


def test_no_difference_has_p_1_and_none_has_p_0() -> None:
    assert sign_flips(np.zeros(9), 999, stream(1, "test")) == 1
    assert p_value(5.0, np.zeros(999)) == 1 / 1000
    same = permuted_difference(np.ones((5, 1)), np.ones((5, 1)), 999, stream(1, "test"))
    assert p_value(float(same.observed[0]), same.null[:, 0]) == 1


def test_bootstrap_spreads_as_the_standard_error() -> None:
    x = np.random.default_rng(3).normal(2, 1.5, (400, 1))
    moments = resampled_moments(x, 4000, stream(1, "test"))
    assert moments.mean.std() == pytest.approx(x.std() / 20, rel=0.05)
    assert (moments.square - moments.mean**2).mean() == pytest.approx(x.var(), rel=0.02)
    assert resampled_means(x[:, 0], 4000, stream(2, "test")).std() == pytest.approx(
        x.std() / 20, rel=0.05
    )


def test_an_interval_holds_the_middle_95_percent() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_streams_depend_on_their_names() -> None:
    assert stream(1, "a").random() == stream(1, "a").random() != stream(1, "b").random()
