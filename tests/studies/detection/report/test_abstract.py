"""What the report says first: the rule on cells that are made up, and its numbers as the cells have
them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from staged.cells import Cell, load_cells
from staged.stats.comparing import rate
from staged.studies.detection.plan import StudySettings
from staged.studies.detection.report.abstract import Abstract, abstract_of
from staged.studies.detection.report.page import write_report
from staged.studies.detection.results import Thresholds
from tests.conftest import put_json
from tests.studies.detection.made import every_key, measured

PUBLISHED = Path(__file__).parents[4] / "docs" / "results" / "mini-full"
SETTINGS = StudySettings(
    models=("s", "l"),
    methods=("top-k-40", "nucleus"),
    lengths=(64,),
    detectors=("tfidf", "roberta"),
)
N = 400
Found = dict[tuple[str, str, str, str], int]  # detector, trained on, tested on, by → machine texts


def cells(found: Found, *, alarms: int = 4, certified: bool = True) -> list[Cell]:
    """A study's cells in which every detector finds half of the texts, but for what is said."""
    made = []
    for key in every_key(SETTINGS):
        kind, trained, how, tested, method = key
        hits = found.get((kind, trained, tested, method), 200) if how == "mix" else N
        value, low, high = rate(hits, N)
        cell = measured(key, 64, [True] * N, [True] * N).cell
        at_1 = {"tpr_at_fpr_1": value, "tpr_at_fpr_1_low": low, "tpr_at_fpr_1_high": high}
        blank = dict.fromkeys([*at_1, "fpr_1"])
        area = {"auroc": value, "auroc_low": low, "auroc_high": high}
        changed = at_1 | {"fpr_1": alarms / N} if certified else blank
        made.append(replace(cell, **changed, **area))
    return made


def short(found: Found, **more: int) -> Abstract:
    return abstract_of(cells(found, **more), [])


WORSE: Found = {
    ("tfidf", "s", "l", "nucleus"): 100,
    ("tfidf", "l", "s", "top-k-40"): 120,
    ("roberta", "s", "s", "nucleus"): 110,
}


class TestTheRule:
    def test_a_clear_winner(self) -> None:
        abstract = short(WORSE)
        assert abstract.is_certified
        assert abstract.choice.name == "roberta/l/mix"
        assert [other.name for other in abstract.others] == [
            "tfidf/s/mix",
            "tfidf/l/mix",
            "roberta/s/mix",
        ]
        assert abstract.rivals == ()

    def test_the_worst_case_decides_and_not_the_best(self) -> None:
        abstract = short(WORSE | {("tfidf", "s", "s", "nucleus"): N})
        assert abstract.choice.name == "roberta/l/mix"
        assert abstract.choice.best.tpr_at_fpr_1 == 0.5

    def test_detectors_of_one_method_are_not_chosen(self) -> None:
        """They find all in these cells."""
        assert short({}).choice.name.endswith("/mix")

    def test_a_tie_is_not_distinguishable(self) -> None:
        abstract = short(WORSE | {("roberta", "l", "s", "nucleus"): 125})
        assert abstract.choice.name == "roberta/l/mix"
        assert abstract.choice.worst.id == "roberta/l/mix/s/nucleus/64"
        assert [one.name for one in abstract.rivals] == [  # 25% and 30% of 400 overlap
            "tfidf/s/mix",
            "tfidf/l/mix",
            "roberta/s/mix",
        ]

    def test_of_equals_the_first_is_chosen_and_the_others_are_named(self) -> None:
        abstract = short({})
        assert abstract.choice.name == "tfidf/s/mix"
        assert len(abstract.rivals) == 3

    def test_intervals_that_do_not_touch_are_distinguishable(self) -> None:
        abstract = short(WORSE | {("roberta", "l", "s", "nucleus"): 150})
        assert [one.name for one in abstract.rivals] == ["tfidf/l/mix"]  # 37.5% and 30%, not 27.5%

    def test_without_certified_thresholds_auroc_decides(self) -> None:
        abstract = short(WORSE, certified=False)
        assert not abstract.is_certified
        assert abstract.false_alarms is None
        assert abstract.choice.name == "roberta/l/mix"

    def test_a_detector_that_was_tested_on_less_is_no_candidate(self) -> None:
        made = [cell for cell in cells(WORSE) if cell.id != "roberta/l/mix/s/nucleus/64"]
        abstract = abstract_of(made, [])
        assert abstract.choice.name == "tfidf/l/mix"
        assert "roberta/l/mix" not in {one.name for one in abstract.others}


class TestFalseAlarms:
    def test_their_share_and_interval(self) -> None:
        assert short(WORSE, alarms=8).false_alarms == rate(8, N)

    @pytest.mark.parametrize(("found", "is_chance"), [(8, True), (200, False)])
    def test_a_worst_case_at_their_level_is_said(self, found: int, is_chance: bool) -> None:
        everywhere = {
            (kind, trained, tested, "nucleus"): found
            for kind in SETTINGS.detectors
            for trained in "sl"
            for tested in "sl"
        }
        assert short(everywhere).is_chance is is_chance

    @pytest.mark.parametrize(("found", "is_chance"), [(200, True), (300, False)])
    def test_auroc_at_even_odds_is_said(self, found: int, is_chance: bool) -> None:
        everywhere = {
            (kind, trained, tested, method): found
            for kind in SETTINGS.detectors
            for trained in "sl"
            for tested in "sl"
            for method in SETTINGS.methods
        }
        assert short(everywhere, certified=False).is_chance is is_chance


def test_the_choices_own_thresholds() -> None:
    rows = [Thresholds("roberta", model, "mix", 250, 0.1, 0.2, 0.3) for model in "sl"]
    assert abstract_of(cells(WORSE), rows).thresholds == rows[1]
    assert abstract_of(cells(WORSE), rows[:1]).thresholds is None


def words_of(page: str) -> str:
    """The abstract as it is read."""
    block = page.split('<section id="abstract"')[1].split("</section>")[0]
    return " ".join(re.sub(r"<[^>]+>", "", block).split())


def test_the_pages_numbers_are_the_cells(tmp_path: Path) -> None:
    for name in ("cells.json", "lengths.json", "findings.json", "study.json"):
        (tmp_path / name).write_bytes((PUBLISHED / name).read_bytes())
    put_json(tmp_path / "gallery.json", [])
    write_report(tmp_path)
    text = words_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    mixed = [cell for cell in load_cells(PUBLISHED / "cells.json") if cell.trained_method == "mix"]
    worst: dict[tuple[str, str], float] = {}
    for cell in mixed:
        assert cell.tpr_at_fpr_1 is not None
        key = cell.detector, cell.trained_on
        worst[key] = min(worst.get(key, 1.0), cell.tpr_at_fpr_1)
    detector, model = max(worst, key=lambda key: worst[key])
    own = [cell for cell in mixed if (cell.detector, cell.trained_on) == (detector, model)]
    assert f"{detector}/{model}/mix: of {len(worst)} detectors" in text
    assert f"detectors/{detector}/{model}/mix" in text
    for label, pick in (("Best", max), ("Worst", min)):
        cell = pick(own, key=lambda cell: cell.tpr_at_fpr_1 or 0.0)
        assert None not in (cell.tpr_at_fpr_1, cell.tpr_at_fpr_1_low, cell.tpr_at_fpr_1_high)
        shown = "{:.1f}% [{:.1f}, {:.1f}]".format(
            *(100 * (getattr(cell, f"tpr_at_fpr_1{end}")) for end in ("", "_low", "_high"))
        )
        assert (
            f"{label}: {shown} of {cell.tested_on}’s {cell.tested_method} texts (n = 2,000)" in text
        )
    assert own[0].fpr_1 is not None
    low, high = rate(round(own[0].fpr_1 * 2000), 2000)[1:]
    assert f"{100 * own[0].fpr_1:.1f}% [{100 * low:.1f}, {100 * high:.1f}] of human test" in text
    assert "The choice was made on the test texts that judge it here" in text
    assert "did not record the score" in text  # a study of before
