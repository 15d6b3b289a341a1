"""Cells counted by hand, from scores that are chosen; and a study's folder read into them."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from staged.errors import ArtifactError
from staged.pipeline.stage import Inputs
from staged.records import MACHINE, Document
from staged.studies.detection.cells import Measured, cell_of, measure, thresholds
from staged.studies.detection.graph import StudyStages
from staged.studies.detection.plan import MIX, StudySettings
from tests.studies.detection.made import human, machine, opened, write_scores, write_texts

KEY = ("tfidf", "s", "nucleus", "l", "top-k-40", 64)
STREAM = np.random.default_rng(20)
HUMAN, MACHINES = (
    STREAM.normal(size=150).round(2),
    STREAM.normal(0.8, size=120).round(2),
)  # rounded: some scores are equal
CUTS = (0.5, 1.9, 1.2)


def shares(hits: int, n: int) -> list[float]:
    return [hits / n, *proportion_confint(hits, n, alpha=0.05, method="wilson")]


def delong(human: np.ndarray, machine: np.ndarray) -> list[float]:
    """The area and its interval on the logit scale, by the definition: every pair is looked at."""
    above = np.array([[1.0 if m > h else 0.5 if m == h else 0.0 for h in human] for m in machine])
    area = above.mean()
    variance = above.mean(axis=0).var(ddof=1) / len(human) + above.mean(axis=1).var(ddof=1) / len(
        machine
    )
    centre, half = (
        math.log(area / (1 - area)),
        stats.norm.ppf(0.975) * math.sqrt(variance) / (area * (1 - area)),
    )
    return [area, *(1 / (1 + math.exp(-(centre + side * half))) for side in (-1, 1))]


class TestOneCell:
    made = cell_of(KEY, HUMAN, MACHINES, CUTS)

    def fields(self, name: str) -> list[float]:
        return [getattr(self.made.cell, name + end) for end in ("", "_low", "_high")]

    def test_names(self) -> None:
        found = asdict(self.made.cell)
        assert [found[name] for name in list(found)[:9]] == [
            *("tfidf/s/nucleus/l/top-k-40/64", "tfidf", "s", "nucleus", "l", "top-k-40", 64),
            *(150, 120),
        ]

    def test_accuracy(self) -> None:
        labels = [0] * len(HUMAN) + [1] * len(MACHINES)
        called = (np.concatenate([HUMAN, MACHINES]) > 0.5).astype(int)
        right = accuracy_score(labels, called, normalize=False)
        assert self.fields("accuracy") == pytest.approx(shares(int(right), 270))
        assert self.made.human_right.tolist() == [not one for one in called[:150]]
        assert self.made.machine_right.tolist() == [bool(one) for one in called[150:]]

    def test_area(self) -> None:
        assert self.fields("auroc") == pytest.approx(delong(HUMAN, MACHINES))
        assert self.made.cell.auroc == pytest.approx(
            roc_auc_score([0] * 150 + [1] * 120, [*HUMAN, *MACHINES])
        )

    @pytest.mark.parametrize(("percent", "cut"), [(1, 1.9), (5, 1.2)])
    def test_rates_at_each_threshold(self, percent: int, cut: float) -> None:
        assert self.fields(f"tpr_at_fpr_{percent}") == pytest.approx(
            shares(sum(m > cut for m in MACHINES), 120)
        )
        assert getattr(self.made.cell, f"fpr_{percent}") == pytest.approx(
            sum(h > cut for h in HUMAN) / 150
        )

    def test_a_score_at_the_threshold_is_human(self) -> None:
        one = cell_of(KEY, np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0]), (1.0, 1.0, 2.0))
        assert (one.human_right.tolist(), one.machine_right.tolist()) == (
            [True, True, False],
            [False, True],
        )
        assert one.cell.accuracy == pytest.approx(3 / 5)
        assert (one.cell.tpr_at_fpr_1, one.cell.fpr_1) == (0.5, pytest.approx(1 / 3))
        assert (one.cell.tpr_at_fpr_5, one.cell.fpr_5) == (0.0, 0.0)

    def test_a_rate_that_no_threshold_certifies_is_blank(self) -> None:
        blank = cell_of(KEY, HUMAN, MACHINES, (0.5, math.inf, 1.2)).cell
        assert (
            blank.tpr_at_fpr_1,
            blank.tpr_at_fpr_1_low,
            blank.tpr_at_fpr_1_high,
            blank.fpr_1,
        ) == (None,) * 4
        assert (blank.tpr_at_fpr_5, blank.fpr_5) == (
            self.made.cell.tpr_at_fpr_5,
            self.made.cell.fpr_5,
        )


class TestThresholds:
    def test_each_by_its_definition(self) -> None:
        best, at_1, at_5 = thresholds(HUMAN, MACHINES)
        scores = np.unique(np.concatenate([HUMAN, MACHINES]))
        right = [(cut >= HUMAN).sum() + (cut < MACHINES).sum() for cut in (-9.0, *scores)]
        assert (best >= HUMAN).sum() + (best < MACHINES).sum() == max(right)
        for cut, fpr in ((at_1, 0.01), (at_5, 0.05)):
            assert cut == min(t for t in HUMAN if 1 + (t < HUMAN).sum() <= fpr * 151)
        assert at_1 > at_5

    def test_machine_texts_have_no_part_in_those_of_a_rate(self) -> None:
        assert thresholds(HUMAN, MACHINES)[1:] == thresholds(HUMAN, MACHINES + 3)[1:]
        assert thresholds(HUMAN, MACHINES)[0] != thresholds(HUMAN, MACHINES + 3)[0]

    @pytest.mark.parametrize(
        ("n", "certified"),
        [(18, (False, False)), (19, (False, True)), (98, (False, True)), (99, (True, True))],
    )
    def test_how_many_texts_a_rate_takes(self, n: int, certified: tuple[bool, bool]) -> None:
        cuts = thresholds(np.arange(float(n)), np.arange(3.0))[1:]
        assert tuple(cut < math.inf for cut in cuts) == certified


SETTINGS = StudySettings(
    models=("dir/s", "dir/l"),
    methods=("nucleus", "top-k-40"),
    detectors=("tfidf", "roberta"),
    n_train=4,
    n_valid=120,
    n_test=30,
    length_tokens=24,
    lengths=(12, 24),
)


def document_scores(kind: str, model: str, name: str, tokens: int, one: Document) -> float:
    """A score that depends on everything it may depend on; of valid texts it lies lower than of
    test texts.
    """
    stream = np.random.default_rng(
        [len(kind), len(name), "sl".index(Path(model).name), tokens, *one.id.encode()]
    )
    shift = (1.5 if one.label == MACHINE else 0.0) + (0.0 if one.split == "valid" else 0.7)
    return round(float(stream.normal(shift)), 3)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_texts(folder, SETTINGS)
    write_scores(folder, SETTINGS, documents(folder), document_scores)
    return folder


def studied(folder: Path) -> tuple[Inputs, StudyStages]:
    stages, inputs = opened(folder, SETTINGS)
    return inputs, stages


def documents(folder: Path) -> list[Document]:
    found = [one for split in ("valid", "test") for one in human(folder, SETTINGS, split)]
    for model, method, split in product(SETTINGS.models, SETTINGS.methods, ("valid", "test")):
        found += machine(folder, SETTINGS, model, method, split)
    return found


@pytest.fixture(scope="module")
def cells(root: Path) -> dict[str, Measured]:
    return {one.cell.id: one for one in measure(*studied(root))}


class TestAWholeStudy:
    def test_which_cells_there_are_and_their_order(self, root: Path) -> None:
        wanted = []
        for kind, model, name in product(("tfidf", "roberta"), "sl", (*SETTINGS.methods, MIX)):
            for tokens in (12, 24) if name == MIX else (24,):
                for tested, method in product(model if tokens == 12 else "sl", SETTINGS.methods):
                    wanted.append(f"{kind}/{model}/{name}/{tested}/{method}/{tokens}")
        assert [one.cell.id for one in measure(*studied(root))] == wanted

    def test_every_cell_by_hand(self, root: Path, cells: dict[str, Measured]) -> None:
        """Thresholds from the valid split, of human texts and of what the detector was trained on;
        figures from the test split.
        """
        for one in cells.values():
            cell = one.cell
            how = (cell.detector, f"dir/{cell.trained_on}", cell.trained_method, cell.length_tokens)

            def scores(found: list[Document], how: tuple[str, str, str, int] = how) -> np.ndarray:
                return np.array([document_scores(*how, document) for document in found])

            valid, test = (scores(human(root, SETTINGS, split)) for split in ("valid", "test"))
            machine_valid = scores(machine(root, SETTINGS, how[1], how[2], "valid"))
            machine_test = scores(
                machine(root, SETTINGS, f"dir/{cell.tested_on}", cell.tested_method, "test")
            )
            expected = cell_of(
                (how[0], cell.trained_on, how[2], cell.tested_on, cell.tested_method, how[3]),
                test,
                machine_test,
                thresholds(valid, machine_valid),
            )
            assert cell == expected.cell
            assert one.human_right.tolist() == expected.human_right.tolist()
            assert one.machine_right.tolist() == expected.machine_right.tolist()
            assert (cell.n_human, cell.n_machine) == (30, 30)

    def test_thresholds_are_not_chosen_on_the_test_split(
        self, root: Path, cells: dict[str, Measured]
    ) -> None:
        """Test scores lie higher here, so that a threshold of their own would hold its rate, and
        this one does not.
        """
        assert np.mean([one.cell.fpr_5 for one in cells.values()]) > 0.1
        for one in cells.values():
            how = (
                one.cell.detector,
                f"dir/{one.cell.trained_on}",
                one.cell.trained_method,
                one.cell.length_tokens,
            )
            test = np.array(
                [document_scores(*how, document) for document in human(root, SETTINGS, "test")]
            )
            assert (test > thresholds(test, test + 1)[2]).mean() <= 0.05

    def test_a_score_that_is_missing_is_said(self, tmp_path: Path, root: Path) -> None:
        write_texts(tmp_path, SETTINGS)
        gone = machine(tmp_path, SETTINGS, "dir/l", "top-k-40", "test")[7]
        write_scores(
            tmp_path, SETTINGS, [one for one in documents(tmp_path) if one != gone], document_scores
        )
        with pytest.raises(
            ArtifactError,
            match=r"scores\.parquet: no score for document 'l/top-k-40/test/7'; delete its folder",
        ):
            measure(*studied(tmp_path))
