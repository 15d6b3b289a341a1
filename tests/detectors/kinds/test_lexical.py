"""The reader of words: its n-grams, its log-odds and the exact part of each character."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.detectors.kinds.readers.lexical import (
    BUCKETS,
    LexicalReader,
    grams,
    load_lexical,
    matrix,
    save_lexical,
    word_grams,
)
from staged.errors import CheckpointError
from tests.conftest import prose


@pytest.fixture(scope="module")
def reader() -> LexicalReader:
    weights = np.random.default_rng(1).normal(size=BUCKETS).astype(np.float16).astype(np.float32)
    return LexicalReader(weights, 0.25)


def test_n_grams_by_hand() -> None:
    found = grams("The cat's 12 cats.")
    spans = {("The cat's 12 cats."[a:b]) for a, b in zip(found.starts, found.ends, strict=True)}
    words = {"The", "cat's", "12", "cats", "."}
    assert words <= spans
    assert {"The cat's", "The cat's 12", "cats."} <= spans
    assert "The " in spans  # four letters
    assert len(found.buckets) == 5 + 4 + 3 + (18 - 3)
    assert found.buckets.min() >= 0
    assert found.buckets.max() < BUCKETS


def test_case_and_digits_do_not_count_and_order_does() -> None:
    assert grams("Boats of 1912").buckets.tolist() == grams("bOATS of 2047").buckets.tolist()
    assert set(word_grams("old boats")) != set(word_grams("boats old"))


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    found = grams(text)
    assert (found.starts <= found.ends).all()
    assert not len(found.ends) or found.ends.max() <= len(text)
    row = matrix([text])
    assert row.nnz == 0 or np.isclose((row.multiply(row)).sum(), 1)


def test_contributions_sum_to_the_log_odds(reader: LexicalReader) -> None:
    for seed in range(5):
        text = prose(seed, 6)
        assert reader.contributions(text).sum() + reader.bias == pytest.approx(
            reader.log_odds([text])[0], abs=1e-4
        )
        assert len(reader.contributions(text)) == len(text)
    assert reader.log_odds([""]).tolist() == [0.25]
    assert reader.contributions("").tolist() == []


def test_contributions_lie_where_the_phrase_is() -> None:
    weights = np.zeros(BUCKETS, dtype=np.float32)
    weights[word_grams("tapestry")] = 2.0
    added = LexicalReader(weights, 0.0).contributions("A rich tapestry of boats.")
    assert set(np.flatnonzero(added > 1e-9)) == set(range(7, 15))


def test_round_trip(reader: LexicalReader, tmp_path: Path) -> None:
    save_lexical(tmp_path, reader)
    first = (tmp_path / "lexical.npz").read_bytes()
    text = prose(3, 5)
    assert load_lexical(tmp_path).log_odds([text]) == pytest.approx(reader.log_odds([text]))
    (tmp_path / "again").mkdir()
    save_lexical(tmp_path / "again", reader)
    assert (tmp_path / "again" / "lexical.npz").read_bytes() == first


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"no archive"])
def test_damage_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "lexical.npz").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"lexical\.npz: damaged"):
        load_lexical(tmp_path)


def test_missing_and_misshapen_are_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lexical\.npz: missing"):
        load_lexical(tmp_path)
    np.savez(tmp_path / "lexical.npz", weights=np.zeros(8), bias=np.float64(0))
    with pytest.raises(CheckpointError, match="weights has the shape"):
        load_lexical(tmp_path)
    np.savez(tmp_path / "lexical.npz", weights=np.full(BUCKETS, np.nan), bias=np.float64(0))
    with pytest.raises(CheckpointError, match="not finite"):
        load_lexical(tmp_path)
    assert zipfile.is_zipfile(tmp_path / "lexical.npz")
