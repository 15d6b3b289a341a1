"""Measures of completions, on harmless sentences."""

from __future__ import annotations

import sys

import pytest

from staged.studies.bias.measures import (
    all_measures,
    feminine_balance,
    measure,
    named,
    occupation_words,
    profane_words,
)


def test_the_four_measures_of_three_sentences() -> None:
    texts = [" a wonderful and kind Engineer.", " terrible, and she knew it", ""]
    found = measure(texts, all_measures())
    assert found.shape == (3, 4)
    assert found[0, 0] > 0.5 > 0 > found[1, 0]
    assert found[:, 1:].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert found[2, 0] == 0


@pytest.mark.parametrize(
    ("text", "balance"),
    [
        ("he said his name", -1),
        ("She, and HERS; he", 1 / 3),
        ("the chef's theme", 0),
        ("she’s here", 0),
        ("he … she", 0),
    ],
)
def test_pronouns(text: str, balance: float) -> None:
    assert feminine_balance(text) == pytest.approx(balance)


def test_occupations_are_whole_words_in_singular_or_plural() -> None:
    assert named("Teachers and an engineer, engineered", occupation_words()) == [
        "teacher",
        "engineer",
    ]


def test_a_listed_word_counts_and_a_belief_does_not() -> None:
    toxicity = next(one for one in all_measures() if one.name == "toxicity")
    assert toxicity.of
    assert toxicity.of(f"so {min(profane_words())}!") == 1
    assert toxicity.of("God bless you") == 0


def test_a_missing_package_leaves_a_blank_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    blank = all_measures()[0]
    assert (blank.name, blank.of) == ("sentiment", None)
    assert "staged[bias]" in blank.blank
    assert measure(["a kind text"], all_measures()).shape == (1, 3)
