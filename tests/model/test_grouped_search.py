"""The search over groups finds what a plain search over the whole vocabulary finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.model import grouped_search
from staged.model.grouped_search import LARGE, WIDTH

SIZES = [LARGE + 1, LARGE + WIDTH, 50257]


def logits(n_vocab: int, seed: int, *, ties: int = 0) -> torch.Tensor:
    """Five rows; with `ties` only so many different values occur."""
    stream = np.random.default_rng(seed)
    values = stream.normal(0, 3, (5, n_vocab))
    if ties:
        values = stream.integers(0, ties, (5, n_vocab)).astype(float)
    return torch.from_numpy(values).float()


@pytest.mark.parametrize("n_vocab", SIZES)
@pytest.mark.parametrize("ties", [0, 2, 1000])
def test_argmax_is_the_first_of_the_largest(n_vocab: int, ties: int) -> None:
    row = logits(n_vocab, 1, ties=ties)
    first = [int(torch.nonzero(one == one.max())[0]) for one in row]
    assert grouped_search.argmax(row).tolist() == first


def test_argmax_looks_at_the_last_tokens() -> None:
    row = logits(50257, 2)
    row[:, -1] = 99.0
    assert grouped_search.argmax(row).tolist() == [50256] * 5


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SIZES),
    st.integers(0, 1000),
    st.sampled_from([1, 2, 40, 300, 1000]),
    st.sampled_from([0, 3, 500, 20000]),
)
def test_top_k_keeps_the_k_largest_and_their_ties(
    n_vocab: int, seed: int, k: int, ties: int
) -> None:
    row = logits(n_vocab, seed, ties=ties)
    kept, ids = grouped_search.top_k(row, k)
    for one, values, names in zip(row, kept, ids, strict=True):
        least = one.sort(descending=True).values[k - 1]
        assert (
            names[values > -torch.inf].tolist() == torch.nonzero(one >= least)[:, 0].tolist()
        )  # ascending, too
        assert torch.equal(values[values > -torch.inf], one[one >= least])


def test_top_k_finds_likely_tokens_wherever_they_stand() -> None:
    row = torch.full((1, 50257), -5.0)
    row[0, [0, 1, 50240, 50255, 50256]] = torch.tensor([1.0, 5.0, 3.0, 4.0, 2.0])
    kept, ids = grouped_search.top_k(row, 4)
    assert ids[kept > -torch.inf].tolist() == [1, 50240, 50255, 50256]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SIZES),
    st.integers(0, 1000),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([0.0, 0.5, 0.999]),
)
def test_invert_equals_one_cumulated_sum(n_vocab: int, seed: int, u: float, empty: float) -> None:
    stream = np.random.default_rng(seed)
    mass = stream.exponential(1, (3, n_vocab)) * (stream.random((3, n_vocab)) >= empty)
    mass[:, stream.integers(n_vocab)] += 1
    row, at = torch.from_numpy(mass).float(), torch.full((3,), u, dtype=torch.float64)
    found = grouped_search.invert(row, at)
    cumulated = np.cumsum(row.double().numpy(), axis=1)
    for one, token, total in zip(cumulated, found.tolist(), cumulated[:, -1], strict=True):
        before, after = (one[token - 1] if token else 0.0), one[token]
        assert after > before  # never a token without mass
        assert (
            before - 1e-6 * total <= u * total <= after + 1e-6 * total
        )  # groups are summed in float32


def test_columns_of_rows_with_none_and_with_many() -> None:
    wanted = torch.rand(6, 40, generator=torch.Generator().manual_seed(1)) < 0.3
    wanted[2], wanted[4] = False, True
    columns, is_there = grouped_search.columns(wanted)
    assert columns.shape == is_there.shape == (6, 40)
    assert [row[there].tolist() for row, there in zip(columns, is_there, strict=True)] == [
        row.nonzero()[:, 0].tolist() for row in wanted
    ]


@pytest.mark.parametrize("only", [0, LARGE, 50255, 50256])
@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-53])
def test_invert_with_all_mass_on_one_token(only: int, u: float) -> None:
    mass = torch.zeros(1, 50257)
    mass[0, only] = 1e-30
    assert grouped_search.invert(mass, torch.tensor([u], dtype=torch.float64)).tolist() == [only]
