"""Every verdict of every finding, reached from decisions made by hand, on both sides of its
boundary.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from staged.studies.detection.cells import Measured
from staged.studies.detection.findings import findings, names, neighbours
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.results import Comparison, Finding
from tests.studies.detection.made import Key, every_key, measured

N = 41  # texts a class: 21 of even number, 20 of odd
Wrong = Mapping[Key, range]  # the numbers of a cell's machine texts that it decides wrongly

TWO = StudySettings(
    models=("dir/s", "l"),
    methods=("top-k-40",),
    detectors=("tfidf",),
    length_tokens=64,
    lengths=(64,),
)
METHODS = StudySettings(
    models=("s",),
    methods=("nucleus", "top-k-40"),
    detectors=("tfidf",),
    length_tokens=64,
    lengths=(64,),
)
THREE = StudySettings(
    models=("s", "m", "l"),
    methods=("top-k-40",),
    detectors=("tfidf",),
    length_tokens=64,
    lengths=(64,),
)
SS, SL, LS, LL = (("tfidf", a, "top-k-40", b, "top-k-40") for a in "sl" for b in "sl")


def table(settings: StudySettings, wrong: Wrong, *, human: Wrong | None = None) -> list[Measured]:
    """All cells of a study, all right but for what is wrong; a cell of another length is wrong
    throughout.
    """
    made = []
    for key in every_key(settings):
        key = (key[0], key[1].removeprefix("dir/"), key[2], key[3].removeprefix("dir/"), key[4])
        of_human, of_machine = (
            [i not in side.get(key, ()) for i in range(N)] for side in (human or {}, wrong)
        )
        made += [
            measured(key, settings.length_tokens, of_human, of_machine),
            measured(key, 7, [False] * N, [False] * N),
        ]
    return made


def finding(settings: StudySettings, number: int, wrong: Wrong, **more: Wrong) -> Finding:
    return findings(table(settings, wrong, **more), settings)[number]


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """statsmodels' `multipletests` collects garbage at every call, which takes a second with all of
    torch in memory.
    """
    gc.freeze()
    yield
    gc.unfreeze()


FOR, AGAINST, OPEN = "as claimed", "the other way", "not enough evidence"


class TestLargerIsHarder:
    """Three comparisons: an exact p of 2 × 2^-k for k texts that only one side decides rightly,
    times Holm's factor.
    """

    @pytest.mark.parametrize(
        ("wrong", "verdict", "each"),
        [
            ({SL: range(10), LL: range(10)}, "holds", (FOR, FOR, FOR)),  # 3 × 2/1024 < 0.01
            (
                {SL: range(9), LL: range(9)},
                "not enough evidence",
                (OPEN, OPEN, OPEN),
            ),  # 3 × 2/512 > 0.01
            ({SS: range(10), LS: range(10)}, "does not hold", (AGAINST, AGAINST, AGAINST)),
            ({SS: range(9), LS: range(9)}, "not enough evidence", (OPEN, OPEN, OPEN)),
            ({SL: range(10)}, "holds in part", (OPEN, FOR, OPEN)),
            ({SL: range(9)}, "not enough evidence", (OPEN, OPEN, OPEN)),
            (
                {LL: range(10), SL: range(8)},
                "holds",
                (FOR, FOR, FOR),
            ),  # the last of a family has Holm's factor 1
            ({LL: range(10), SL: range(7)}, "holds in part", (FOR, OPEN, FOR)),
            ({LS: range(10)}, "does not hold", (OPEN, OPEN, AGAINST)),
            ({SL: range(10), LS: range(10)}, "mixed", (OPEN, FOR, AGAINST)),
            ({}, "not enough evidence", (OPEN, OPEN, OPEN)),
        ],
    )
    def test_every_verdict(self, wrong: Wrong, verdict: str, each: tuple[str, ...]) -> None:
        found = finding(TWO, 0, wrong)
        assert found.claim == "Larger models' outputs are harder to classify."
        assert (found.verdict, tuple(one.verdict for one in found.comparisons)) == (verdict, each)

    def test_which_cells_are_compared(self) -> None:
        found = finding(TWO, 0, {})
        assert [(one.what, one.cell_a, one.cell_b) for one in found.comparisons] == [
            (
                f"tfidf, top-k-40: s is easier than l, {how}",
                "/".join((*a, "64")),
                "/".join((*b, "64")),
            )
            for how, a, b in (
                ("each by its own detector", SS, LL),
                ("both by the one trained on s", SS, SL),
                ("both by the one trained on l", LS, LL),
            )
        ]

    def test_the_figures(self) -> None:
        """Against statsmodels' McNemar; the paired difference and Holm's factors written out."""
        first, second, third = finding(
            TWO, 0, {SS: range(3), SL: range(1, 12), LL: range(2, 8)}
        ).comparisons
        assert [(one.only_a, one.only_b) for one in (first, second, third)] == [
            (5, 2),
            (9, 1),
            (6, 0),
        ]
        for one in (first, second, third):
            square = [[0, one.only_a], [one.only_b, 0]]
            assert one.p == pytest.approx(mcnemar(square, exact=True).pvalue)
            assert one.n_pairs == 2 * N
            assert one.difference == pytest.approx((one.only_a - one.only_b) / (2 * N))
            variance = (one.only_a + one.only_b) / (2 * N) ** 2 - (one.only_a - one.only_b) ** 2 / (
                2 * N
            ) ** 3
            half = stats.norm.ppf(0.975) * variance**0.5
            assert one.difference_low == pytest.approx(one.difference - half)
            assert one.difference_high == pytest.approx(one.difference + half)
        assert [one.p_holm for one in (second, third, first)] == pytest.approx(
            [3 * second.p, max(3 * second.p, 2 * third.p), max(first.p, 3 * second.p)]
        )

    def test_human_texts_count_too(self) -> None:
        found = finding(TWO, 0, {}, human={SL: range(10), LL: range(10)})
        assert found.verdict == "holds"
        half = finding(TWO, 0, {SL: range(5), LL: range(5)}, human={SL: range(5), LL: range(5)})
        assert half.verdict == "holds"

    def test_of_three_sizes_the_smallest_and_the_largest(self) -> None:
        found = finding(THREE, 0, {})
        assert {one.cell_a for one in found.comparisons} | {
            one.cell_b for one in found.comparisons
        } == {"/".join((*key, "64")) for key in (SS, SL, LS, LL)}


class TestLargerTransfersBetter:
    @pytest.mark.parametrize(
        ("wrong", "verdict"),
        [
            ({SL: range(8)}, "holds"),  # 2/256 < 0.01
            ({SL: range(7)}, "not enough evidence"),
            ({LL: range(8)}, "does not hold"),
            ({LL: range(7)}, "not enough evidence"),
            ({SL: range(8), LL: range(8, 9)}, "not enough evidence"),  # 8 against 1
        ],
    )
    def test_every_verdict_of_one_comparison(self, wrong: Wrong, verdict: str) -> None:
        found = finding(TWO, 1, wrong)
        assert found.verdict == verdict
        assert [(one.cell_a, one.cell_b) for one in found.comparisons] == [
            ("/".join((*LL, "64")), "/".join((*SL, "64")))
        ]
        assert (
            found.comparisons[0].what == "tfidf, top-k-40: on l, trained there beats trained on s"
        )
        assert found.claim.startswith(
            "A detector trained on a small model's output fails on a large one's"
        )
        assert found.test == "Tested on l: trained on l minus trained on s."

    @pytest.mark.parametrize(
        ("right", "verdict"),
        [
            ((FOR, FOR), "holds"),
            ((FOR, OPEN), "holds in part"),
            ((FOR, AGAINST), "mixed"),
            ((OPEN, AGAINST), "does not hold"),
        ],
    )
    def test_every_detector_and_method_is_one_comparison(
        self, right: tuple[str, str], verdict: str
    ) -> None:
        settings = StudySettings(models=("s", "l"), methods=("nucleus",), lengths=(64,))
        wrong = {}
        for kind, way in zip(("tfidf", "roberta"), right, strict=True):
            if way != OPEN:
                wrong[kind, "s" if way == FOR else "l", "nucleus", "l", "nucleus"] = range(10)
        found = finding(settings, 1, wrong)
        assert [one.verdict for one in found.comparisons] == list(right)
        assert [one.what.split(":")[0] for one in found.comparisons] == [
            "tfidf, nucleus",
            "roberta, nucleus",
        ]
        assert found.verdict == verdict


class TestBestWorstCase:
    """Which case is the worst is chosen on the texts of even number, and what is tested are the odd
    ones.
    """

    M = ("tfidf", "l", "top-k-40", "m", "top-k-40")

    @pytest.mark.parametrize(
        ("wrong", "verdict"),
        [
            (
                {SL: range(0, 40), ("tfidf", "m", "top-k-40", "s", "top-k-40"): range(0, 40)},
                "holds",
            ),
            ({SL: range(0, 40)}, "holds in part"),
            ({M: range(0, 40)}, "does not hold"),
            ({}, "not enough evidence"),
        ],
    )
    def test_every_verdict(self, wrong: Wrong, verdict: str) -> None:
        found = finding(THREE, 2, wrong)
        assert (
            found.claim
            == "The detector trained on the largest model has the best worst case over all sizes."
        )
        assert (
            found.test
            == "Least accuracy over the sizes: trained on l minus trained on each other size."
        )
        assert found.verdict == verdict
        assert [one.what for one in found.comparisons] == [
            f"tfidf, top-k-40: worst case of l's beats worst case of {other}'s" for other in "sm"
        ]
        assert {one.n_pairs for one in found.comparisons} == {2 * (N // 2)}

    def test_mixed(self) -> None:
        """The largest's is wrong on 20 texts; one other on all 41, which is worse, and one other on
        none, which is better.
        """
        wrong = {LS: range(0, 20), SS: range(0, 41)}
        assert finding(THREE, 2, wrong).verdict == "mixed"

    def test_the_worst_is_chosen_on_even_texts_and_tested_on_odd_ones(self) -> None:
        """Of the small one's cases one is worst on even texts alone, another on odd texts alone:
        the first is chosen, and loses nothing where it is tested.
        """
        wrong = {SS: range(0, 40, 2), SL: range(1, 40, 2)}
        (found,) = finding(TWO, 2, wrong).comparisons
        assert found.cell_b == "/".join((*SS, "64"))
        assert (found.only_a, found.only_b, found.n_pairs) == (0, 0, 40)
        human = {SS: range(0, 40, 2), SL: range(1, 40, 2)}
        (found,) = finding(TWO, 2, {}, human=human).comparisons
        assert found.cell_b == "/".join((*SS, "64"))
        (found,) = finding(TWO, 2, {SL: range(0, 40, 2), SS: range(1, 40, 2)}).comparisons
        assert found.cell_b == "/".join((*SL, "64"))

    def test_the_largest_ones_own_worst_case_is_compared(self) -> None:
        (found,) = finding(TWO, 2, {LS: range(0, 20)}).comparisons
        assert (found.cell_a, found.only_a, found.only_b) == ("/".join((*LS, "64")), 0, 10)
        (found,) = finding(TWO, 2, {LL: range(0, 20)}).comparisons
        assert (found.cell_a, found.only_a, found.only_b) == ("/".join((*LL, "64")), 0, 10)


class TestRangeOfMethods:
    @staticmethod
    def key(trained: str, method: str, model: str = "s") -> Key:
        return ("tfidf", model, trained, model, method)

    @pytest.mark.parametrize(
        ("bad", "verdict"),
        [
            ({"nucleus": range(41), "top-k-40": range(41)}, "holds"),
            ({"nucleus": range(41)}, "holds in part"),
            ({MIX: range(41)}, "does not hold"),
            ({MIX: range(0, 20), "nucleus": range(41)}, "mixed"),
            ({}, "not enough evidence"),
        ],
    )
    def test_every_verdict(self, bad: Mapping[str, range], verdict: str) -> None:
        """Each detector fails, if it does, on the method that it was not trained on; the mix's on
        one of the two.
        """
        fails_on = {"nucleus": "top-k-40", "top-k-40": "nucleus", MIX: "nucleus"}
        (found,) = findings(
            table(METHODS, {self.key(how, fails_on[how]): texts for how, texts in bad.items()}),
            METHODS,
        )
        assert (
            found.claim == "Training on a range of sampling methods makes detection more reliable."
        )
        assert found.verdict == verdict
        assert [one.what for one in found.comparisons] == [
            f"tfidf, s: worst method trained on the mix beats trained on {method} alone"
            for method in METHODS.methods
        ]

    def test_the_worst_is_chosen_on_even_texts(self) -> None:
        wrong = {
            self.key("nucleus", "top-k-40"): range(0, 40, 2),
            self.key("nucleus", "nucleus"): range(1, 40, 2),
        }
        (found,) = findings(table(METHODS, wrong), METHODS)
        first = found.comparisons[0]
        assert (first.cell_b, first.only_a, first.n_pairs) == (
            "tfidf/s/nucleus/s/top-k-40/64",
            0,
            40,
        )

    def test_every_detector_and_model_is_tested_on_its_own(self) -> None:
        settings = StudySettings(models=("s", "l"), methods=METHODS.methods, lengths=(64,))
        found = findings(table(settings, {}), settings)[3]
        assert len(found.comparisons) == 2 * 2 * 2
        assert {
            one.cell_a.split("/")[0:4:3] == one.cell_b.split("/")[0:4:3]
            for one in found.comparisons
        } == {True}
        assert all(
            one.cell_a.split("/")[1] == one.cell_a.split("/")[3] for one in found.comparisons
        )


def test_how_many_comparisons_go_which_way() -> None:
    mixed = finding(TWO, 0, {SL: range(10), LS: range(10)})
    assert (mixed.n_as_claimed, mixed.n_other_way, len(mixed.comparisons)) == (1, 1, 3)
    assert finding(TWO, 0, {SL: range(10), LL: range(10)}).n_as_claimed == 3


def test_which_findings_a_study_can_have() -> None:
    alone = StudySettings(models=("s",), methods=("nucleus",), detectors=("tfidf",), lengths=(64,))
    assert findings(table(alone, {}), alone) == []
    assert len(findings(table(TWO, {}), TWO)) == 3
    assert len(findings(table(METHODS, {}), METHODS)) == 1
    both = StudySettings(
        models=("s", "l"), methods=METHODS.methods, detectors=("tfidf",), lengths=(64,)
    )
    assert len(findings(table(both, {}), both)) == 4


def test_models_go_by_their_folders_names() -> None:
    assert names(TWO) == ("s", "l")


def test_neighbours_are_steps_from_size_to_size() -> None:
    """Each by its own detector, all in one family: 4 steps here, so that 2/1024 × 4 is significant
    and 2/512 × 4 is not.
    """
    settings = StudySettings(models=("s", "m", "l"), methods=("nucleus",), lengths=(64,))
    middle = ("tfidf", "m", "nucleus", "m", "nucleus")
    found = neighbours(
        table(settings, {middle: range(10), ("tfidf", "l", "nucleus", "l", "nucleus"): range(10)}),
        settings,
    )
    assert [(one.what, one.cell_a, one.cell_b) for one in found] == [
        (
            f"{kind}, nucleus: {a} is easier than {b}",
            f"{kind}/{a}/nucleus/{a}/nucleus/64",
            f"{kind}/{b}/nucleus/{b}/nucleus/64",
        )
        for kind in ("tfidf", "roberta")
        for a, b in ("sm", "ml")
    ]
    assert [one.verdict for one in found] == [FOR, OPEN, OPEN, OPEN]
    assert found[0].p_holm == pytest.approx(4 * 2 / 2**10)
    assert [one.verdict for one in neighbours(table(settings, {middle: range(9)}), settings)] == [
        OPEN
    ] * 4
    assert [one.verdict for one in neighbours(table(settings, {middle: range(11)}), settings)] == [
        FOR,
        AGAINST,
        OPEN,
        OPEN,
    ]


def test_what_is_written_down() -> None:
    """The fields that findings.json has had since the first study."""
    assert list(asdict(finding(TWO, 1, {}))) == ["claim", "test", "verdict", "comparisons"]
    assert list(Comparison.__dataclass_fields__) == [
        *(
            "what",
            "cell_a",
            "cell_b",
            "n_pairs",
            "only_a",
            "only_b",
            "difference",
            "difference_low",
            "difference_high",
        ),
        *("p", "p_holm", "verdict"),
    ]
