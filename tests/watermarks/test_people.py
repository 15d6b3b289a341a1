"""p-values of text that knows nothing of a key: presidents' speeches, in passages.

Over keys every scheme is exact. Under one key, over passages, are those whose contexts are wide and
hashed whole: what two passages share of five tokens is little. One-token contexts ("of the") and
self-hash's least products come again in every passage, so that a key has a rate of its own, near
the nominal one: docs/watermarks.md, `staged calibrate --watermark`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pytest
import torch
from scipy import stats

from staged.corpus.embedded import sotu
from staged.model.causal import load_tokenizer
from staged.stats.judging import holm
from staged.streams import derive
from staged.watermarks.contract import Watermark
from staged.watermarks.evidence import pairs
from staged.watermarks.schemes import make_watermark

MODEL, TOKENS = "mini-s", 200
VOCABULARY = 4_096
WIDE = ("gumbel", "gumbel-dual", "synthid")
NARROW = ("sbw lefthash", "sbw selfhash", "kgw lefthash", "kgw selfhash")


@functools.cache
def passages(documents: int | None = None) -> list[torch.Tensor]:
    """Token ids of passages of so many tokens, of the last speeches or of all."""
    texts = [document.text for document in sotu()][-(documents or 0) :]
    encoded = load_tokenizer(MODEL).encode_batch(texts)
    return [
        torch.tensor(ids[start : start + TOKENS])
        for ids in encoded
        for start in range(0, len(ids) - TOKENS + 1, TOKENS)
    ]


def mark(name: str, key: int) -> Watermark:
    scheme, _, seeding = name.partition(" ")
    settings = {"seeding": seeding} if seeding else {}
    return make_watermark(scheme, derive(key, "people"), VOCABULARY, settings)


def p_values(watermark: Watermark, texts: Sequence[torch.Tensor], seed: int) -> np.ndarray:
    """(N, 2) of each text: exact, and drawn evenly below it down to the next possible one, which is
    uniform where values come in steps, too. What texts share is looked up once.
    """
    read = [pairs(text, watermark) for text in texts]
    grams = torch.cat([torch.cat([contexts, ids[:, None]], dim=1) for contexts, ids in read])
    once, places = grams.unique(dim=0, return_inverse=True)
    values = watermark.values(once[:, :-1].contiguous(), once[:, -1].contiguous())[places]
    chance, rows = np.random.default_rng(seed), []
    for part in values.split([len(ids) for _, ids in read]):
        total, count = float(part.sum()), len(part)
        step = 1.0 if watermark.scheme in ("kgw", "sbw") else 1e-7
        p, above = watermark.p_value(total, count), watermark.p_value(total + step, count)
        rows.append((p, above + (p - above) * chance.random()))
    return np.array(rows)


def of_keys(name: str, texts: Sequence[torch.Tensor], keys: int) -> Iterator[np.ndarray]:
    for key in range(keys):
        yield p_values(mark(name, key), texts, key)


def is_uniform(values: np.ndarray) -> float:
    return float(stats.kstest(values, "uniform").pvalue)


@pytest.mark.parametrize("name", WIDE)
def test_one_key_over_passages(name: str) -> None:
    (values,) = of_keys(name, passages(14)[:200], 1)
    assert is_uniform(values[:, 1]) > 0.01


@pytest.mark.parametrize("name", [*WIDE, *NARROW[:3]])
def test_a_passage_a_key(name: str) -> None:
    """What exactness means: of any texts, whatever they share, if keys are drawn for them."""
    texts = passages(14)[:120]
    values = [p_values(mark(name, 1_000 + i), [text], i)[0] for i, text in enumerate(texts)]
    assert is_uniform(np.array(values)[:, 1]) > 0.01


def test_passages_that_are_the_same_would_show() -> None:
    """The tests above can fail: a key has one p-value for one text."""
    (values,) = of_keys("gumbel", passages(14)[:3] * 100, 1)
    assert is_uniform(values[:, 1]) < 1e-6


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", WIDE)
def test_ten_keys_over_ten_thousand_passages(name: str) -> None:
    texts = passages()[:10_000]
    assert len(texts) == 10_000
    tested = list(of_keys(name, texts, 10))
    assert min(holm([is_uniform(values[:, 1]) for values in tested])) > 0.01
    for level in (0.01, 0.001):
        rates = [float((values[:, 0] <= level).mean()) for values in tested]
        assert np.mean(rates) == pytest.approx(level, rel=0.2)
        assert max(rates) < 1.6 * level if level == 0.01 else max(rates) < 2.5 * level


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("name", "count"), [(name, 2_000 if name == "kgw selfhash" else 10_000) for name in NARROW]
)
def test_ten_thousand_passages_a_key_each(name: str, count: int) -> None:
    values = [
        p_values(mark(name, 5_000 + i), [text], i)[0]
        for i, text in enumerate(islice(passages(), count))
    ]
    assert is_uniform(np.array(values)[:, 1]) > 0.01


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", NARROW[:3])
def test_narrow_contexts_give_a_key_a_rate_of_its_own(name: str) -> None:
    """In the mean over keys it is the nominal one; of a key it is known to a factor."""
    rates = [
        float((values[:, 1] <= 0.01).mean()) for values in of_keys(name, passages()[:10_000], 10)
    ]
    assert np.mean(rates) == pytest.approx(0.01, rel=0.4)
    assert np.std(rates) > 0.002  # passages that share nothing would give 0.0009
    assert max(rates) < 0.035
