"""SynthID-Text against transformers and synthid-text, which we share no code with: bits, the
tournament, the score, texts that transformers writes.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    SynthIDTextWatermarkingConfig,
    SynthIDTextWatermarkLogitsProcessor,
)

from staged.errors import PlanError
from staged.watermarks.contract import MISSING
from staged.watermarks.evidence import pairs
from staged.watermarks.kinds.synthid import SynthID

VOCABULARY = 500
KEYS = tuple(int(key) for key in np.random.default_rng(1).integers(-(2**63), 2**63, 30))


def processor(ours: SynthID) -> SynthIDTextWatermarkLogitsProcessor:
    return config(ours).construct_processor(VOCABULARY, "cpu")


def config(ours: SynthID) -> SynthIDTextWatermarkingConfig:
    return SynthIDTextWatermarkingConfig(
        ngram_len=ours.ngram,
        keys=list(ours.keys),
        sampling_table_size=ours.table_size,
        sampling_table_seed=ours.table_seed,
        skip_first_ngram_calls=ours.skip_first,
    )


def bits_of(ours: SynthID, tokens: torch.Tensor) -> torch.Tensor:
    grams = tokens.unfold(1, ours.ngram, 1)
    contexts, last = grams[:, :, :-1].flatten(0, 1), grams[:, :, -1].flatten()
    return ours.bits(contexts, last).view(*grams.shape[:2], len(ours.keys))


SETTINGS: list[dict[str, Any]] = [
    {},
    {"ngram": 2, "table_size": 1000, "table_seed": 77},
    {"ngram": 7, "table_size": 2**20, "table_seed": 3},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_bits_are_transformers_and_synthid_texts_bit_for_bit(settings: dict[str, Any]) -> None:
    ours = SynthID(KEYS, **settings)
    torch.manual_seed(1)
    tokens = torch.randint(0, 262_144, (200, 40))
    assert torch.equal(bits_of(ours, tokens), processor(ours).compute_g_values(tokens).float())
    package = pytest.importorskip("synthid_text.logits_processing")
    theirs = package.SynthIDLogitsProcessor(
        ngram_len=ours.ngram,
        keys=list(ours.keys),
        sampling_table_size=ours.table_size,
        sampling_table_seed=ours.table_seed,
        context_history_size=1024,
        temperature=1.0,
        top_k=40,
        device=torch.device("cpu"),
    )
    assert torch.equal(bits_of(ours, tokens), theirs.compute_g_values(tokens).float())


def scores(monkeypatch: pytest.MonkeyPatch) -> Any:
    """synthid-text's score functions; what they take from JAX is in numpy under the same names."""
    pytest.importorskip("synthid_text.logits_processing")
    if importlib.util.find_spec("jax") is None:
        jax: Any = types.ModuleType("jax")
        jax.numpy = np
        monkeypatch.setitem(sys.modules, "jax", jax)
        monkeypatch.setitem(sys.modules, "jax.numpy", np)
    return importlib.import_module("synthid_text.detector_mean")


@pytest.mark.parametrize("layers", [1, 2, 9, 30])
def test_values_sum_to_synthid_texts_weighted_mean_score(
    layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = SynthID(KEYS[:layers])
    torch.manual_seed(2)
    tokens = torch.randint(0, VOCABULARY, (200, 30))
    bits = bits_of(ours, tokens).double().numpy()
    mask = np.random.default_rng(3).integers(0, 2, bits.shape[:2])
    grams = tokens.unfold(1, ours.ngram, 1)
    values = [ours.values(gram[:, :-1], gram[:, -1]).numpy() for gram in grams]
    theirs = scores(monkeypatch)
    np.testing.assert_allclose(
        (np.stack(values) * mask).sum(1) / mask.sum(1),
        theirs.weighted_mean_score(bits.copy(), mask),
        rtol=1e-12,
    )
    equal = theirs.mean_score(bits.copy(), mask)
    np.testing.assert_allclose((bits.mean(2) * mask).sum(1) / mask.sum(1), equal, rtol=1e-12)


@pytest.mark.parametrize("layers", [1, 2, 30])
def test_the_tournament_is_that_of_transformers(layers: int) -> None:
    ours = SynthID(KEYS[:layers])
    torch.manual_seed(4)
    logits = 3 * torch.randn(20, VOCABULARY)
    theirs, history = processor(ours), torch.randint(0, VOCABULARY, (20, 9))
    contexts = torch.full((20, 9 + 4), MISSING)
    contexts[:, 4:] = history
    for length in range(10):  # theirs never sees the prompt: its first call has no tokens
        scores = theirs(history[:, :length], logits).softmax(dim=1)
        p = ours.tournament(
            7 * logits.softmax(dim=1),
            torch.arange(VOCABULARY).expand(20, -1),
            contexts[:, length : length + 4],
        )
        torch.testing.assert_close(p, scores, rtol=1e-3, atol=1e-6)


def test_only_tokens_with_mass_play() -> None:
    ours = SynthID(KEYS)
    mass = torch.tensor([[0.0, 0.3, 0.2, 0.5, 0.0]]).repeat(500, 1)
    torch.manual_seed(5)
    ids = torch.stack([torch.randperm(VOCABULARY)[:5] for _ in range(500)])
    contexts, u = torch.randint(0, VOCABULARY, (500, 4)), torch.rand(500, dtype=torch.float64)
    columns = ours.choose(mass, ids, contexts, u)
    assert set(columns.tolist()) == {1, 2, 3}
    shares = torch.bincount(columns, minlength=5) / 500
    assert (shares - mass[0]).abs().max() < 4 * (0.25 / 500) ** 0.5
    chosen = ours.values(contexts, ids.gather(1, columns[:, None])[:, 0])
    assert chosen.mean() > 0.55


def judge(texts: int) -> None:
    ours = SynthID(KEYS)
    torch.manual_seed(6)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=90,
            n_embd=16,
            n_layer=1,
            n_head=2,
            bos_token_id=VOCABULARY,
            eos_token_id=None,
            pad_token_id=VOCABULARY,
        )
    )
    written = model.generate(
        torch.randint(0, VOCABULARY, (texts, 5)),
        do_sample=True,
        top_k=0,
        max_new_tokens=80,
        watermarking_config=config(ours),
    )[:, 5:]
    assert max(p_of(ours, text) for text in written) < 1e-6
    other = SynthID(tuple(key + 1 for key in KEYS))
    assert np.mean([p_of(other, text) < 0.01 for text in written]) <= max(0.03, 1 / texts)


def p_of(ours: SynthID, tokens: torch.Tensor) -> float:
    values = ours.values(*pairs(tokens.tolist(), ours))
    return ours.p_value(float(values.sum()), len(values))


def test_texts_that_transformers_marks_are_found() -> None:
    judge(8)


@pytest.mark.slow
def test_so_it_is_with_200_texts() -> None:
    judge(200)


@pytest.mark.slow
def test_p_values_are_uniform_over_keys() -> None:
    """Of one text, over keys; the table's share of ones counts."""
    rng = np.random.default_rng(8)
    contexts = torch.from_numpy(rng.integers(0, 50257, (150, 4)))
    tokens = torch.from_numpy(rng.integers(0, 50257, 150))
    p_values = []
    for _ in range(1500):
        ours = SynthID(tuple(rng.integers(-(2**63), 2**63, 30).tolist()))
        p_values.append(ours.p_value(float(ours.values(contexts, tokens).sum()), 150))
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_p_values_against_every_outcome_of_two_tokens() -> None:
    ours = SynthID(KEYS[:4], table_size=1000)
    weights, share = np.array(ours.weights), ours.share
    assert weights.tolist() == [10, 7, 4, 1]
    outcomes = list(itertools.product((0, 1), repeat=8))
    sums = np.array([np.tile(weights, 2) @ np.array(bits) for bits in outcomes])
    chances = np.array([share ** sum(bits) * (1 - share) ** (8 - sum(bits)) for bits in outcomes])
    for total in sorted(set(sums.tolist())):
        p = ours.p_value(total / weights.sum(), 2)
        assert p == pytest.approx(chances[sums >= total].sum(), rel=1e-10)
    assert ours.p_value(0.0, 0) == 1.0


def test_the_share_is_that_of_the_table() -> None:
    table = torch.randint(0, 2, (65536,), generator=torch.Generator().manual_seed(0))
    assert SynthID(KEYS).share == float(table.sum()) / 65536 != 0.5


def test_the_first_layers_expected_value_is_the_papers() -> None:
    uniform = SynthID(KEYS[:1]).expected_value(torch.ones(1, 64))
    g_values = pytest.importorskip("synthid_text.g_value_expectations")
    assert float(uniform) == pytest.approx(g_values.expected_mean_g_value(64), abs=5e-3)


def test_the_expected_value_is_the_mean_over_contexts() -> None:
    ours = SynthID(KEYS)
    mass = torch.tensor([0.5, 0.2, 0.1] + [0.2 / 57] * 57)
    torch.manual_seed(7)
    contexts, ids = torch.randint(0, 50257, (1500, 4)), torch.arange(60).expand(1500, -1)
    p = ours.tournament(mass.expand(1500, -1), ids, contexts)
    columns = [ours.values(contexts, ids[:, column]) for column in range(60)]
    each = (p * torch.stack(columns, dim=1)).sum(dim=1)
    expected = ours.expected_value(torch.stack([mass, torch.eye(60)[3]]), simulations=400)
    assert abs(each.mean() - expected[0]) < 4 * float(each.std()) / 1500**0.5 + 1e-3
    assert expected[0] > 0.6
    assert float(expected[1]) == pytest.approx(ours.share, abs=1e-12)
    few = ours.expected_value(mass[None])
    assert float(few) == pytest.approx(float(expected[0]), abs=1e-2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": ()},
        {"keys": (2**63,)},
        {"ngram": 1},
        {"table_size": 1},
        {"table_size": 2**25},
        {"table_seed": 2**64},
        {"table_size": 2, "table_seed": 1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="watermark synthid"):
        SynthID(**{"keys": KEYS, **wrong})


def test_the_first_tokens_are_marked_unless_they_are_skipped() -> None:
    assert SynthID(KEYS).takes_short_contexts
    assert SynthID(KEYS).width == 4
    assert not SynthID(KEYS, skip_first=True).takes_short_contexts


@pytest.mark.parametrize("size", [512, 600])
def test_pairs_of_one_draw_have_the_same_bits_and_others_have_not(
    size: int,
) -> None:
    torch.manual_seed(9)
    contexts, tokens = torch.randint(0, 50257, (400, 4)), torch.randint(0, 50257, (400,))
    contexts[1], tokens[1], contexts[2], tokens[2] = contexts[0], tokens[0], contexts[0], 7
    contexts[3, 0], contexts[4, 1:], contexts[4, 0], tokens[4] = 0, contexts[3, 1:], MISSING, 3
    tokens[3] = 3
    ours = SynthID(KEYS, table_size=size)
    draws = ours.draws(contexts, tokens)
    assert draws[0] == draws[1] != draws[2]
    assert draws[3] == draws[4]
    bits = ours.bits(contexts, tokens)
    same = (bits[:, None] == bits[None]).all(dim=2)
    equal = draws[:, None] == draws[None]
    assert same[equal].all()
    assert torch.equal(same, equal) or size == 600  # there a few wrap around in some layers only
    assert equal.sum() > 404


def test_keys_are_never_shown() -> None:
    assert str(KEYS[0]) not in repr(SynthID(KEYS))
