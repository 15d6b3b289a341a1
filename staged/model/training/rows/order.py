"""The order of very many rows, by seed and step alone: a permutation that is computed at a place,
not stored.

A Feistel network is a bijection on 2ᵇ numbers whatever its round function is; walking on along it
until a number below `rows` comes gives one on these (Black and Rogaway 2002, "cycle walking").
Nothing grows with the number of rows, and a run that is killed needs no more than its step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no two halves are mixed alike


def step_positions(step: int, *, rows: int, batch: int, seed: int) -> list[int]:
    """The rows that a step sees: each row once an epoch, and every epoch in another order.

    Args:
        rows: how many there are, from 1.
    """
    drawn = np.arange(step * batch, (step + 1) * batch, dtype=np.uint64)
    epochs, places = np.divmod(drawn, np.uint64(rows))
    positions = np.empty_like(places)
    for epoch in np.unique(epochs):
        now = epochs == epoch
        positions[now] = shuffled(places[now], rows, key=(seed, int(epoch)))
    return [int(position) for position in positions]


def shuffled(places: NDArray[np.uint64], rows: int, *, key: Sequence[int]) -> NDArray[np.uint64]:
    """Where the numbers 0 … rows − 1 go under the key's permutation.

    Args:
        places: uint64 below `rows`, in any number.
    """
    half = np.uint64(max(1, ((rows - 1).bit_length() + 1) // 2))
    keys = np.random.default_rng(list(key)).integers(0, 2**64, ROUNDS, dtype=np.uint64)
    moved = _moved(places, half, keys)
    while len(outside := np.flatnonzero(moved >= np.uint64(rows))):
        moved[outside] = _moved(moved[outside], half, keys)
    return moved


def _moved(
    places: NDArray[np.uint64], half: np.uint64, keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """The network on numbers of 2 × `half` bits."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & mask
    for key in keys:
        mixed = (right ^ key) * MIX
        mixed ^= mixed >> np.uint64(29)
        mixed *= MIX
        left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
    return (left << half) | right
