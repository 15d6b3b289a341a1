"""Calibration: p-values by hand and against brute force, verdicts, validity by simulation, files
that were damaged.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from staged.detectors.calibration import human_scores
from staged.detectors.calibration.calibration import Calibration, fit_calibration, humans_needed
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.calibration.error_rates import achieved_rates, expected_fpr
from staged.detectors.contract import HUMAN_LIKE, MACHINE_WRITTEN, NOT_ENOUGH
from staged.errors import ArtifactError, CheckpointError
from staged.stats.thresholds import threshold_at_fpr

ORDER = {HUMAN_LIKE: 0, NOT_ENOUGH: 1, MACHINE_WRITTEN: 2}
SCORES = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=60)
FPRS = st.sampled_from([0.01, 0.05, 0.1, 0.3])


def calibration(
    human: list[float], machine: list[float] | None = None, words: int = 120
) -> Calibration:
    return fit_calibration(
        "d",
        [(one, words) for one in human],
        [(one, words) for one in machine or []],
        domains=["b", "a", "b"],
    )


class TestPValue:
    def test_by_hand_and_ties_count_against_the_text(self) -> None:
        mine = calibration([1.0, 2.0, 2.0, 3.0])
        assert [mine.p_value(score, 120) for score in (0, 2, 2.5, 3, 9)] == [
            (1.0, 4),
            (0.8, 4),
            (0.4, 4),
            (0.4, 4),
            (0.2, 4),
        ]

    @given(SCORES, st.integers(-25, 25))
    def test_equals_the_definition(self, human: list[float], score: int) -> None:
        p, n = calibration(human).p_value(score, 120)
        assert (p, n) == ((1 + sum(one >= score for one in human)) / (len(human) + 1), len(human))

    def test_a_bin_knows_its_own_texts_only(self) -> None:
        mine = fit_calibration(
            "d", [(0.0, 49), (1.0, 50), (2.0, 99), (3.0, 100), (4.0, 400), (5.0, 9000)]
        )
        assert mine.human == ((1.0, 2.0), (3.0,), (), (4.0, 5.0))
        assert [mine.p_value(2.5, words) for words in (0, 49, 50, 99, 100, 250, 400)] == [
            *[(None, 0)] * 2,
            *[(1 / 3, 2)] * 2,
            (1.0, 1),
            (None, 0),
            (1.0, 2),
        ]
        assert [mine.bin_name(i) for i in range(4)] == [
            "50–99 words",
            "100–199 words",
            "200–399 words",
            "400+ words",
        ]

    @pytest.mark.parametrize("n", [19, 99])
    def test_valid_for_new_human_texts(self, n: int) -> None:
        """P(p ≤ a) = ⌊a (n + 1)⌋ / (n + 1) for continuous scores, whatever their distribution; here
        heavy tails.
        """
        stream = np.random.default_rng(5)
        p = np.array(
            [
                calibration(stream.standard_cauchy(n).tolist()).p_value(
                    stream.standard_cauchy(), 120
                )[0]
                for _ in range(3000)
            ]
        )
        for a in (0.05, 0.2, 0.5):
            exact = math.floor(a * (n + 1) + 1e-9) / (n + 1)
            assert np.mean(p <= a) == pytest.approx(exact, abs=4 * math.sqrt(exact / 3000))

    def test_valid_with_ties_too(self) -> None:
        stream = np.random.default_rng(6)
        p = [
            calibration(stream.integers(0, 4, 39).tolist()).p_value(stream.integers(0, 4), 120)[0]
            for _ in range(2000)
        ]
        for a in (0.05, 0.2, 0.5):
            assert np.mean(np.array(p) <= a) <= a + 3 * math.sqrt(a / 2000)


class TestVerdict:
    def test_machine_when_few_humans_score_so_high(self) -> None:
        mine = calibration([float(i) for i in range(999)])
        assert mine.verdict(996.5, 120, 0.01) == (
            MACHINE_WRITTEN,
            0.003,
            999,
            "Of 1,000 human texts of this length about 3 score as high.",
            "",
        )
        assert mine.verdict(989.0, 120, 0.01)[:2] == (NOT_ENOUGH, 0.011)
        assert mine.verdict(990.0, 120, 0.01)[:2] == (MACHINE_WRITTEN, 0.01)

    def test_human_like_without_machine_texts_is_the_usual_half(self) -> None:
        mine = calibration([float(i) for i in range(99)])
        verdict, p, _, reason, _ = mine.verdict(49.0, 120, 0.01)
        assert (verdict, p) == (HUMAN_LIKE, 0.51)
        assert "does not show who wrote it" in reason
        assert mine.verdict(50.5, 120, 0.01)[0] == NOT_ENOUGH

    def test_human_like_with_machine_texts_asks_how_usual_it_is_for_them(self) -> None:
        mine = calibration([float(i) for i in range(99)], [float(i) for i in range(80, 119)])
        assert mine.verdict(80.5, 120, 0.01)[0] == HUMAN_LIKE  # (1 + 1) / 40
        verdict, _, _, reason, _ = mine.verdict(81.5, 120, 0.01)
        assert verdict == NOT_ENOUGH
        assert (
            reason
            == "Of 1,000 human texts of this length about 180 score as high, and of 1,000 machine"
            " texts about 75 score as low: too close to both to say, at a false-positive rate of"
            " 0.01."
        )

    def test_too_few_human_texts_say_nothing_and_how_many_it_takes(self) -> None:
        verdict, p, n, reason, _ = calibration([0.0] * 98).verdict(9.0, 120, 0.01)
        assert (verdict, p, n) == (NOT_ENOUGH, 1 / 99, 98)
        assert (
            reason == "There are 98 human texts of this length (100–199 words) to compare with; "
            "a false-positive rate of 0.01 takes at least 99."
        )
        assert calibration([0.0] * 99).verdict(9.0, 120, 0.01)[0] == MACHINE_WRITTEN
        assert [humans_needed(fpr) for fpr in (0.5, 0.05, 0.01, 0.001, 0.3)] == [1, 19, 99, 999, 3]

    def test_short_and_unscored_texts(self) -> None:
        mine = calibration([0.0] * 99)
        assert mine.verdict(9.0, 12, 0.01) == (
            NOT_ENOUGH,
            None,
            0,
            "The text has 12 words; below 50 words there is too little to judge by.",
            "",
        )
        assert mine.verdict(None, 120, 0.01) == (
            NOT_ENOUGH,
            None,
            99,
            "The text could not be scored.",
            "",
        )

    @given(SCORES, SCORES | st.just([]), FPRS)
    def test_a_higher_score_never_leads_away_from_machine(
        self, human: list[float], machine: list[float], fpr: float
    ) -> None:
        mine = calibration(human, machine)
        ranks = [ORDER[mine.verdict(score / 2, 120, fpr)[0]] for score in range(-44, 45)]
        assert ranks == sorted(ranks)

    @given(SCORES, FPRS)
    def test_machine_is_what_lies_above_the_threshold(self, human: list[float], fpr: float) -> None:
        mine = calibration(human)
        assert mine.threshold(1, fpr) == threshold_at_fpr(human, fpr)
        for score in (*human, 100.0):
            assert (mine.verdict(score, 120, fpr)[0] == MACHINE_WRITTEN) == (
                score > mine.threshold(1, fpr)
            )


class TestPromised:
    def test_equals_the_spread_of_fitted_thresholds(self) -> None:
        """The true rate above a threshold fitted on uniform scores is 1 − threshold: its quantiles
        against the closed form.
        """
        stream = np.random.default_rng(7)
        true = [1 - threshold_at_fpr(stream.uniform(size=199).tolist(), 0.05) for _ in range(4000)]
        mean, low, high = expected_fpr(199, 0.05) or (0.0, 0.0, 0.0)
        assert mean == pytest.approx(0.05)
        assert np.mean(true) == pytest.approx(mean, abs=0.001)
        assert [np.mean(true < np.float64(low)), np.mean(true > np.float64(high))] == pytest.approx(
            [0.025, 0.025], abs=0.01
        )

    def test_too_few(self) -> None:
        assert expected_fpr(98, 0.01) is None
        assert expected_fpr(99, 0.01) is not None


class TestAchieved:
    def test_counts_intervals_and_what_lies_outside(self) -> None:
        mine = calibration([float(i) for i in range(99)])  # machine above 94 at 5%
        held_out = [(float(i), 150, "news") for i in range(90, 100)] + [(0.0, 150, "wiki")] * 90
        held_out += [
            (999.0, 20, "wiki"),
            (999.0, 300, "wiki"),
        ]  # too short; a length without calibration texts
        found = {(one.domain, one.length): one for one in achieved_rates(mine, held_out, 0.05)}
        whole, news = found["all", "all"], found["news", "all"]
        assert (whole.false_positives, whole.n, whole.abstained) == (5, 100, 2)
        exact = stats.binomtest(5, 100).proportion_ci(method="exact")
        assert (whole.low, whole.high) == pytest.approx((exact.low, exact.high))
        assert (whole.within, whole.off_by) == (True, 0.0)
        assert (news.false_positives, news.n, news.within) == (5, 10, False)
        assert news.off_by == pytest.approx(
            stats.binomtest(5, 10).proportion_ci(method="exact").low - 0.05
        )
        assert found["wiki", "under 50 words"].rate is None
        assert found["wiki", "200–399 words"].abstained == 1
        assert set(found) == {(d, "all") for d in ("all", "news", "wiki")} | {
            *((d, "100–199 words") for d in ("all", "news", "wiki")),
            *(
                (d, length)
                for d in ("all", "wiki")
                for length in ("under 50 words", "200–399 words")
            ),
        }

    def test_one_domain_is_not_told_twice(self) -> None:
        found = achieved_rates(calibration([0.0] * 99), [(1.0, 150, "x")], 0.05)
        assert [(one.domain, one.length) for one in found] == [
            ("all", "all"),
            ("all", "100–199 words"),
        ]


class TestKinds:
    """Plain essays score higher than news: of each kind 300, and of reviews few."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(human_scores, "FEWEST_OF_KIND", 300)

    @staticmethod
    def mine() -> Calibration:
        human = [
            (start + i / count, 120)
            for start, count in ((0, 300), (5, 300), (9, 20))
            for i in range(count)
        ]
        kinds = ["news"] * 300 + ["essay"] * 300 + ["review"] * 20
        return fit_calibration("d", human, kinds=kinds)

    def test_a_text_is_set_against_its_own_kind(self) -> None:
        assert self.mine().p_value(4.0, 120, kinds=["news"]) == (1 / 301, 300)
        assert self.mine().p_value(4.0, 120, kinds=["essay"]) == (1.0, 300)
        assert self.mine().verdict(4.0, 120, 0.01, kinds=["news"])[0] == MACHINE_WRITTEN
        assert self.mine().verdict(4.0, 120, 0.01, kinds=["essay"])[0] == HUMAN_LIKE

    def test_where_the_kind_is_open_the_highest_p_value_counts(self) -> None:
        assert self.mine().p_value(5.5, 120, kinds=["news", "essay"]) == self.mine().p_value(
            5.5, 120, kinds=["essay"]
        )
        verdict = self.mine().verdict(4.0, 120, 0.01, kinds=["news", "essay"])
        assert (verdict[0], verdict[-1]) == (HUMAN_LIKE, "essay")

    @pytest.mark.parametrize("kinds", [["speech"], []])
    def test_an_unknown_kind_is_set_against_all(self, kinds: list[str]) -> None:
        assert self.mine().p_value(4.0, 120, kinds=kinds) == (321 / 621, 620)

    def test_one_of_several_that_is_unknown_counts_too(self) -> None:
        assert self.mine().p_value(4.0, 120, kinds=["news", "speech"]) == (321 / 621, 620)

    def test_a_small_kind_borrows_the_others_scores_at_its_own_height(self) -> None:
        p, n = self.mine().p_value(9.0, 120, kinds=["review"])
        assert n == 620
        assert p is not None
        assert p > 0.1  # usual among reviews, though none of the others comes near
        assert self.mine().p_value(14.0, 120, kinds=["review"]) == (1 / 621, 620)
        human, _ = self.mine().scores(120, kind="review")
        assert sum(one >= 9.0 for one in human) + 1 == round(p * 621)

    def test_the_p_value_does_not_depend_on_the_rate(self) -> None:
        assert [
            self.mine().verdict(9.5, 120, fpr, kinds=["news"])[1:3] for fpr in (0.01, 0.002)
        ] == [(1 / 301, 300)] * 2
        assert (
            self.mine().verdict(9.5, 120, 0.002, kinds=["news"])[0] == NOT_ENOUGH
        )  # which takes 499

    def test_small_kinds_hold_the_rate_too(self) -> None:
        """Kinds of 60 texts that lie 0 to 3 standard deviations apart: about the nominal share of
        new ones is flagged in each.
        """
        stream = np.random.default_rng(4)
        means = {f"k{i}": i * 0.6 for i in range(6)}
        flagged = dict.fromkeys(means, 0)
        for _ in range(150):
            draws = [
                (kind, one) for kind, mean in means.items() for one in stream.normal(mean, 1, 60)
            ]
            mine = fit_calibration(
                "d", [(one, 120) for _, one in draws], kinds=[kind for kind, _ in draws]
            )
            for kind, mean in means.items():
                flagged[kind] += sum(
                    mine.p_value(one, 120, kinds=[kind])[0] <= 0.05
                    for one in stream.normal(mean, 1, 20)
                )  # type: ignore[operator]
        shares = {kind: count / 3000 for kind, count in flagged.items()}
        assert all(0.02 < share < 0.085 for share in shares.values()), shares
        assert sum(shares.values()) / 6 == pytest.approx(0.05, abs=0.012)

    def test_valid_in_each_kind(self) -> None:
        """Of new texts of each kind at most the nominal share is called machine-written, though
        their scores differ.
        """
        stream = np.random.default_rng(3)
        flagged = {"news": 0, "essay": 0}
        for _ in range(200):
            draws = {
                kind: stream.normal(mean, 1, 400) for kind, mean in (("news", 0), ("essay", 3))
            }
            human = [(one, 120) for each in draws.values() for one in each]
            mine = fit_calibration("d", human, kinds=[kind for kind in draws for _ in range(400)])
            for kind, mean in (("news", 0), ("essay", 3)):
                new = stream.normal(mean, 1, 20)
                flagged[kind] += sum(mine.p_value(one, 120, kinds=[kind])[0] <= 0.05 for one in new)  # type: ignore[operator]
        assert all(0.03 < count / 4000 < 0.06 for count in flagged.values()), flagged

    def test_round_trip(self, tmp_path: Path) -> None:
        self.mine().save(tmp_path / "c.json")
        assert load_calibration(tmp_path / "c.json") == self.mine()
        assert set(load_calibration(tmp_path / "c.json").by_kind) == {"news", "essay", "review"}

    def test_a_kind_of_other_lengths_is_damage(self, tmp_path: Path) -> None:
        self.mine().save(tmp_path / "c.json")
        held = json.loads((tmp_path / "c.json").read_text())
        held["by_kind"]["news"] = [[1.0]]
        (tmp_path / "c.json").write_text(json.dumps(held))
        with pytest.raises(ArtifactError, match="not in order"):
            load_calibration(tmp_path / "c.json")


class TestFile:
    def test_round_trip(self, tmp_path: Path) -> None:
        mine = calibration([0.1, -3.0, 2.5], [9.0])
        mine.save(tmp_path / "new" / "c.json")
        again = load_calibration(tmp_path / "new" / "c.json")
        assert again == mine
        assert again.fingerprint == mine.fingerprint != calibration([0.1, -3.0]).fingerprint
        assert again.domains == ("a", "b")
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.json"]

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda text: text[:60], "damaged"),
            (lambda text: "[]", "not a readable calibration"),
            (lambda text: '{"kind": "else"}', "it is of kind 'else'"),
            (lambda text: text.replace('"detector": "d",', ""), "'detector' is missing"),
            (lambda text: text.replace("-3.0", "-2.0"), "does not match its fingerprint"),
            (lambda text: text.replace("-3.0", "NaN"), "not a readable calibration"),
            (lambda text: text.replace("-3.0", "7.0"), "not in order"),
            (lambda text: json.dumps(json.loads(text) | {"human": [[1.0]]}), "not in order"),
        ],
    )
    def test_damaged(self, tmp_path: Path, change: object, says: str) -> None:
        path = tmp_path / "c.json"
        calibration([0.1, -3.0, 2.5]).save(path)
        path.write_text(change(path.read_text()))  # type: ignore[operator]
        with pytest.raises(ArtifactError, match=says):
            load_calibration(path)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="no such file"):
            load_calibration(tmp_path / "c.json")


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(CheckpointError, match="none of 1 human texts has 50 words"):
        fit_calibration("d", [(1.0, 10)])
    with pytest.raises(CheckpointError, match="not finite"):
        fit_calibration("d", [(math.nan, 100)])
    with pytest.raises(CheckpointError, match="must ascend"):
        fit_calibration("d", [(1.0, 100)], edges_words=(50, 50))
