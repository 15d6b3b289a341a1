"""What kind of text a text is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from staged.detectors.kinds.readers.kind import KindReader, load_kinds, plausible_kinds, save_kinds
from staged.training.readers.lexical import train_kinds

LETTERS = [
    f"Dear Ann, thank you for the letter number {i}; love from your sister" for i in range(20)
]
RECIPES = [
    f"Stir {i} cups of flour into the bowl, add the butter and bake the cake" for i in range(20)
]


@pytest.fixture(scope="module")
def reader() -> KindReader:
    return train_kinds([*LETTERS, *RECIPES], ["letter"] * 20 + ["how-to"] * 20)


def test_it_tells_kinds_apart(reader: KindReader) -> None:
    found = reader.plausible(
        ["Dear sister, thank you for your letter", "Bake the flour and the butter in a bowl"]
    )
    assert [one[0] for one in found] == ["letter", "how-to"]
    assert reader.shares(["Dear sister", ""]).sum(axis=1) == pytest.approx([1, 1])


def test_every_plausible_kind_counts_and_one_always_does() -> None:
    assert plausible_kinds(["a", "b", "c"], np.asarray([0.35, 0.55, 0.1])) == ("b", "a")
    assert plausible_kinds(list("abcdefghij"), np.full(10, 0.1)) == ("a",)


def test_round_trip(reader: KindReader, tmp_path: Path) -> None:
    save_kinds(tmp_path, reader)
    again = load_kinds(tmp_path)
    assert again.kinds == ("how-to", "letter")
    assert again.shares(LETTERS) == pytest.approx(reader.shares(LETTERS), abs=1e-2)
