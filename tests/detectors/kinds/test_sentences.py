"""Where the signs are: sentences, the share that looks machine-written, the weight of each word."""

from __future__ import annotations

import numpy as np
import pytest

from staged.detectors.kinds.readers.lexical import BUCKETS, LexicalReader, word_grams
from staged.detectors.kinds.readers.plain import plain
from staged.detectors.kinds.readers.sentences import (
    Mixing,
    Sentence,
    fit_mixing,
    sentences,
    share_of,
    word_weights,
)
from tests.conftest import prose
from tests.detectors.kinds.tiny import tiny_encoder_reader


def made(scores: list[float]) -> list[Sentence]:
    return [Sentence(i, i + 1, 10, score) for i, score in enumerate(scores)]


def test_sentences_are_of_the_text_as_it_stands() -> None:
    text = (
        "“The harbour opens — the window,” she said.\n\n* The boat follows the river home.  Yes."
        " The lamp sees the old bridge."
    )
    found = sentences(tiny_encoder_reader(), text)
    assert [text[one.start : one.end] for one in found] == [
        "“The harbour opens — the window,” she said.",
        "* The boat follows the river home.",
        "The lamp sees the old bridge.",
    ]
    assert all(np.isfinite(one.log_odds) for one in found)
    assert sentences(tiny_encoder_reader(), "") == []


def test_the_share_is_corrected_for_how_often_sentences_mislead() -> None:
    mixing = Mixing(0.0, of_people=0.2, of_machines=0.8)
    half = share_of(made([1.0] * 50 + [-1.0] * 50), mixing)
    assert half is not None
    assert (half.share, half.sentences) == (pytest.approx(0.5), 100)
    assert half.low < 0.5 < half.high
    assert half.high - half.low == pytest.approx(2 * 1.96 * 0.05 / 0.6, rel=0.2)
    people, machine = (
        share_of(made([1.0] * 20 + [-1.0] * 80), mixing),
        share_of(made([1.0] * 9), mixing),
    )
    assert people is not None
    assert machine is not None
    assert (people.share, machine.share, machine.low) == (pytest.approx(0), 1, 1)
    assert share_of(made([1.0] * 7), mixing) is None
    assert (
        share_of(made([1.0] * 2 + [-1.0] * 8), Mixing(0.0, of_people=0.12, of_machines=0.27))
        is None
    )  # 0 to 100%


def test_shares_of_spliced_texts_are_about_right() -> None:
    stream = np.random.default_rng(5)
    people, machines = stream.normal(-1, 1, 2000), stream.normal(1, 1, 2000)
    mixing = fit_mixing(made(people.tolist()), made(machines.tolist()))
    assert mixing.cut == pytest.approx(0, abs=0.3)
    inside = 0
    for share in np.repeat([0.0, 0.25, 0.5, 0.75], 50):
        count = round(40 * share)
        found = share_of(
            made([*stream.normal(1, 1, count), *stream.normal(-1, 1, 40 - count)]), mixing
        )
        assert found is not None
        inside += found.low - 0.02 <= share <= found.high + 0.02
    assert inside > 0.88 * 200


def test_words_carry_their_weight_at_their_place() -> None:
    weights = np.zeros(BUCKETS, dtype=np.float32)
    weights[word_grams("tapestry")] = 3.0
    text = "“A rich\n tapestry”, she said — a tapestry — of boats."
    found = word_weights(LexicalReader(weights, 0.0), text)
    heavy = [one for one in found if one.log_odds > 1e-9]
    assert ["tapestry" in text[one.start : one.end] for one in heavy] == [True, True]
    assert heavy[0].log_odds == pytest.approx(heavy[1].log_odds)
    assert [text[one.start : one.end] for one in found][-2:] == ["of", "boats"]


def test_all_weights_together_are_the_reader_s_log_odds() -> None:
    reader = LexicalReader(np.random.default_rng(2).normal(size=BUCKETS).astype(np.float32), 0.5)
    text = prose(4, 6)
    assert sum(one.log_odds for one in word_weights(reader, text)) == pytest.approx(
        reader.log_odds([plain(text)])[0] - 0.5, abs=1e-3
    )
