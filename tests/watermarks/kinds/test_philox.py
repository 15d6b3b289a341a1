"""Philox against its authors' vectors, vLLM's mapping against its frozen numbers and against the
same mapping in whole numbers.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from staged.watermarks.kinds.philox import (
    context_state,
    first_words,
    key_words,
    philox4x32,
    token_words,
    uniform,
)

ONES = 0xFFFFFFFF
KNOWN = [  # Random123's kat_vectors for philox4x32 10: counter, key, output
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_its_authors_vectors(
    counter: tuple[int, ...], key: tuple[int, int], output: tuple[int, ...]
) -> None:
    words = philox4x32(tuple(torch.tensor([word]) for word in counter), key)  # type: ignore[arg-type]
    assert tuple(int(word) for word in words) == output


def test_vllms_vectors() -> None:
    contexts, key = torch.tensor([[1, 2, 3, 4], [4, 5, 6, 7]]), key_words(42)
    words = token_words(context_state(contexts, key), key, torch.tensor([[7, 8], [7, 8]]))
    assert words.flatten().tolist() == [425429266, 2706218805, 2494036831, 3424185538]


def plain_philox(counter: list[int], k0: int, k1: int) -> list[int]:
    for _ in range(10):
        high0, low0 = divmod(counter[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(counter[2] * 0xCD9E8D57, 2**32)
        counter = [high1 ^ counter[1] ^ k0, low1, high0 ^ counter[3] ^ k1, low0]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return counter


def plain_word(key: int, context: list[int], token: int) -> int:
    """The mapping as it is described, a number at a time."""
    k0, k1 = key % 2**32, key >> 32
    state = [0x574D4358, len(context), 0, 0]
    for offset in range(0, len(context), 4):
        block = [one % 2**32 for one in context[offset : offset + 4]]
        block += [ONES - index for index in range(len(block), 4)]
        state = plain_philox([a ^ b for a, b in zip(state, block, strict=True)], k0 ^ offset, k1)
    counter = [token >> 2, *state[:3]]
    return plain_philox(counter, k0 ^ state[3], k1 ^ 0x574D544B)[token % 4]


@settings(max_examples=60, deadline=None)
@given(
    some.integers(0, 2**64 - 1),
    some.lists(some.integers(-1, 2**31 - 1), min_size=1, max_size=9),
    some.lists(some.integers(0, 2**31 - 1), min_size=1, max_size=5),
)
def test_every_context_and_token(key: int, context: list[int], tokens: list[int]) -> None:
    words = key_words(key)
    state = context_state(torch.tensor([context]), words)
    drawn = token_words(state, words, torch.tensor([tokens]))
    assert drawn[0].tolist() == [plain_word(key, context, token) for token in tokens]


def test_a_key_a_row() -> None:
    keys = [5, 2**63 + 11, 2**64 - 1]
    contexts, tokens = torch.tensor([[9, -1, 3]]).expand(3, 3), torch.tensor([[0, 1, 50256]])
    low, high = (torch.tensor(words) for words in zip(*map(key_words, keys), strict=True))
    drawn = token_words(context_state(contexts, (low, high)), (low, high), tokens.expand(3, 3))
    assert drawn.tolist() == [
        [plain_word(key, [9, -1, 3], token) for token in (0, 1, 50256)] for key in keys
    ]


@pytest.mark.parametrize("count", [1, 4, 50, 51])
def test_neighbours_at_once(count: int) -> None:
    contexts, key = torch.tensor([[3, 1, 4, 1], [5, 9, 2, 6]]), key_words(2**60 + 5)
    state = context_state(contexts, key)
    tokens = torch.arange(count).expand(2, count)
    assert torch.equal(first_words(state, key, count), token_words(state, key, tokens))


def test_fractions_are_never_0_or_1() -> None:
    u = uniform(torch.tensor([0, 255, 256, 2**32 - 1]))
    assert u.dtype == torch.float32
    assert u.tolist()[0] == u.tolist()[1] == pytest.approx(2.0**-24, rel=1e-7)
    assert u.tolist()[3] == 1 - 2.0**-24
    noise = -(-u.log()).log()
    assert noise.min().item() == pytest.approx(-2.8115, abs=1e-4)
    assert noise.max().item() == pytest.approx(16.6355, abs=1e-4)
