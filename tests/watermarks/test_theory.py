"""Expected evidence: what `choose` does in the mean is what the formulas say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from staged.errors import PlanError
from staged.watermarks import evidence, theory
from staged.watermarks.contract import Watermark
from staged.watermarks.evidence import MIN_TOKENS
from staged.watermarks.kinds.gumbel import DualGumbel, Gumbel
from staged.watermarks.kinds.kgw import KGW
from staged.watermarks.kinds.sbw import SBW
from staged.watermarks.kinds.synthid import SynthID
from tests.watermarks.marked import marked
from tests.watermarks.plain import Listed

V = 512
KEYS = tuple(range(101, 131))
SCHEMES: dict[str, Watermark] = {
    "gumbel": Gumbel(5),
    "gumbel-dual": DualGumbel(5),
    "gumbel-dual-half": DualGumbel(5, alpha=0.4),
    "kgw": KGW(5, V),
    "kgw-selfhash": KGW(5, V, gamma=0.5, delta=1.0, seeding="selfhash"),
    "sbw": SBW(5),
    "sbw-lefthash": SBW(5, gamma=0.25, delta=4.0, seeding="lefthash"),
    "synthid": SynthID(KEYS),
}


def distributions() -> np.ndarray:
    """From nearly certain to flat."""
    rng = np.random.default_rng(0)
    rows = [rng.dirichlet(np.full(24, a)) for a in (0.02, 0.1, 0.5, 2.0)]
    return np.stack([*rows, np.full(24, 1 / 24)]).astype(np.float32)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_choices_have_the_evidence_that_theory_expects(scheme: str) -> None:
    """Random contexts stand for random keys."""
    watermark, rng = SCHEMES[scheme], np.random.default_rng(3)
    draws = 300 if "kgw" in scheme else 4_000
    for masses in distributions():
        contexts = torch.from_numpy(rng.integers(1, V, (draws, watermark.width)))
        ids = torch.from_numpy(rng.permuted(np.tile(np.arange(1, V), (draws, 1)), axis=1)[:, :24])
        chosen = watermark.choose(
            torch.from_numpy(np.tile(masses, (draws, 1))),
            ids,
            contexts,
            torch.from_numpy(rng.random(draws)),
        )
        values = watermark.values(contexts, ids.gather(1, chosen[:, None])[:, 0]).numpy()
        mean, variance = (float(row[0]) for row in theory.moments(watermark, masses[None]))
        assert values.mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / draws) + 1e-3)
        if scheme != "synthid":
            assert values.var() == pytest.approx(variance, rel=0.25, abs=0.02)
        else:
            assert values.var() < 1.1 * variance


def test_gumbel_in_numbers() -> None:
    """A certain token says nothing; of m equal ones the mean is the harmonic number of m."""
    for m in (1, 2, 16):
        mean, variance = theory.moments(Gumbel(1), np.full((1, m), 1 / m))
        assert mean[0] == pytest.approx(sum(1 / i for i in range(1, m + 1)))
        assert variance[0] == pytest.approx(sum(1 / i**2 for i in range(1, m + 1)))


def test_our_chance_of_a_green_choice_is_kgws() -> None:
    """Two integrals of two formulas."""
    masses = distributions()
    kgw = KGW(1, 40_000, gamma=0.25, delta=2.0)
    ours = theory.green_chance(masses / masses.sum(axis=1, keepdims=True), 0.25, 2.0)
    assert ours == pytest.approx(kgw.expected_value(torch.from_numpy(masses)).numpy(), abs=2e-4)


@pytest.mark.parametrize("nats", [0.1, 1.0, 3.0, 6.0])
def test_a_distribution_of_an_entropy(nats: float) -> None:
    falling = theory.distribution(nats)
    assert stats.entropy(falling) == pytest.approx(nats)
    assert (np.diff(falling) <= 0).all()


@pytest.mark.parametrize("nats", [0.0, -1.0, 7.0, math.nan])
def test_an_entropy_that_no_distribution_has(nats: float) -> None:
    with pytest.raises(PlanError, match="entropy must lie between"):
        theory.distribution(nats)


@pytest.mark.parametrize("scheme", ["gumbel", "gumbel-dual", "sbw", "synthid", "kgw"])
def test_more_entropy_is_more_evidence(scheme: str) -> None:
    values = [theory.expected_value(SCHEMES[scheme], nats) for nats in (0.1, 0.5, 1.0, 2.0, 4.0)]
    assert values == sorted(values)


@pytest.mark.parametrize(("scheme", "power"), [("gumbel", 0.5), ("gumbel", 0.9), ("sbw", 0.8)])
def test_texts_of_as_many_tokens_are_found_as_often(scheme: str, power: float) -> None:
    watermark = SCHEMES[scheme]
    masses = distributions()[[1, 2]]
    count = theory.tokens_needed(watermark, masses, power=power, p_value=1e-3)
    shuffle = np.random.default_rng(8)
    found = 0
    for seed in range(120):
        order = shuffle.permuted(np.arange(count + watermark.width) % len(masses))
        tokens = marked(watermark, masses[order].astype(float), 1_000 + seed)
        contexts, ids = evidence.pairs(tokens, watermark)
        values = watermark.values(contexts[-count:], ids[-count:])
        found += watermark.p_value(float(values.sum()), count) <= 1e-3
    assert found / 120 == pytest.approx(power, abs=0.14)


def test_fewer_tokens_than_the_least_could_not_be_expected_to_show_a_mark() -> None:
    one_nat = theory.distribution(1.0)[None]
    for watermark in (KGW(1, 50_257), SBW(1)):
        assert theory.tokens_needed(watermark, one_nat) > MIN_TOKENS
    assert theory.tokens_needed(Gumbel(1), one_nat) < MIN_TOKENS


def test_where_nothing_is_left_to_choose_no_length_is_enough() -> None:
    with pytest.raises(PlanError, match="too little entropy"):
        theory.tokens_needed(Gumbel(1), np.ones((1, 1)))


def test_a_scheme_without_a_formula_is_said() -> None:
    with pytest.raises(PlanError, match="no formula"):
        theory.moments(Listed(1), np.ones((1, 2)))
