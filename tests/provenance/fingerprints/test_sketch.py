"""Fingerprints estimate the similarity of texts for who has the secret, and for nobody else."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.provenance.fingerprints.sketch import (
    BANDS,
    PLACES,
    RUN_WORDS,
    bands_of,
    similarities,
    sketch_of,
    to_bytes,
    words_of,
)
from tests.conftest import prose

SECRET, OTHER = bytes(range(32)), bytes(range(1, 33))
RUSSIAN = (
    "Мы шли домой по длинной дороге, и вдруг увидели большой старый дом, в котором никто не жил. "
)


def similarity(a: str, b: str, secret: bytes = SECRET) -> float:
    first, second = sketch_of(a, secret), sketch_of(b, secret)
    assert first is not None
    assert second is not None
    return next(similarities(first, [to_bytes(second)]))


def runs_of(text: str) -> set[str]:
    words = words_of(text)
    return {" ".join(words[i : i + RUN_WORDS]) for i in range(len(words) - RUN_WORDS + 1)}


def edited(text: str, share: float, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.random()}" if draw.random() < share else w for w in text.split())


def test_it_estimates_jaccard_as_well_as_another_library_does() -> None:
    """Mean error of an estimate from 128 places is at most that of the binomial, 0.035 on average."""
    ours, theirs = [], []
    for seed in range(60):
        a = prose(seed, 12)
        b = edited(a, seed / 120, seed)
        exact = len(runs_of(a) & runs_of(b)) / len(runs_of(a) | runs_of(b))
        hashed = []
        for text in (a, b):
            hashed.append(MinHash(num_perm=PLACES))
            hashed[-1].update_batch([run.encode() for run in runs_of(text)])
        ours.append(similarity(a, b) - exact)
        theirs.append(hashed[0].jaccard(hashed[1]) - exact)
    assert abs(np.mean(ours)) < 0.02
    assert np.std(ours) < 0.06
    assert np.std(ours) < 1.5 * np.std(theirs)


def test_alike_and_unlike() -> None:
    a = prose(1, 12)
    assert similarity(a, a) == 1
    assert similarity(a, prose(2, 12)) < 0.2
    assert similarity(a, f"  {a.upper()}\n") == 1
    assert similarity(a, a.replace("e", "е", 30).replace(" ", "\u00a0\u200b")) == 1  # look-alikes
    assert similarity(a, a.replace(".", " !")) == 1
    assert 0.4 < similarity(a, edited(a, 0.1, 1)) < 0.9


def test_without_the_secret_nothing_can_be_compared() -> None:
    a = prose(1, 12)
    mine, theirs = sketch_of(a, SECRET), sketch_of(a, OTHER)
    assert mine is not None
    assert theirs is not None
    assert not np.any(mine == theirs)
    assert not set(bands_of(mine, SECRET)) & set(bands_of(theirs, OTHER))
    assert not set(bands_of(mine, SECRET)) & set(bands_of(mine, OTHER))


def test_short_texts_have_none_and_unspaced_scripts_have_words() -> None:
    assert sketch_of("word " * 19, SECRET) is None
    assert sketch_of("", SECRET) is None
    assert sketch_of("word " * 20, SECRET) is not None
    assert words_of("今天天气") == ["今", "天", "天", "气"]
    assert words_of("สวัสดี ok") == ["ส", "วั", "ส", "ดี", "ok"]
    assert len(words_of(RUSSIAN)) == 17
    chinese = "我们今天去公园散步然后在河边看见了很多漂亮的花和小鸟"
    assert similarity(chinese, chinese + "。") == 1


def test_bands_find_what_their_formula_says() -> None:
    """At similarity s, 42 bands of three places: 1 − (1 − s³)⁴²."""
    draw = np.random.default_rng(1)
    for s in (0.2, 0.3, 0.5):
        hits = 0
        for _ in range(300):
            a = draw.integers(0, 2**32, PLACES, np.uint32)
            b = np.where(draw.random(PLACES) < s, a, draw.integers(0, 2**32, PLACES, np.uint32))
            hits += bool(set(bands_of(a, SECRET)) & set(bands_of(b, SECRET)))
        expected = 1 - (1 - s**3) ** BANDS
        assert abs(hits / 300 - expected) < 4 * np.sqrt(expected * (1 - expected) / 300) + 0.01


GOLDEN = [51633929, 349016694, 136851348, 272119012]
GOLDEN_BANDS = [9128495177757246804, 7682099424452298023]


def test_what_logs_hold_stays_readable() -> None:
    """Changed, every log that exists is unreadable: then VERSION must change, too."""
    text = RUSSIAN * 2 + "And then there were three of us, all told, 2026."
    sketch = sketch_of(text, SECRET)
    assert sketch is not None
    assert sketch[:4].tolist() == GOLDEN == [least(text, place) for place in range(4)]
    assert bands_of(sketch, SECRET)[:2] == GOLDEN_BANDS
    assert all(0 <= band < 2**63 for band in bands_of(sketch, SECRET))


def least(text: str, place: int) -> int:
    """The same number by its definition, in whole numbers of Python."""

    def keyed(data: bytes, kind: bytes) -> int:
        digest = hashlib.blake2b(data, digest_size=8, key=SECRET, person=kind).digest()
        return int.from_bytes(digest, "little")

    factor = keyed(f"order {place}".encode(), b"orders") | 1
    term = keyed(f"order {PLACES + place}".encode(), b"orders")
    hashes = [keyed(run.encode(), b"run") for run in runs_of(text)]
    return min((factor * number + term) % 2**64 >> 32 for number in hashes)


def test_a_long_text_is_hashed_in_blocks() -> None:
    text = " ".join(f"w{i}" for i in range(9000))
    first, second = (
        sketch_of(text, SECRET),
        sketch_of(" ".join(f"w{i}" for i in range(5000)), SECRET),
    )
    assert first is not None
    assert second is not None
    assert np.all(first <= second)
    assert np.mean(first == second) == pytest.approx(5 / 9, abs=0.13)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_a_fingerprint_or_none(text: str) -> None:
    sketch = sketch_of(text, SECRET)
    assert (sketch is None) == (len(words_of(text)) < 20)
    if sketch is not None:
        assert len(to_bytes(sketch)) == 4 * PLACES
