"""Sampling methods against their exact distributions; the engine against itself at other batch sizes and prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from staged.errors import SamplingError
from staged.model.checkpoints import load_model
from staged.samples.engine import generate
from staged.samples.methods import Method, draw, from_numbers, keep_top_k, method
from staged.samples.streams import derive, uniforms

DRAWS = 200_000
REJECT_AT = 1e-4
LOGITS = torch.tensor([2.0, 1.5, 1.5, 0.3, -0.2, -1.0, -1.0, -4.0])


def exact(chosen: Method, p: float) -> np.ndarray:
    """The distribution written out independently, in float64 with a sort."""
    logits = LOGITS.double().numpy() / chosen.temperature
    if chosen.top_k:
        least = np.sort(logits)[::-1][min(chosen.top_k, len(logits)) - 1]
        logits = np.where(logits < least, -np.inf, logits)
    mass = np.exp(logits - logits.max())
    mass /= mass.sum()
    if p < 1:
        strictly_likelier = np.array([mass[mass > one].sum() for one in mass])
        mass = np.where(strictly_likelier < p, mass, 0)
        mass /= mass.sum()
    return mass


@pytest.mark.parametrize(
    ("name", "p"),
    [
        ("temperature-1", 1.0),
        ("temperature-0.5", 1.0),
        ("temperature-1.7", 1.0),
        ("top-k-3", 1.0),
        ("top-k-2", 1.0),  # a tie at the edge: three survive
        ("top-k-100", 1.0),
        ("top-p-0.6", 0.6),
        ("top-p-0.9", 0.9),
        ("temperature-0.8+top-k-5+top-p-0.85", 0.85),
    ],
)
def test_draws_follow_the_exact_distribution(name: str, p: float) -> None:
    u = torch.from_numpy(np.random.default_rng([1, len(name)]).random(DRAWS))
    rows = LOGITS.expand(DRAWS, -1)
    tokens = draw(rows, u, method(name), torch.full((DRAWS,), p)).numpy()
    expected = exact(method(name), p)
    counts = np.bincount(tokens, minlength=len(LOGITS))
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    assert stats.chisquare(counts[kept], expected[kept] * DRAWS).pvalue > REJECT_AT


def test_nucleus_keeps_the_crossing_token() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log().expand(1000, -1)
    u = torch.linspace(0, 1 - 1e-9, 1000, dtype=torch.float64)
    assert set(draw(logits, u, method("top-p-0.6"), torch.full((1000,), 0.6)).tolist()) == {0, 1}


def test_each_row_has_its_own_p() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log().expand(2000, -1)
    u = torch.linspace(0, 1 - 1e-9, 1000, dtype=torch.float64).repeat(2)
    p = torch.cat([torch.full((1000,), 0.4), torch.full((1000,), 0.95)])
    tokens = draw(logits, u, method("nucleus"), p)
    assert set(tokens[:1000].tolist()) == {0}
    assert set(tokens[1000:].tolist()) == {0, 1, 2}


def test_top_k_ties_survive() -> None:
    kept = keep_top_k(torch.tensor([[3.0, 1.0, 1.0, 0.0]]), 2)
    assert torch.isfinite(kept).tolist() == [[True, True, True, False]]


@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=50), st.floats(0, 1, exclude_max=True), st.floats(0.05, 1))
@settings(max_examples=300, deadline=None)
def test_any_row_gives_a_token_of_the_nucleus(logits: list[float], u: float, p: float) -> None:
    row = torch.tensor([logits])
    token = int(draw(row, torch.tensor([u], dtype=torch.float64), Method("x", top_p=(p, p)), torch.tensor([p]))[0])
    mass = row.softmax(dim=1)[0]
    assert float(mass[mass > mass[token]].sum()) < p or token == int(mass.argmax())


@pytest.mark.parametrize("name", ["top-k", "temprature-1", "top-p-0", "top-p-1.5", "top-k-2.5", "top-k-1+top-k-2", ""])
def test_bad_method_names(name: str) -> None:
    with pytest.raises(SamplingError):
        method(name)


def test_names_spell_out_the_numbers() -> None:
    assert from_numbers(0.7, 40, None) == Method("temperature-0.7+top-k-40", 0.7, 40)
    assert method("temperature-0.7+top-k-40") == from_numbers(0.7, 40, None)
    assert from_numbers(None, None, 0.9) == method("top-p-0.9")
    with pytest.raises(SamplingError, match="--top-p"):
        from_numbers(None, None, 0.0)


class TestStreams:
    def test_depend_on_seed_and_number_only(self) -> None:
        assert (uniforms(1, 5, 10)[:4] == uniforms(1, 5, 4)).all()
        assert not np.isclose(uniforms(1, 5, 4), uniforms(1, 6, 4)).any()
        assert not np.isclose(uniforms(1, 5, 4), uniforms(2, 5, 4)).any()

    def test_derived_seeds_differ_by_name(self) -> None:
        assert derive(1, "a", "b") != derive(1, "ab") != derive(2, "ab")
        assert 0 <= derive(1, "a") < 2**64


class TestEngine:
    PROMPTS = ("The river", "The captain keeps", "A", "Before noon the old garden engine")

    @pytest.mark.parametrize("name", ["greedy", "temperature-1", "top-k-40", "nucleus"])
    def test_same_at_any_batch_size(self, tiny: Path, name: str) -> None:
        model, bpe = load_model(str(tiny))
        prompts = bpe.encode_batch(self.PROMPTS)
        kwargs = {"length": 30, "end": bpe.end_of_text, "seed": 4}
        together = generate(model, prompts, method(name), **kwargs)
        for i, prompt in enumerate(prompts):
            assert generate(model, [prompt], method(name), first=i, **kwargs) == [together[i]]

    def test_cached_tokens_are_the_likeliest_given_the_whole_text(self, tiny: Path) -> None:
        model, bpe = load_model(str(tiny))
        prompt = bpe.encode(self.PROMPTS[3])
        out = generate(model, [prompt], method("greedy"), length=20, end=bpe.end_of_text, seed=1)[0]
        logits = model(torch.tensor([prompt + out.tokens]))[0]
        assert logits[len(prompt) - 1 : -1].argmax(dim=1).tolist()[: len(out.tokens)] == out.tokens

    def test_ends_at_end_of_text_and_not_after(self, tiny: Path) -> None:
        model, bpe = load_model(str(tiny))
        found = generate(model, [[bpe.end_of_text]] * 64, method("temperature-1"), length=120, end=bpe.end_of_text, seed=2)
        assert any(one.ended for one in found)
        for one in found:
            assert bpe.end_of_text not in one.tokens
            assert one.ended == (len(one.tokens) < 120) or len(one.tokens) == 120

    def test_what_does_not_fit_is_said(self, tiny: Path) -> None:
        model, bpe = load_model(str(tiny))
        with pytest.raises(SamplingError, match=r"don't fit the context of 128; the length can be 1 to 119"):
            generate(model, [[1] * 10], method("greedy"), length=120, end=bpe.end_of_text, seed=1)
        with pytest.raises(SamplingError, match="empty prompt"):
            generate(model, [[]], method("greedy"), length=1, end=bpe.end_of_text, seed=1)
