"""Stateless Bernoulli watermarks: the package `sbw` is the judge, and counting."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from scipy import stats

from staged.errors import PlanError
from staged.samples.methods import method
from staged.watermarks.kinds import sbw
from staged.watermarks.kinds.sbw import SBW
from tests.watermarks.writing import Fixed, p_value, write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sbw import batch
    from sbw.batch import WatermarkBatch, philox_at_positions
    from sbw.detector import WatermarkDetector

batch._philox4x32_10_compiled = batch._philox4x32_10  # their own, without a compiler of C++
THEIRS = {"selfhash": "gpu-selfhash", "lefthash": "gpu-simple_1"}
SEEDINGS = sorted(THEIRS)
VOCABULARY = 1_000


class NoTokenizer:
    bos_token_id = None


def judge(mark: SBW, key: int) -> WatermarkDetector:
    return WatermarkDetector(
        device=torch.device("cpu"),
        tokenizer=NoTokenizer(),
        vocab=range(VOCABULARY),
        gamma=mark.gamma,
        seeding_scheme=THEIRS[mark.seeding],
        hash_key=key,
        normalizers=[],
    )


@pytest.mark.parametrize("seeding", SEEDINGS)
@pytest.mark.parametrize("key", [15485863, 0, 2**63 - 25, 2**64 - 59])
def test_green_is_green_to_sbw(seeding: str, key: int) -> None:
    mark, signed = SBW(key, gamma=0.25, seeding=seeding), key - 2**64 if key >= 2**63 else key
    generator = torch.Generator().manual_seed(1)
    contexts = torch.randint(0, 50257, (3000, mark.width), generator=generator)
    tokens = torch.randint(0, 50257, (3000,), generator=generator)
    theirs = WatermarkBatch(
        vocab=range(50257), seeding_scheme=THEIRS[seeding], hash_key=signed, device="cpu"
    )
    # their contexts of self-hash hold the token itself
    read = torch.cat([contexts, tokens[:, None]], dim=1) if seeding == "selfhash" else contexts
    green = philox_at_positions(theirs._compute_seeds(read), tokens) < 0.25
    assert torch.equal(mark.values(contexts, tokens).bool(), green)


@pytest.mark.parametrize("seeding", SEEDINGS)
def test_sbw_finds_the_marks_of_200_texts_and_only_under_the_key(seeding: str) -> None:
    mark = SBW(15485863, delta=4, seeding=seeding)
    texts = write(mark, Fixed(200, 40, VOCABULARY // 5), method("temperature-1"))
    right, wrong = judge(mark, 15485863), judge(mark, 15485867)
    scores = [
        (right.detect(tokenized_text=text)["z_score"], wrong.detect(tokenized_text=text)["z_score"])
        for text in texts
    ]
    assert min(score for score, _ in scores) > 2.5
    assert max(score for _, score in scores) < 4
    assert max(p_value(mark, text) for text in texts.tolist()) < 0.05


@pytest.mark.parametrize("seeding", SEEDINGS)
def test_a_text_of_theirs_is_found(seeding: str) -> None:
    """Their bias, on their contexts; drawn here."""
    theirs = judge(SBW(99, seeding=seeding), 99).watermark
    generator, width = torch.Generator().manual_seed(5), theirs.context_width
    texts = torch.randint(0, VOCABULARY, (20, 50), generator=generator)
    for place in range(width, 50):
        logits = torch.randn(20, VOCABULARY, generator=generator)
        context = texts[:, place - width : place]
        if seeding == "selfhash":
            biased = theirs.apply_watermark_selfsalt_direct(
                context, logits, gamma=0.5, delta=4.0, num_candidates=0
            )
        else:
            green = philox_at_positions(
                theirs._compute_seeds(context)[:, None].expand(-1, VOCABULARY),
                torch.arange(VOCABULARY).expand(20, -1),
            )
            biased = logits + 4.0 * (green < 0.5)
        texts[:, place] = biased.softmax(dim=1).multinomial(1, generator=generator)[:, 0]
    mark = SBW(99, seeding=seeding)
    assert max(p_value(mark, text) for text in texts.tolist()) < 1e-4


def test_a_choice_by_hand() -> None:
    """Green tokens have e^δ times the mass: which of three is drawn follows from u."""
    mark = SBW(3, delta=1.0, seeding="lefthash")
    contexts = torch.tensor([[11]])
    green = [bool(mark.values(contexts, torch.tensor([token]))[0]) for token in range(40)]
    ids = [green.index(True), green.index(False), green.index(True, green.index(True) + 1)]
    weights = torch.tensor([0.2 * 2.718281828, 0.5, 0.3 * 2.718281828], dtype=torch.float64)
    edges = weights.cumsum(dim=0) / weights.sum()
    for u, column in (
        (0.0, 0),
        (float(edges[0]) - 1e-6, 0),
        (float(edges[0]) + 1e-6, 1),
        (float(edges[1]) + 1e-6, 2),
        (1 - 2**-53, 2),
    ):
        chosen = mark.choose(
            torch.tensor([[0.2, 0.5, 0.3]]),
            torch.tensor([ids]),
            contexts,
            torch.tensor([u], dtype=torch.float64),
        )
        assert chosen.tolist() == [column]


@pytest.mark.parametrize("seeding", SEEDINGS)
def test_of_many_columns_the_distribution_is_the_same(
    monkeypatch: pytest.MonkeyPatch, seeding: str
) -> None:
    draws, mark = 4000, SBW(5, seeding=seeding)
    mass = torch.tensor([0.3, 0.25, 0.0, 0.2, 0.15, 0.1]).expand(draws, 6)
    ids = torch.tensor([1, 50256, 9, 14, 33, 6]).expand(draws, 6)
    contexts = torch.tensor([[17, 4, 11]])[:, : mark.width].expand(draws, mark.width)
    green = mark.values(contexts[:6], ids[0]) > 0
    assert 0 < int(green.sum()) < 6
    weights = mass[0].double() * torch.where(green, math.exp(mark.delta), 1.0)
    u = torch.rand(draws, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(sbw, "MANY", 5)
    counts = mark.choose(mass, ids, contexts, u).bincount(minlength=6)
    assert counts[2] == 0
    kept = weights > 0
    expected = draws * weights[kept] / weights.sum()
    assert stats.chisquare(counts[kept].numpy(), expected.numpy()).pvalue > 1e-3
    assert torch.equal(
        mark.choose(mass[:9], ids[:9], contexts[:9], u[:9]), mark.choose(mass, ids, contexts, u)[:9]
    )


def test_a_sure_red_token_does_not_take_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn again until chance keeps it, it would be drawn a million million times."""
    mark, vocabulary = SBW(5, delta=30.0), 10
    contexts, ids = torch.tensor([[17, 4, 11]]), torch.arange(vocabulary)[None]
    green = mark.values(contexts.expand(vocabulary, 3), ids[0]) > 0
    assert 0 < int(green.sum()) < vocabulary
    red = int((~green).nonzero()[0])
    mass = torch.full((1, vocabulary), 1e-12)
    mass[0, red] = 1.0
    monkeypatch.setattr(sbw, "MANY", vocabulary - 1)
    u = torch.tensor([0.5], dtype=torch.float64)
    assert green[mark.choose(mass, ids, contexts, u)].all()  # e^30 is more than 10^12
    only = torch.zeros(1, vocabulary)
    only[0, red] = 1.0
    assert mark.choose(only, ids, contexts, u).tolist() == [red]


@pytest.mark.parametrize("gamma", [0.5, 0.25, 0.1])
def test_the_share_of_green_is_the_true_threshold(gamma: float) -> None:
    mark = SBW(77, gamma=gamma)
    tokens = torch.arange(40_000) % 50_257
    contexts = torch.randint(0, 50257, (40_000, 3), generator=torch.Generator().manual_seed(2))
    draws = mark.draws(contexts, tokens)
    own = torch.zeros(int(draws.max()) + 1).scatter_(
        0, draws, mark.values(contexts, tokens).float()
    )
    assert mark.threshold == int(gamma * (2**31 - 1))
    assert stats.binomtest(int(own.sum()), len(own), mark.threshold / 2**31).pvalue > 1e-3


def test_pairs_that_share_a_draw_are_told_apart() -> None:
    """Text of few words: the same tokens stand behind each other again and again."""
    generator = torch.Generator().manual_seed(6)
    z_scores, naive = [], []
    for key in range(300):
        mark = SBW(key * 0x9E3779B97F4A7C15 % 2**64)
        grams = torch.randint(0, 12, (150, 4), generator=generator).unique(dim=0)
        contexts, tokens = grams[:, :3], grams[:, 3]
        values, draws = mark.values(contexts, tokens), mark.draws(contexts, tokens)
        assert len(draws) == len(tokens)
        own = values.new_zeros(int(draws.max()) + 1).scatter_(0, draws, values)
        assert torch.equal(own[draws], values)  # equal draws, equal values
        z_scores.append((float(own.sum()) - len(own) / 2) / (len(own) ** 0.5 / 2))
        naive.append((float(values.sum()) - len(values) / 2) / (len(values) ** 0.5 / 2))
    assert 0.9 < torch.tensor(z_scores).std() < 1.1
    assert torch.tensor(naive).std() > 1.5  # what counting each context once would give


def test_what_it_says_of_itself() -> None:
    mark = SBW(8675309)
    assert "8675309" not in repr(mark)
    assert (mark.width, SBW(1, seeding="lefthash").width) == (3, 1)
    assert not mark.fixes_text
    assert not mark.takes_short_contexts


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": 2**64}, "a key must be"),
        ({"gamma": 0.0}, "gamma must lie"),
        ({"gamma": 1.0}, "gamma must lie"),
        ({"delta": 0.0}, "delta must be"),
        ({"seeding": "lefthand"}, "did you mean 'lefthash'"),
    ],
)
def test_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        SBW(**({"key": 1} | changes))  # type: ignore[arg-type]
