"""Statistics against closed forms and independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from staged.stats.comparing import rate
from staged.stats.metrics import (
    auroc,
    clustered_auroc,
    clustered_rate,
    mcnemar,
    paired_difference,
    ratio,
)

SCORES = st.lists(st.integers(-6, 6).map(float), min_size=2, max_size=40)


def test_wilson_by_hand() -> None:
    estimate, low, high = rate(960, 1000)
    assert estimate == 0.96
    assert (low, high) == (pytest.approx(0.9460, abs=1e-4), pytest.approx(0.9705, abs=1e-4))
    assert rate(0, 50)[1] == pytest.approx(0, abs=1e-12)
    assert rate(50, 50)[2] == pytest.approx(1)


@given(SCORES, SCORES)
def test_auroc_equals_scikit_learn_and_lies_in_its_interval(
    human: list[float], machine: list[float]
) -> None:
    area, low, high = auroc(human, machine)
    expected = roc_auc_score([0] * len(human) + [1] * len(machine), human + machine)
    assert area == pytest.approx(expected)
    assert 0 <= low <= area <= high <= 1


def test_auroc_interval_covers_the_truth() -> None:
    stream = np.random.default_rng(4)
    truth = 0.7602  # of N(1, 1) above N(0, 1): Φ(1/√2)
    inside = 0
    for _ in range(400):
        _, low, high = auroc(stream.normal(size=80).tolist(), stream.normal(1, size=80).tolist())
        inside += low <= truth <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_perfect_separation_keeps_an_interval() -> None:
    area, low, high = auroc([0.0] * 100, [1.0] * 100)
    assert (area, high) == (1, 1)
    assert low == pytest.approx(0.0250 ** (1 / 100), abs=1e-3)


def test_mcnemar_by_hand() -> None:
    a = [True] * 10 + [False] * 2 + [True] * 5
    b = [False] * 10 + [True] * 2 + [True] * 5
    only_a, only_b, p = mcnemar(a, b)
    assert (only_a, only_b) == (10, 2)
    assert p == pytest.approx(2 * sum((1, 12, 66)) / 2**12)
    assert mcnemar([True], [True]) == (0, 0, 1.0)


def test_paired_difference_by_hand() -> None:
    estimate, low, high = paired_difference(30, 10, 200)
    assert estimate == 0.1
    assert high - estimate == pytest.approx(1.96 * (40 - 400 / 200) ** 0.5 / 200, abs=1e-4)
    assert low + high == pytest.approx(0.2)
    assert paired_difference(0, 0, 5) == (0, 0, 0)


def test_ratio_by_hand() -> None:
    share, low, high = ratio([2, 0, 1, 1], [4, 4, 2, 6])
    squares = (2 - 1) ** 2 + (0 - 1) ** 2 + (1 - 0.5) ** 2 + (1 - 1.5) ** 2
    independent = (
        0.25 * 0.75 / (4 / 3 * squares / 16**2) * (1.959964 / 3.182446) ** 2
    )  # Student's t of 3: the texts but one
    z2 = 1.959964**2
    centre = (0.25 + z2 / (2 * independent)) / (1 + z2 / independent)
    spread = math.sqrt(z2 * (0.25 * 0.75 / independent + z2 / (4 * independent**2))) / (
        1 + z2 / independent
    )
    assert (share, low, high) == (
        0.25,
        pytest.approx(centre - spread, rel=1e-5),
        pytest.approx(centre + spread, rel=1e-5),
    )
    assert ratio([0] * 300, [50] * 300) == (0.0, 0.0, pytest.approx(z2 / (300 + z2), rel=1e-5))
    assert (
        ratio([1, 0, 1], [1, 1, 1]) == ratio([1, 0, 0, 1], [1, 0, 1, 1]) == rate(2, 3)
    )  # a text too short for one has no say


@pytest.mark.parametrize("long", [0.0, 0.1, 1.0])
def test_ratio_interval_covers_the_truth_where_hardly_a_text_has_a_hit(long: float) -> None:
    """One text in 200 copies one of its 50 runs, or with probability `long` all of them."""
    stream = np.random.default_rng(4)
    inside = 0
    for _ in range(400):
        copied = np.where(stream.random(300) < long, 50, 1)
        _, low, high = ratio(np.where(stream.random(300) < 1 / 200, copied, 0).tolist(), [50] * 300)
        inside += low <= (50 * long + 1 - long) / 50 / 200 <= high
    assert inside >= 366


def test_one_text_more_or_less_that_copies_is_no_leap() -> None:
    none, one, two = (ratio([1] * hits + [0] * (500 - hits), [200] * 500)[2] for hits in (0, 1, 2))
    assert none > one > two > 2 / 100_000


def test_one_divided_cluster_says_nothing() -> None:
    assert ratio([25], [50]) == (0.5, 0, 1)


def test_ratio_interval_covers_the_truth_when_texts_are_clumped() -> None:
    stream = np.random.default_rng(3)
    inside = 0
    for _ in range(400):
        rates = stream.beta(0.5, 4.5, 200)  # mean 0.1, very uneven over texts
        counts = stream.integers(20, 200, 200)
        _, low, high = ratio(stream.binomial(counts, rates).tolist(), counts.tolist())
        inside += low <= 0.1 <= high
    assert inside >= 366  # 95% of 400, less three standard deviations


class TestClusters:
    """Figures of texts that come in clusters."""

    def test_single_texts_are_the_plain_figures(self) -> None:
        stream = np.random.default_rng(1)
        human, machine = stream.normal(0, 1, 40), stream.normal(1, 1, 60)
        plain = auroc(human.tolist(), machine.tolist())
        assert clustered_auroc(human, machine, np.arange(40), np.arange(40, 100)) == plain  # type: ignore[arg-type]
        assert clustered_rate([True] * 3 + [False] * 7, range(10)) == rate(3, 10)

    def test_copies_of_a_text_say_nothing_new(self) -> None:
        """Each text five times over: about the interval of one copy, and far from that of five
        times as many texts.
        """
        stream = np.random.default_rng(2)
        hits = stream.random(200) < 0.3
        share, low, high = clustered_rate(np.repeat(hits, 5), np.repeat(np.arange(200), 5))  # type: ignore[arg-type]
        assert (share, low, high) == pytest.approx(rate(int(hits.sum()), 200), abs=0.003)
        human, machine = stream.normal(0, 1, 100), stream.normal(1, 1, 100)
        found = clustered_auroc(
            np.repeat(human, 5),  # type: ignore[arg-type]
            np.repeat(machine, 5),  # type: ignore[arg-type]
            np.repeat(np.arange(100), 5),  # type: ignore[arg-type]
            np.repeat(np.arange(100, 200), 5),  # type: ignore[arg-type]
        )
        assert found == pytest.approx(auroc(human.tolist(), machine.tolist()), abs=0.003)

    @pytest.mark.parametrize("hits", [[True] * 12, [False] * 12])
    def test_where_all_agree_clusters_count(self, hits: list[bool]) -> None:
        assert clustered_rate(hits, [i // 3 for i in range(12)])[1:] == pytest.approx(
            rate(sum(hits) // 3, 4)[1:]
        )

    def test_coverage(self) -> None:
        """Of 400 draws of 40 clusters with a shared effect about 95% of intervals hold the truth;
        Wilson's over rows do not.
        """
        stream = np.random.default_rng(3)
        clusters = np.repeat(np.arange(40), 8)
        held = plain = 0
        for _ in range(400):
            hits = stream.random(320) < np.repeat(stream.beta(1, 3, 40), 8)
            _, low, high = clustered_rate(hits, clusters)  # type: ignore[arg-type]
            held += low <= 0.25 <= high
            _, low, high = rate(int(hits.sum()), 320)
            plain += low <= 0.25 <= high
        assert 0.92 <= held / 400 <= 0.98
        assert plain / 400 < 0.88
