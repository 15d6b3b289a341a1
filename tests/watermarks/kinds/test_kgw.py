"""KGW against transformers, which we share no code with: lists, seeds, what its processor raises,
what its detector finds and what ours finds of its texts.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    WatermarkDetector,
    WatermarkingConfig,
    WatermarkLogitsProcessor,
)

from staged.errors import PlanError
from staged.watermarks.contract import MISSING, Watermark
from staged.watermarks.evidence import pairs
from staged.watermarks.kinds.kgw import KGW, in_own_list

VOCABULARY = 211
KEY = 15485863
WIDTHS = [("lefthash", 1), ("lefthash", 3), ("selfhash", 1), ("selfhash", 4)]


def theirs(ours: KGW) -> WatermarkingConfig:
    return WatermarkingConfig(
        greenlist_ratio=ours.gamma,
        bias=ours.delta,
        hashing_key=ours.key,
        seeding_scheme=ours.seeding,
        context_width=ours.context_width,
    )


def processor(ours: KGW) -> WatermarkLogitsProcessor:
    return theirs(ours).construct_processor(ours.vocabulary, "cpu")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), size=st.integers(2, 60), data=st.data())
def test_a_token_is_found_in_its_own_list_without_the_list(
    seed: int, size: int, data: st.DataObject
) -> None:
    green = data.draw(st.integers(1, size - 1))
    shuffled = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    members = [in_own_list(seed, token, size, green) for token in range(size + 1)]
    assert [token for token, member in enumerate(members) if member] == sorted(
        shuffled[:green].tolist()
    )


def test_so_it_is_with_a_large_vocabulary() -> None:
    for seed in range(3):
        shuffled = torch.randperm(50257, generator=torch.Generator().manual_seed(seed))
        green = set(shuffled[:12564].tolist())
        for token in [*range(40), *range(12550, 12580), *range(50220, 50257)]:
            assert in_own_list(seed, token, 50257, 12564) == (token in green)


@pytest.mark.parametrize(("seeding", "context_width"), WIDTHS)
@pytest.mark.parametrize("key", [KEY, 2**63 - 59, -7])
def test_raises_the_tokens_that_transformers_raises(
    seeding: str, context_width: int, key: int
) -> None:
    ours = KGW(key, VOCABULARY, seeding=seeding, context_width=context_width, delta=1.5)
    torch.manual_seed(1)
    contexts = torch.randint(0, VOCABULARY, (12, max(ours.width, context_width)))
    logits = torch.randn(12, VOCABULARY)
    raised = processor(ours)(contexts, logits) - logits
    factors = ours.factors(
        logits.softmax(dim=1),
        torch.arange(VOCABULARY).expand(12, -1),
        contexts[:, -ours.width :],
    )
    torch.testing.assert_close(raised, factors.log().float() + 1.5, atol=1e-5, rtol=0)
    assert 0 < (raised > 1).float().mean() < 0.5


def test_only_kept_tokens_are_raised_and_only_in_whole_contexts() -> None:
    ours = KGW(KEY, VOCABULARY, gamma=0.5, delta=100, seeding="selfhash")
    mass = torch.tensor([[0.0, 0.6, 0.4]]).repeat(300, 1)
    torch.manual_seed(2)
    ids = torch.stack([torch.randperm(VOCABULARY)[:3] for _ in range(300)])
    contexts = torch.randint(0, VOCABULARY, (300, 3))
    u = torch.rand(300, dtype=torch.float64)
    columns = ours.choose(mass, ids, contexts, u)
    assert set(columns.tolist()) == {1, 2}
    green = torch.stack([ours.values(contexts, ids[:, k]) for k in range(3)], dim=1)
    assert (green.gather(1, columns[:, None])[:, 0] == green[:, 1:].amax(dim=1)).all()
    short = contexts.clone()
    short[:, 0] = MISSING
    assert (ours.choose(mass, ids, short, u) == torch.where(u < 0.6, 1, 2)).all()


def marked(ours: Watermark, rows: int, length: int, seed: int, vocabulary: int) -> torch.Tensor:
    """(rows, length) tokens of a model that knows nothing but some logits; every context marked."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.full((rows, ours.width), MISSING)
    for _ in range(length):
        mass = torch.randn(rows, vocabulary, generator=generator).softmax(dim=1)
        u = torch.rand(rows, generator=generator, dtype=torch.float64)
        ids = torch.arange(vocabulary).expand(rows, -1)
        chosen = ours.choose(mass, ids, tokens[:, tokens.size(1) - ours.width :], u)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
    return tokens[:, ours.width :]


def p_of(ours: Watermark, tokens: torch.Tensor) -> float:
    values = ours.values(*pairs(tokens.tolist(), ours))
    return ours.p_value(float(values.sum()), len(values))


def judge(seeding: str, context_width: int, texts: int) -> None:
    ours = KGW(KEY, VOCABULARY, delta=4.0, seeding=seeding, context_width=context_width)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=160,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=VOCABULARY,
        eos_token_id=None,
        pad_token_id=VOCABULARY,
    )
    detector = WatermarkDetector(config, "cpu", theirs(ours), ignore_repeated_ngrams=True)
    tokens = marked(ours, texts, 120, 3, VOCABULARY)
    assert detector(tokens).all()
    assert detector(torch.randint(0, VOCABULARY, tokens.shape)).mean() < 0.02
    torch.manual_seed(4)
    model = GPT2LMHeadModel(config)
    written = model.generate(
        torch.randint(0, VOCABULARY, (texts, 5)),
        do_sample=True,
        top_k=0,
        max_new_tokens=120,
        watermarking_config=theirs(ours),
    )[:, 5:]
    assert detector(written).all()
    assert max(p_of(ours, text) for text in written) < 1e-3
    assert max(p_of(ours, text) for text in tokens) < 1e-3
    other = KGW(KEY + 2, VOCABULARY, delta=4.0, seeding=seeding, context_width=context_width)
    assert sum(p_of(other, text) < 0.01 for text in written) <= max(2, texts // 40)


@pytest.mark.parametrize(("seeding", "context_width"), [("lefthash", 1), ("selfhash", 4)])
def test_transformers_detector_finds_ours_and_we_find_its_texts(
    seeding: str, context_width: int
) -> None:
    judge(seeding, context_width, 6 if seeding == "lefthash" else 2)


@pytest.mark.slow
@pytest.mark.parametrize(("seeding", "context_width"), [("lefthash", 1), ("selfhash", 4)])
def test_so_it_is_with_200_texts(seeding: str, context_width: int) -> None:
    judge(seeding, context_width, 200)


@pytest.mark.parametrize("seeding", ["lefthash", "selfhash"])
def test_the_expected_value_is_the_mean_over_lists(seeding: str) -> None:
    ours, ids = KGW(KEY, 2003, delta=3.0, seeding=seeding), torch.arange(60) + 17
    mass = torch.tensor([0.5, 0.2, 0.1] + [0.2 / 57] * 57)
    torch.manual_seed(6)
    contexts = torch.randint(1, 2003, (300, ours.width))
    weighted = mass * ours.factors(mass.expand(300, -1), ids.expand(300, -1), contexts)
    green = torch.stack([ours.values(contexts, ids[k].expand(300)) for k in range(60)], dim=1)
    each = (weighted * green).sum(dim=1) / weighted.sum(dim=1)
    expected = ours.expected_value(torch.stack([7 * mass, torch.eye(60)[5]]))
    assert abs(each.mean() - expected[0]) < 4 * each.std() / 300**0.5
    assert each.std() > 0.1
    assert expected[1] == pytest.approx(500 / 2003, abs=1e-9)


def test_the_expected_value_over_all_lists_of_three_tokens() -> None:
    """Independent memberships of three tokens, enumerated."""
    ours = KGW(1, 1000, gamma=0.3, delta=5.0, seeding="selfhash")
    p = [0.5, 0.3, 0.2]
    exact = 0.0
    for green in itertools.product((0, 1), repeat=3):
        chance = 0.3 ** sum(green) * 0.7 ** (3 - sum(green))
        mass = [x * (148.4131591025766 if g else 1) for x, g in zip(p, green, strict=True)]
        exact += chance * sum(m for m, g in zip(mass, green, strict=True) if g) / sum(mass)
    assert float(ours.expected_value(torch.tensor([p]))) == pytest.approx(exact, abs=1e-7)
    plain = KGW(1, 1000, gamma=0.3, delta=0.0)
    assert float(plain.expected_value(torch.tensor([p]))) == pytest.approx(0.3)


def test_a_token_beyond_the_vocabulary_is_never_green_and_the_key_is_never_shown() -> None:
    for seeding in ("lefthash", "selfhash"):
        ours = KGW(KEY, 100, gamma=0.9, seeding=seeding)
        contexts = torch.arange(1, 91).view(30, 3)[:, : ours.width]
        assert ours.values(contexts, torch.full((30,), 100)).sum() == 0
        assert ours.values(contexts, torch.full((30,), 10**6)).sum() == 0
        assert str(KEY) not in repr(ours)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": 2**63},
        {"vocabulary": 1},
        {"gamma": 0.0},
        {"gamma": 0.001},
        {"delta": -1.0},
        {"delta": float("nan")},
        {"seeding": "righthash"},
        {"context_width": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PlanError, match="watermark kgw"):
        KGW(**{"key": KEY, "vocabulary": 100, **wrong})  # type: ignore[arg-type]
