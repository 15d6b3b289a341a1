"""Sampling methods against their exact distributions, and against transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from transformers import RepetitionPenaltyLogitsProcessor, TopKLogitsWarper, TopPLogitsWarper

from staged.errors import SamplingError
from staged.model.grouped_search import top_k
from staged.samples.drawing.next_token import distribution, draw, penalise
from staged.samples.methods import SEMANTICS, Method, from_numbers, method, under
from staged.streams import derive, uniforms

DRAWS = 100_000
REJECT_AT = 1e-4
LOGITS = torch.tensor([2.0, 1.5, 1.5, 0.3, -0.2, -1.0, -1.0, -4.0])
PENALTY, SEEN = 1.3, (0, 5, 5, 3)  # of the tests with a repetition penalty


def exact(
    chosen: Method, p: float, *, penalty: float = 1.0, seen: tuple[int, ...] = ()
) -> np.ndarray:
    """The distribution written out independently, in float64 with sorts; the released nucleus line
    by line as in sample.py.
    """
    logits = LOGITS.double().numpy().copy()
    for token in set(seen):
        logits[token] *= penalty if logits[token] < 0 else 1 / penalty
    if chosen.temperature == 0:
        return (np.arange(len(logits)) == logits.argmax()).astype(float)
    logits = logits / chosen.temperature
    if chosen.top_k:
        least = np.sort(logits)[::-1][min(chosen.top_k, len(logits)) - 1]
        logits = np.where(logits < least, -np.inf, logits)
    mass = softmax(logits)
    if p < 1 and chosen.semantics == "standard":
        strictly_likelier = np.array([mass[mass > one].sum() for one in mass])
        mass = np.where(strictly_likelier < p, mass, 0)
    elif p < 1:
        ranked = np.sort(logits)[::-1]
        index = max(int((np.cumsum(softmax(ranked)) <= p).sum()) - 1, 0)
        mass = np.where(logits < ranked[index], 0, mass)
    return mass / mass.sum()


def softmax(logits: np.ndarray) -> np.ndarray:
    mass = np.exp(logits - logits.max())
    return mass / mass.sum()


NAMES = [
    ("temperature-1", 1.0),
    ("temperature-0.5", 1.0),
    ("temperature-1.7", 1.0),
    ("greedy", 1.0),
    ("top-k-1", 1.0),
    ("top-k-3", 1.0),
    ("top-k-2", 1.0),  # a tie at the edge: three survive
    ("top-k-6", 1.0),  # a tie of two at the edge
    ("top-k-100", 1.0),
    ("top-p-0.3", 0.3),
    ("top-p-0.6", 0.6),
    ("top-p-0.9", 0.9),
    ("top-p-0.97", 0.97),
    ("temperature-0.8+top-k-5+top-p-0.85", 0.85),
    ("top-p-0.3+released", 0.3),  # nothing but the likeliest
    ("top-p-0.6+released", 0.6),  # a tie of two, the second of which crosses p
    ("top-p-0.9+released", 0.9),
    ("top-p-0.97+released", 0.97),
    ("temperature-0.8+top-k-5+top-p-0.85+released", 0.85),
]


@pytest.mark.parametrize("penalty", [1.0, PENALTY], ids=["plain", "penalty"])
@pytest.mark.parametrize(("name", "p"), NAMES)
def test_draws_follow_the_exact_distribution(name: str, p: float, penalty: float) -> None:
    u = torch.from_numpy(np.random.default_rng([1, len(name), int(100 * p)]).random(DRAWS))
    rows = LOGITS.expand(DRAWS, -1)
    if penalty != 1:
        rows = penalise(rows, torch.tensor([SEEN]).expand(DRAWS, -1), penalty)
    tokens = draw(rows, u, method(name), torch.full((DRAWS,), p)).numpy()
    expected = exact(method(name), p, penalty=penalty, seen=SEEN)
    counts = np.bincount(tokens, minlength=len(LOGITS))
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    assert (
        kept.sum() == 1 or stats.chisquare(counts[kept], expected[kept] * DRAWS).pvalue > REJECT_AT
    )


def test_the_test_of_draws_can_fail() -> None:
    u = torch.from_numpy(np.random.default_rng(3).random(DRAWS))
    tokens = draw(
        LOGITS.expand(DRAWS, -1), u, method("temperature-1.05"), torch.ones(DRAWS)
    ).numpy()
    counts = np.bincount(tokens, minlength=len(LOGITS))
    assert stats.chisquare(counts, exact(method("temperature-1"), 1.0) * DRAWS).pvalue < REJECT_AT


def drawn(logits: torch.Tensor, name: str, p: float) -> set[int]:
    """All tokens of one row that a fine grid of u, its ends included, can give."""
    u = torch.cat(
        [
            torch.linspace(0, 1, 4000, dtype=torch.float64)[:-1],
            torch.tensor([1 - 2**-53], dtype=torch.float64),
        ]
    )
    return set(draw(logits.expand(len(u), -1), u, method(name), torch.full((len(u),), p)).tolist())


@pytest.mark.parametrize(
    ("mass", "p", "standard", "released"),
    [
        ([0.5, 0.3, 0.2], 0.6, {0, 1}, {0}),
        ([0.5, 0.3, 0.2], 0.81, {0, 1, 2}, {0, 1}),
        ([0.5, 0.3, 0.2], 0.1, {0}, {0}),  # the likeliest stays whatever p is
        (
            [0.4, 0.3, 0.3],
            0.75,
            {0, 1, 2},
            {0, 1, 2},
        ),  # the second 0.3 crosses, but ties with the first
        ([0.4, 0.3, 0.3], 0.5, {0, 1, 2}, {0}),
        ([0.25, 0.25, 0.25, 0.25], 0.1, {0, 1, 2, 3}, {0, 1, 2, 3}),
    ],
)
def test_what_a_nucleus_keeps(
    mass: list[float], p: float, standard: set[int], released: set[int]
) -> None:
    logits = torch.tensor(mass).log()
    assert drawn(logits, f"top-p-{p}", p) == standard
    assert drawn(logits, f"top-p-{p}+released", p) == released


def test_each_row_has_its_own_p() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log().expand(2000, -1)
    u = torch.linspace(0, 1 - 1e-9, 1000, dtype=torch.float64).repeat(2)
    p = torch.cat([torch.full((1000,), 0.4), torch.full((1000,), 0.95)])
    tokens = draw(logits, u, method("nucleus"), p)
    assert set(tokens[:1000].tolist()) == {0}
    assert set(tokens[1000:].tolist()) == {0, 1, 2}


def test_top_k_ties_survive() -> None:
    kept = top_k(torch.tensor([[3.0, 1.0, 1.0, 0.0]]), 2)[0]
    assert torch.isfinite(kept).tolist() == [[True, True, True, False]]


HOSTILE = st.one_of(
    st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=50),
    st.lists(
        st.sampled_from([-3.4e38, -1e4, -0.0, 0.0, 1e-45, 1.0, 1.0000001, 88.0, 3.4e38]),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 60).map(lambda n: [0.1] * n),
    st.integers(0, 9).map(lambda at: [float("-inf")] * at + [0.0] + [float("-inf")] * (9 - at)),
    st.lists(st.floats(-5, 5, width=32) | st.just(float("-inf")), min_size=2, max_size=20).filter(
        lambda row: max(row) > -9
    ),
)
U = st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 5e-324, 2**-53, 0.5, 1 - 2**-53])
P = st.floats(0.05, 1) | st.sampled_from([5e-324, 1e-46, 1e-30, 1e-7, 1 - 1e-7, 1 - 2**-53, 1.0])
TEMPERATURE = st.sampled_from([5e-324, 1e-30, 0.01, 0.7, 1.0, 3.0, 1e30, 1e300])


@example(
    [1e-45, -0.0], 0.75, 0.75, 0, 5e-324, "standard"
)  # a difference and a temperature that float32 hardly holds
@given(HOSTILE, U, P, st.integers(0, 60), TEMPERATURE, st.sampled_from(["standard", "released"]))
@settings(max_examples=1000, deadline=None)
def test_any_row_gives_an_allowed_token(
    logits: list[float], u: float, p: float, k: int, temperature: float, semantics: str
) -> None:
    row = torch.tensor([logits])
    before = row.clone()
    chosen = Method("x", temperature, k, (p, p), semantics)
    token = int(
        draw(
            row,
            torch.tensor([u], dtype=torch.float64),
            chosen,
            torch.tensor([p], dtype=torch.float32),
        )[0]
    )
    assert torch.equal(row, before)
    exactly = row[0].double()
    assert exactly[token] > -torch.inf
    rank = int((exactly > exactly[token]).sum())
    assert k == 0 or rank < k
    if p < 1 and rank:
        logits_V = (exactly - exactly.max()) / temperature
        if k:
            logits_V = top_k(logits_V[None], k)[0][0]
        mass_V = logits_V.softmax(dim=0)
        likelier = float(
            mass_V[mass_V > mass_V[token] * (1 + 1e-6)].sum()
        )  # float32 may take neighbours for ties
        assert (
            likelier + (float(mass_V[token]) if semantics == "released" else 0) < p + 1e-5
            or likelier == 0
        )


@given(
    st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=40, unique=True),
    st.integers(1, 50),
    st.floats(0.05, 0.95),
)
@settings(max_examples=200, deadline=None)
def test_what_may_be_drawn_is_what_transformers_keeps(
    logits: list[float], k: int, p: float
) -> None:
    row = torch.tensor([logits])
    by_k = TopKLogitsWarper(k)(torch.zeros(1, 1, dtype=torch.int64), row)
    assert torch.equal(top_k(row, k)[0], by_k)
    mass = row.double().softmax(dim=1)[0].sort(descending=True).values
    if bool(((mass.cumsum(0) - p).abs() < 1e-5).any()) or bool(
        (mass.diff().abs() < 1e-6 * mass[1:]).any()
    ):
        return  # rounding decides
    kept = TopPLogitsWarper(p)(torch.zeros(1, 1, dtype=torch.int64), row)[0].isfinite()
    cumulated = torch.cat(
        [torch.zeros(1, dtype=torch.float64), row.double().softmax(dim=1)[0].cumsum(0)]
    )
    middles = ((cumulated[1:] + cumulated[:-1]) / 2).clamp(
        max=1 - 2**-53
    )  # one u in each token's interval
    found = draw(
        row.expand(len(logits), -1),
        middles,
        Method("x", top_p=(p, p)),
        torch.full((len(logits),), p),
    )
    assert set(found.tolist()) <= set(kept.nonzero()[:, 0].tolist())
    assert set(found[kept].tolist()) == set(kept.nonzero()[:, 0].tolist())


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=4, max_size=30),
    st.floats(0.1, 5),
    st.lists(st.integers(0, 3), max_size=9),
)
@settings(max_examples=200, deadline=None)
def test_repetition_penalty_equals_transformers(
    logits: list[float], penalty: float, seen: list[int]
) -> None:
    rows = torch.tensor([logits, logits[::-1]])
    seen_BT = torch.tensor([[0, *seen], [1, *seen]])
    theirs = RepetitionPenaltyLogitsProcessor(penalty)(seen_BT, rows.clone())
    assert torch.equal(penalise(rows, seen_BT, penalty), theirs)


@pytest.mark.parametrize(
    "name",
    [
        "top-k",
        "temprature-1",
        "top-p-0",
        "top-p-1.5",
        "top-k-2.5",
        "top-k-1+top-k-2",
        "released",
        "+released",
        "released+nucleus",
        "",
    ],
)
def test_bad_method_names(name: str) -> None:
    with pytest.raises(SamplingError):
        method(name)


def test_names_spell_out_the_numbers() -> None:
    assert from_numbers(0.7, 40, None) == Method("temperature-0.7+top-k-40", 0.7, 40)
    assert method("temperature-0.7+top-k-40") == from_numbers(0.7, 40, None)
    assert from_numbers(None, None, 0.9) == method("top-p-0.9")
    with pytest.raises(SamplingError, match="--top-p"):
        from_numbers(None, None, 0.0)


def test_semantics_are_part_of_the_name() -> None:
    assert method("nucleus+released") == Method(
        "nucleus+released", top_p=(0.8, 1.0), semantics="released"
    )
    assert under(from_numbers(0.7, None, 0.9), "released") == method(
        "temperature-0.7+top-p-0.9+released"
    )
    assert under(method("nucleus+released"), "standard") == method("nucleus")
    with pytest.raises(SamplingError, match="semantics 'relased'; known: standard, released"):
        under(method("nucleus"), "relased")


class TestStreams:
    def test_depend_on_seed_and_number_only(self) -> None:
        assert (uniforms(1, 5, 10)[:4] == uniforms(1, 5, 4)).all()
        assert not np.isclose(uniforms(1, 5, 4), uniforms(1, 6, 4)).any()
        assert not np.isclose(uniforms(1, 5, 4), uniforms(2, 5, 4)).any()

    def test_derived_seeds_differ_by_name(self) -> None:
        assert derive(1, "a", "b") != derive(1, "ab") != derive(2, "ab")
        assert 0 <= derive(1, "a") < 2**64


@given(
    temperature=st.none() | st.floats(0, allow_infinity=False, allow_nan=False),
    top_k=st.none() | st.integers(0, 10**9),
    top_p=st.none() | st.floats(0, 1, exclude_min=True),
    semantics=st.sampled_from(SEMANTICS),
)
def test_a_name_gives_its_numbers_back_exactly(
    temperature: float | None, top_k: int | None, top_p: float | None, semantics: str
) -> None:
    made = under(from_numbers(temperature, top_k, top_p), semantics)
    assert method(made.name) == made
    assert (made.temperature, made.top_k, made.top_p[0]) == (
        1.0 if temperature is None else temperature,
        top_k or 0,
        top_p or 1.0,
    )


@pytest.mark.parametrize(
    "numbers", [(1e-07, None, None), (0.123456789, 7, 0.95), (1e16, None, None), (-0.0, None, None)]
)
def test_names_are_short(numbers: tuple[float | None, int | None, float | None]) -> None:
    names = {
        1e-07: "temperature-1e-07",
        0.123456789: "temperature-0.123456789+top-k-7+top-p-0.95",
        1e16: "temperature-1e16",
    }
    assert from_numbers(*numbers).name == names.get(numbers[0] or 0, "temperature-0")


@pytest.mark.parametrize(
    "name",
    ["greedy+released+released", "top-k-1e2", "temperature-1e", "temperature--1", "top-p-0.9e+0"],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(SamplingError, match="unknown"):
        method(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU; none is here")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize(
    "name",
    [
        "greedy",
        "temperature-1",
        "top-k-40",
        "top-p-0.9",
        "top-p-0.9+released",
        "top-k-40+top-p-0.8",
    ],
)
def test_a_gpu_draws_the_same_and_never_waits(name: str) -> None:
    chosen = method(name)
    numbers = torch.Generator().manual_seed(4)
    logits_BV = torch.randn(512, 50_257, generator=numbers) * 3
    u_B, top_p_B = (
        torch.rand(512, dtype=torch.float64, generator=numbers),
        torch.full((512,), chosen.top_p[0]),
    )
    there = [one.to("cuda") for one in (logits_BV, u_B, top_p_B)]
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        drawn_B = draw(there[0], there[1], chosen, there[2])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (distribution(*there[:1], chosen, there[2]).gather(1, drawn_B[:, None]) > 0).all()
    same = (drawn_B.cpu() == draw(logits_BV, u_B, chosen, top_p_B)).float().mean()
    assert (
        same >= 0.95
    )  # rounding decides where u is on an edge, and what is left of it inside a refused token's narrow interval


@pytest.mark.parametrize("k", [2**31, 10**20])
def test_a_top_k_that_no_file_holds_is_refused(k: int) -> None:
    for make in (
        lambda: method(f"top-k-{k}"),
        lambda: from_numbers(None, k, None),
        lambda: Method("m", top_k=k),
    ):
        with pytest.raises(SamplingError, match=r"top-k must be 0 \(off\) to 2,147,483,647"):
            make()
