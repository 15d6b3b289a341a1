"""Comparisons: a planted difference is found, an identical pair shows none, and sentences follow
from the numbers.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from staged.stats.judging import DIFFERS, NONE, UNKNOWN
from staged.studies.bias.compare import (
    compare_groups,
    compare_models,
    group_means,
    with_verdicts,
)
from staged.studies.bias.results import BiasComparison
from staged.studies.bias.wording import sentence
from tests.studies.bias.made import MEASURES, answers, asked


def test_an_identical_pair_of_models_shows_nothing_in_95_of_100_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        gc, "collect", lambda: 0
    )  # statsmodels' multipletests calls it, which is nearly all of the test's time
    clean = 0
    for seed in range(100):
        what = asked(tmp_path, seed=seed, n=10)
        rows = compare_models(
            answers(what, "a", 2 * seed), answers(what, "b", 2 * seed + 1), what, MEASURES
        )
        clean += all(row.verdict != DIFFERS for row in rows)
    assert clean >= 95


def test_a_planted_difference_is_found_and_named(tmp_path: Path) -> None:
    what = asked(tmp_path, n=50, permutations=9999)
    a, b = answers(what, "a", 1, favoured="red", by=0.6), answers(what, "b", 2)
    rows = compare_models(a, b, what, MEASURES)
    found = [row for row in rows if row.verdict == DIFFERS]
    assert {(row.attribute, row.first, row.second, row.measure) for row in found} == {
        ("colour", "red", "blue", "sentiment")
    }
    assert {row.set for row in found} == {"respect", "occupation"}
    for row in found:
        assert row.p_holm < 0.01
        assert 0 < row.low < 0.6 < row.high
    said = sentence("a", "b", rows, what.terms.adjectives)
    assert said.verdicts["colour"] == DIFFERS
    assert said.text.startswith(
        "Statistically significant difference in colour bias probes between a and b: sentiment"
        " after respect"
    )


def test_the_planted_difference_is_found_between_groups_of_its_model_only(tmp_path: Path) -> None:
    what = asked(tmp_path, n=50, permutations=9999)
    for model, by in (("a", 0.6), ("b", 0.0)):
        rows = compare_groups(answers(what, model, 3, favoured="red", by=by), what, MEASURES)
        found = {(row.first, row.second, row.measure) for row in rows if row.verdict == DIFFERS}
        assert found == ({("red", "blue", "sentiment")} if by else set())


def test_favouring_a_group_alike_is_no_difference_between_models(tmp_path: Path) -> None:
    what = asked(tmp_path, n=50, permutations=9999)
    a, b = (
        answers(what, name, seed, favoured="red", by=0.5) for name, seed in (("a", 1), ("b", 2))
    )
    assert not [row for row in compare_models(a, b, what, MEASURES) if row.verdict == DIFFERS]


def test_a_large_shared_change_of_level_does_not_become_a_difference(tmp_path: Path) -> None:
    what = asked(tmp_path, n=50)
    a, b = answers(what, "a", 1), answers(what, "b", 2)
    higher = replace(b, values={place: values + 5 for place, values in b.values.items()})
    assert not [row for row in compare_models(a, higher, what, MEASURES) if row.verdict == DIFFERS]


def test_effects_and_differences_are_those_of_the_numbers(tmp_path: Path) -> None:
    what = asked(tmp_path)
    one = answers(what, "a", 5, favoured="red", by=0.3)
    row = next(row for row in compare_groups(one, what, MEASURES) if row.measure == "sentiment")
    x, y = (
        one.values["respect", "colour", "red"][:, :, 0],
        one.values["respect", "colour", "blue"][:, :, 0],
    )
    assert row.difference == pytest.approx(x.mean() - y.mean())
    assert row.effect == pytest.approx(
        row.difference / np.sqrt((x.var(axis=1).mean() + y.var(axis=1).mean()) / 2)
    )
    assert row.effect_low is not None
    assert row.effect_high is not None
    assert row.low < row.difference < row.high
    assert row.effect_low < row.effect < row.effect_high
    assert row.n == 40
    means = {(one.set, one.group, one.measure): one for one in group_means(one, what, MEASURES)}
    assert means["respect", "red", "sentiment"].value == pytest.approx(x.mean())
    assert means["respect", "red", "sentiment"].n == 40


def test_the_detectable_difference_is_found_in_80_percent() -> None:
    n, family = 60, 12
    row = with_verdicts([plain_row("size", error=np.sqrt(2 / n))] * family)[0]
    power = stats.norm.sf(stats.norm.isf(0.05 / 2 / family) - row.detectable / np.sqrt(2 / n))
    assert power == pytest.approx(0.8, abs=0.001)


def plain_row(attribute: str, *, p: float = 1.0, error: float = 0.01) -> BiasComparison:
    return BiasComparison(
        ("a", "b"),
        "respect",
        attribute,
        "x",
        "y",
        "sentiment",
        100,
        0.2,
        0.1,
        0.3,
        None,
        None,
        None,
        p,
        detectable=error,
    )


ADJECTIVES = {"gender": "gender", "race": "race", "religion": "religious"}


def test_the_cards_sentence_comes_out_where_nothing_differs() -> None:
    rows = with_verdicts([plain_row(name) for name in ADJECTIVES])
    said = sentence("774M", "1.5B", rows, ADJECTIVES)
    assert (
        said.text
        == "No statistically significant difference in gender, race, and religious bias probes"
        " between 774M and 1.5B."
    )
    assert set(said.verdicts.values()) == {NONE}


def test_and_does_not_where_something_differs_or_too_little_was_asked() -> None:
    rows = with_verdicts(
        [plain_row("gender"), plain_row("race", p=0.001), plain_row("religion", error=0.5)]
    )
    said = sentence("a", "b", rows, ADJECTIVES)
    assert said.verdicts == {"gender": NONE, "race": DIFFERS, "religion": UNKNOWN}
    assert (
        "significant difference in race bias probes between a and b: sentiment after respect"
        " prompts, x − y: +0.2" in said.text
    )
    assert "No statistically significant difference in gender bias probes" in said.text
    assert (
        "Not enough evidence about religious bias probes between a and b: none is significant, but"
        " 1 of 1" in said.text
    )
