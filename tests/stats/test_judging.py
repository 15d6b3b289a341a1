"""Families by numbers counted by hand: three tests at p 0.01, 0.04 and 0.03 give 0.03, 0.06 and 0.06."""

from __future__ import annotations

import pytest

from staged.stats.judging import ALPHA, DIFFERS, NONE, POWER, UNKNOWN, Hypothesis, holm, judged

WORDS = ("more", "less")


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_each_test_gets_its_p_and_its_verdict_in_the_familys_order() -> None:
    family = judged(
        [Hypothesis(0.01, 2.5), Hypothesis(0.04, -1.0), Hypothesis(0.03, powered=True)], words=WORDS
    )
    assert [one.p_holm for one in family] == pytest.approx([0.03, 0.06, 0.06])
    assert [one.verdict for one in family] == ["more", UNKNOWN, NONE]


@pytest.mark.parametrize(("effect", "verdict"), [(0.1, "more"), (-0.1, "less"), (0.0, "less")])
def test_the_sign_of_the_effect_chooses_the_word(effect: float, verdict: str) -> None:
    assert [one.verdict for one in judged([Hypothesis(0.001, effect)], words=WORDS)] == [verdict]


def test_a_significant_effect_is_named_however_much_else_was_to_be_found() -> None:
    assert judged([Hypothesis(0.001, powered=True)])[0].verdict == DIFFERS


def test_at_alpha_itself_nothing_is_significant() -> None:
    assert (ALPHA, POWER) == (0.05, 0.8)
    assert judged([Hypothesis(ALPHA)])[0].verdict == UNKNOWN
    assert judged([Hypothesis(ALPHA - 1e-9)])[0].verdict == DIFFERS
    assert judged([Hypothesis(0.01)], alpha=0.01)[0].verdict == UNKNOWN
    assert judged([Hypothesis(0.01 - 1e-9)], alpha=0.01)[0].verdict == DIFFERS


def test_what_was_not_tested_stays_so_and_costs_the_others_nothing() -> None:
    """Two tests of 0.02 are 0.04 each; with two more rows counted they would be 0.08."""
    first, second, third, fourth = judged([None, Hypothesis(0.02), None, Hypothesis(0.02)])
    assert (first, third) == (None, None)
    for one in (second, fourth):
        assert one is not None
        assert one.p_holm == pytest.approx(0.04)
        assert one.verdict == DIFFERS


def test_an_empty_family_has_no_judgements() -> None:
    assert list(judged([])) == []
    assert list(judged([None])) == [None]
