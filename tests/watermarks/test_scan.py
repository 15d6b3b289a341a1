"""A marked passage inside unmarked text: its p-value keeps its rate, and it is found where it is."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy import stats

from staged.model.bpe import BPE
from staged.watermarks import evidence
from staged.watermarks.contract import Watermark
from staged.watermarks.evidence import MIN_TOKENS, Candidate
from staged.watermarks.scan import DRAWN, SHORTEST, NullValues, null_values, scan
from tests.conftest import prose
from tests.watermarks.plain import Exponential, Listed
from tests.watermarks.rings import marked_text

SCHEMES: list[Watermark] = [Exponential(1), Listed(1)]


@pytest.mark.parametrize("watermark", SCHEMES)
def test_values_are_drawn_as_the_schemes_own(watermark: Watermark) -> None:
    rng = np.random.default_rng(1)
    own = watermark.values(
        torch.from_numpy(rng.integers(0, 99_999, (20_000, watermark.width))),
        torch.from_numpy(rng.integers(0, 99_999, 20_000)),
    )
    drawn = null_values(watermark).draw(rng, (20, 1_000)).ravel()
    assert stats.ks_2samp(own.numpy(), drawn).pvalue > 0.01
    assert np.var(drawn) == pytest.approx(float(own.var()), rel=0.05)


def test_sums_of_weighted_bits_are_drawn_as_such() -> None:
    weights = tuple(range(40, 20, -1))
    drawn = NullValues(weights, 0.45).draw(np.random.default_rng(2), (100, 1_000)).ravel()
    bits = np.random.default_rng(3).random((100_000, 20)) < 0.45
    assert stats.ks_2samp(drawn, bits @ np.asarray(weights) / sum(weights)).pvalue > 0.01
    assert drawn.min() >= 0
    assert drawn.max() <= 1


@pytest.mark.parametrize("watermark", SCHEMES)
@pytest.mark.parametrize("count", [40, 200])
def test_p_values_keep_their_rate(watermark: Watermark, count: int) -> None:
    """As many as are due or, where the least p of a text comes in steps, fewer."""
    values = null_values(watermark).draw(np.random.default_rng(count), (300, count))
    results = [scan(row, watermark) for row in values]
    p_values = np.array([result.p_value for result in results if result])
    assert len(p_values) == len(values)
    for level in (0.01, 0.05, 0.2, 0.5):
        assert stats.binomtest(int((p_values <= level).sum()), 300, level, "greater").pvalue > 0.005
    if isinstance(watermark, Exponential):
        assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_a_passage_is_found_where_it_is() -> None:
    rng, hits = np.random.default_rng(4), 0
    for _ in range(20):
        values = rng.standard_exponential(800)
        values[300:360] *= 1.9
        result = scan(values, Exponential(1))
        assert result is not None
        if result.p_value <= 0.01:
            hits += 1
            assert 240 < result.first < 350
            assert 310 < result.last < 420
    whole = [stats.gamma.sf(800 + 54, 800)]
    assert hits >= 15
    assert whole[0] > 0.02


def test_too_short_a_text_has_no_parts() -> None:
    assert SHORTEST == MIN_TOKENS
    assert scan(np.ones(SHORTEST), Exponential(1)) is None
    assert scan(np.ones(0), Exponential(1)) is None


def test_the_least_p_is_what_the_draws_allow() -> None:
    values = np.ones(500)
    values[100:200] = 9
    result = scan(values, Exponential(1))
    assert result is not None
    assert result.p_value == 1 / (1 + DRAWN)
    assert (result.first, result.last) == pytest.approx((100, 200), abs=25)


def test_the_passage_of_a_text_in_characters(bpe: BPE) -> None:
    """Human, machine, human: what is said to be marked are the machine's words."""
    mark = marked_text(bpe, Exponential(21), 3, 90)
    before, after = prose(31, 24), prose(32, 24)
    text = f"{before}{mark} {after}"
    own = [Candidate(f"key-{key}", Exponential(key), bpe, "tiny") for key in (20, 21, 22)]
    test = evidence.test_text(text, own, passages=True)
    assert test.key == "key-21"
    assert test.p_value <= 0.01
    assert test.enough
    found = test.passage
    if found is not None:
        begin, end = len(before), len(before) + len(mark)
        shared = min(found.end, end) - max(found.start, begin)
        assert shared > 0.6 * (end - begin)
        assert found.end - found.start < 1.5 * (end - begin)
    hidden = f"{prose(33, 160)}{marked_text(bpe, Exponential(21), 4, 45)} {prose(34, 160)}"
    inside = evidence.test_text(hidden, own, passages=True)
    assert inside.passage is not None
    assert inside.p_value <= 0.01
    assert evidence.test_text(hidden, own).p_value > inside.p_value


def test_a_text_marked_throughout_is_not_called_a_passage(bpe: BPE) -> None:
    own = [Candidate("key", Exponential(21), bpe)]
    text = marked_text(bpe, Exponential(21), 3, 200)
    both, whole = (evidence.test_text(text, own, passages=on) for on in (True, False))
    assert both.passage is None
    assert both.p_value == pytest.approx(2 * whole.p_value)


@pytest.mark.parametrize("watermark", SCHEMES)
def test_a_thousand_tokens_take_less_than_a_second(watermark: Watermark) -> None:
    values = null_values(watermark).draw(np.random.default_rng(0), (1, 1_000))[0]
    scan(values, watermark)
    began = time.process_time()
    scan(values, watermark)
    assert time.process_time() - began < 1
