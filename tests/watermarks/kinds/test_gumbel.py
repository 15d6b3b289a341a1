"""Keyed Gumbel-max against vLLM's frozen numbers, against its rule written out, and its chances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from staged.errors import PlanError
from staged.samples.methods import method
from staged.watermarks.contract import MISSING, Watermark
from staged.watermarks.kinds import gumbel
from staged.watermarks.kinds.gumbel import DualGumbel, Gumbel
from staged.watermarks.kinds.philox import context_state, key_words, token_words, uniform
from tests.watermarks.writing import Fixed, p_value, write

GOLDEN = (
    "46 24 45 80 14 26 22 124 21 45 16 30 5 89 0 10 27 70 80 62 1 11 117 53 10 45 94 37 43 22 78 49"
    " 119 9 22 118 82 75 32 24 84 27 122 66 78 64 124 17 91 12 51 15 75 64 127 45 112 15 83 114 121"
    " 109 24 77"
)
TOKENS = [int(token) for token in GOLDEN.split()]
SCHEMES = [Gumbel(42), DualGumbel(42), DualGumbel(2**64 - 1, alpha=0.4, width=2)]


def in_contexts(tokens: list[int], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    padded = [MISSING] * width + tokens
    contexts = [padded[place : place + width] for place in range(len(tokens))]
    return torch.tensor(contexts), torch.tensor(tokens)


@pytest.mark.parametrize(
    ("key", "total", "p"),
    [(42, 296.27295787856, 7.128196280873e-61), (43, 63.25096716585622, 0.52084479)],
)
def test_vllms_golden_text(key: int, total: float, p: float) -> None:
    values = Gumbel(key).values(*in_contexts(TOKENS, 4))
    assert len(values) == 64
    assert math.fsum(values.tolist()) == pytest.approx(total, rel=1e-14)
    # theirs is summed in logarithms, and exact to some 12 digits
    assert Gumbel(key).p_value(math.fsum(values.tolist()), 64) == pytest.approx(p, rel=1e-8)


def test_the_golden_p_value_to_its_last_digits() -> None:
    total = math.fsum(Gumbel(42).values(*in_contexts(TOKENS, 4)).tolist())
    assert Gumbel(42).p_value(total, 64) == pytest.approx(7.128196280873e-61, rel=2e-13)


def test_the_keys_of_a_pair() -> None:
    """First 8 bytes of SHA-256 of `key_a` or `key_b` and the key, computed by coreutils."""
    assert [f"{key:016x}" for key in DualGumbel(42).keys] == [
        "0083fc6a8fb9d18c",
        "dba381ce1fb887ad",
    ]


def test_the_values_of_a_pair() -> None:
    contexts, tokens = in_contexts(TOKENS, 4)
    pair = DualGumbel(42, alpha=0.25)
    first, second = (Gumbel(key).values(contexts, tokens) for key in pair.keys)
    torch.testing.assert_close(pair.values(contexts, tokens), 0.75 * first + 0.25 * second)


def rows(count: int, kept: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(count, kept, generator=generator)
    ids = torch.stack([torch.randperm(50257, generator=generator)[:kept] for _ in range(count)])
    contexts = torch.randint(-1, 50257, (count, 4), generator=generator)
    return logits, ids, contexts, torch.rand(count, dtype=torch.float64, generator=generator)


def test_the_choice_is_the_largest_logit_with_noise() -> None:
    logits, ids, contexts, u = rows(200, 300)
    logits[:, ::3] = -torch.inf
    key = key_words(42)
    noise = -(-uniform(token_words(context_state(contexts, key), key, ids)).double().log()).log()
    chosen = Gumbel(42).choose(logits.softmax(dim=1), ids, contexts, u)
    assert torch.equal(chosen, (logits.double() + noise).argmax(dim=1))


@pytest.mark.parametrize("spread", [1.0, 4.0, 12.0])
@pytest.mark.parametrize("is_whole", [True, False])
def test_of_many_columns_the_same_one_wins(
    monkeypatch: pytest.MonkeyPatch, spread: float, is_whole: bool
) -> None:
    """However many tokens can win: all that are likely enough get noise."""
    logits, ids, contexts, u = rows(30, 3000)
    ids = torch.arange(3000).expand(30, 3000) if is_whole else ids
    mass = (spread * logits).softmax(dim=1)
    for mark in (Gumbel(42), DualGumbel(42)):
        quick = mark.choose(mass, ids, contexts, u)
        with monkeypatch.context() as patch:
            patch.setattr(gumbel, "MANY", 5000)
            assert torch.equal(quick, mark.choose(mass, ids, contexts, u))


def test_one_of_the_pair_chooses() -> None:
    logits, ids, contexts, u = rows(300, 50)
    pair, mass = DualGumbel(42, alpha=0.3), logits.softmax(dim=1)
    first, second = (Gumbel(key).choose(mass, ids, contexts, u) for key in pair.keys)
    chosen = pair.choose(mass, ids, contexts, u)
    assert torch.equal(chosen, torch.where(u < 0.7, first, second))
    assert 0 < int((chosen != first).sum()) < 150


@pytest.mark.parametrize("make", [Gumbel, DualGumbel])
def test_over_keys_the_distribution_is_the_models(make: type[Gumbel] | type[DualGumbel]) -> None:
    mass, draws = torch.tensor([0.4, 0.0, 0.3, 0.2, 0.1]), 2000
    ids = torch.tensor([50256, 3, 7, 6, 5]).expand(draws, 5)
    generator = torch.Generator().manual_seed(2)
    contexts = torch.randint(0, 50257, (draws, 4), generator=generator)
    u = torch.rand(draws, dtype=torch.float64, generator=generator)
    chosen = make(12345).choose(mass.expand(draws, 5), ids, contexts, u)
    counts = np.bincount(chosen.numpy(), minlength=5)
    assert counts[1] == 0
    kept = [0, 2, 3, 4]
    assert stats.chisquare(counts[kept], draws * np.array([0.4, 0.3, 0.2, 0.1])).pvalue > 1e-3


@pytest.mark.parametrize("watermark", SCHEMES, ids=repr)
def test_marks_are_found_and_only_with_the_key(watermark: Gumbel | DualGumbel) -> None:
    texts = write(watermark, Fixed(20, 40, 100), method("top-k-40")).tolist()
    assert max(p_value(watermark, text) for text in texts) < 1e-3
    other = type(watermark)(7)
    p_values = [p_value(other, text) for text in texts]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("watermark", SCHEMES, ids=repr)
def test_without_marks_p_values_are_uniform(watermark: Watermark) -> None:
    generator = torch.Generator().manual_seed(4)
    contexts = torch.randint(0, 50257, (400, 25, watermark.width), generator=generator)
    tokens = torch.randint(0, 50257, (400, 25), generator=generator)
    totals = watermark.values(contexts.flatten(0, 1), tokens.flatten()).view(400, 25).sum(dim=1)
    p_values = [watermark.p_value(total, 25) for total in totals.tolist()]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_what_decides_the_text() -> None:
    assert Gumbel(1).fixes_text
    assert not DualGumbel(1).fixes_text
    assert DualGumbel(1, alpha=0).fixes_text
    assert DualGumbel(1, alpha=1).fixes_text


def test_a_key_is_not_shown() -> None:
    secret = 8675309
    assert not any(str(secret) in repr(mark) for mark in (Gumbel(secret), DualGumbel(secret)))
    with pytest.raises(PlanError) as refusal:
        Gumbel(2**64 + secret)
    assert str(2**64 + secret) not in str(refusal.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gumbel(-1),
        lambda: Gumbel(2**64),
        lambda: Gumbel(1, width=0),
        lambda: DualGumbel(1, alpha=1.1),
        lambda: DualGumbel(1, alpha=float("nan")),
    ],
)
def test_refused(make: object) -> None:
    with pytest.raises(PlanError, match="watermark: "):
        make()  # type: ignore[operator]
