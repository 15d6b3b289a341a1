"""`staged stress`: rates under attack as one would count them by hand, groups, resuming, what it
refuses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from staged.attacks import stress
from staged.attacks.kinds import attack
from staged.attacks.rates import CLEAN
from staged.attacks.stress import StressSettings
from staged.cli import app
from staged.detectors.calibration.calibration import Calibration, fit_calibration
from staged.detectors.calibration.error_rates import ALL
from staged.detectors.kinds.ensemble import Ensemble
from staged.detectors.kinds.evidence import EvidenceDetector, Weights
from staged.detectors.kinds.features import FEATURES
from staged.errors import PlanError, StagedError
from staged.model.causal import load_causal
from staged.records import HUMAN, MACHINE, Document
from staged.stats import metrics
from staged.stats.judging import holm
from tests.conftest import plug, prose


class CountsArticles:
    """A detector that needs no model: a text's articles."""

    name = "articles"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def score(self, texts: Sequence[str]) -> list[float]:
        self.seen += texts
        return [float(text.count(" the ")) for text in texts]


def texts(label: int, n: int, sentences: int, name: str, start: int = 0) -> list[Document]:
    return [
        Document(f"{name}/{i}.txt", prose(start + i, sentences), label, f"{name}{i}")
        for i in range(n)
    ]


HUMANS = [
    *texts(HUMAN, 60, 8, "news"),
    *texts(HUMAN, 30, 15, "wiki", 100),
    *texts(HUMAN, 5, 2, "wiki", 200),
]
MACHINES = [
    Document(one.id, f"{one.text} the the the", MACHINE, one.source)
    for one in texts(MACHINE, 20, 8, "gpt", 300)
]
IDENTITY = {"detector": "articles"}
SETTINGS = StressSettings(
    ("article_deletion", "whitespace", "homoglyph"), (0.1, 0.5), without_normalisation=True
)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    fit_on = [*texts(HUMAN, 40, 8, "x", 500), *texts(HUMAN, 40, 15, "x", 600)]
    return fit_calibration(
        "articles", [(score_of(one.text), len(one.text.split())) for one in fit_on]
    )


def score_of(text: str) -> float:
    return CountsArticles().score([text])[0]


def rows(found: dict, **wanted: object) -> list[dict]:  # type: ignore[type-arg]
    return [row for row in found["rows"] if all(row[key] == value for key, value in wanted.items())]


@pytest.fixture(scope="module")
def found(calibration: Calibration, tmp_path_factory: pytest.TempPathFactory) -> dict:  # type: ignore[type-arg]
    out = tmp_path_factory.mktemp("stress") / "s.json"
    report = stress.stress(
        out, CountsArticles(), calibration, HUMANS, MACHINES, SETTINGS, identity=IDENTITY
    )
    return report.to_json()


class TestRates:
    def test_as_counted_by_hand(self, found: dict, calibration: Calibration) -> None:  # type: ignore[type-arg]
        """One row's rate, change and p-value from their definitions; the bins' thresholds are the
        calibration's.
        """
        news, cut = HUMANS[:60], calibration.threshold(0, 0.5)
        attacked = [attack("article_deletion", one.text, seed=1, id=one.id) for one in news]
        before, after = (
            [score_of(text) > cut for text in part]
            for part in ([one.text for one in news], attacked)
        )
        (row,) = rows(
            found,
            written_by="human",
            domain="news",
            length=ALL,
            attack="article_deletion",
            fpr=0.5,
            normalised=True,
        )
        assert row["n"] == 60
        assert row["rate"] == sum(after) / 60 < sum(before) / 60
        assert row["change"] == pytest.approx((sum(after) - sum(before)) / 60)
        assert row["p"] == metrics.mcnemar(after, before)[2] < row["p_holm"]
        assert row["changed"] == np.mean(
            [a != one.text for a, one in zip(attacked, news, strict=True)]
        )

    def test_groups(self, found: dict) -> None:  # type: ignore[type-arg]
        clean = rows(found, attack=CLEAN, fpr=0.1, normalised=True)
        n = {
            (row["written_by"], row["domain"], row["length"]): (row["n"], row["abstained"])
            for row in clean
        }
        assert n["human", ALL, ALL] == (90, 5)  # five texts are too short to be judged
        assert n["human", "news", ALL] == (60, 0)
        assert n["human", "wiki", "100–199 words"] == (30, 0)
        assert n["human", "wiki", "under 50 words"] == (0, 5)
        assert n["machine", ALL, ALL] == (20, 0)
        assert not any(
            written_by == "machine" and domain != ALL for written_by, domain, _ in n
        )  # one domain alone is `all`
        short = rows(found, length="under 50 words")
        assert {row["rate"] for row in short} == {None}

    def test_what_normalisation_restores_changes_nothing(self, found: dict) -> None:  # type: ignore[type-arg]
        restored = rows(found, attack="homoglyph", normalised=True, length=ALL)
        assert {(row["changed"], row["change"], row["p"]) for row in restored} == {(0, 0, 1)}
        left = rows(found, attack="homoglyph", normalised=False, length=ALL)
        assert {row["rate"] for row in left} == {0}  # no article is left to count

    def test_tests_are_of_whole_groups_and_corrected_together(self, found: dict) -> None:  # type: ignore[type-arg]
        tested = [row for row in found["rows"] if row["p"] is not None]
        assert {row["length"] for row in tested} == {ALL}
        assert CLEAN not in {row["attack"] for row in tested}
        assert [row["p_holm"] for row in tested] == holm([row["p"] for row in tested])


def test_killed_and_continued(calibration: Calibration, tmp_path: Path) -> None:
    """Each text is scored once over both runs, and the file has the bytes of the uninterrupted
    one.
    """
    whole = CountsArticles()
    stress.stress(
        tmp_path / "whole.json", whole, calibration, HUMANS, MACHINES, SETTINGS, identity=IDENTITY
    )
    assert len(whole.seen) == len(set(whole.seen))

    class Dies(CountsArticles):
        def score(self, texts: Sequence[str]) -> list[float]:
            if len(self.seen) >= 128:
                raise KeyboardInterrupt
            return super().score(texts)

    first, second, out = Dies(), CountsArticles(), tmp_path / "killed.json"
    with pytest.raises(KeyboardInterrupt):
        stress.stress(out, first, calibration, HUMANS, MACHINES, SETTINGS, identity=IDENTITY)
    assert not out.exists()
    stress.stress(out, second, calibration, HUMANS, MACHINES, SETTINGS, identity=IDENTITY)
    assert first.seen + second.seen == whole.seen
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_what_another_detector_scored_is_not_continued(
    calibration: Calibration, tmp_path: Path
) -> None:
    class Dies(CountsArticles):
        def score(self, texts: Sequence[str]) -> list[float]:
            if len(self.seen) >= 64:
                raise KeyboardInterrupt
            return super().score(texts)

    with pytest.raises(KeyboardInterrupt):
        stress.stress(
            tmp_path / "s.json", Dies(), calibration, HUMANS, [], SETTINGS, identity=IDENTITY
        )
    again = CountsArticles()
    stress.stress(
        tmp_path / "s.json",
        again,
        calibration,
        HUMANS,
        [],
        SETTINGS,
        identity=IDENTITY | {"device": "cuda"},
    )
    assert {one.text for one in HUMANS} <= set(again.seen)


def test_at_most_so_many_texts_of_each_domain() -> None:
    kept = stress.chosen(HUMANS, StressSettings(most=20))
    assert [stress.domain_of(one) for one in kept] == ["news"] * 20 + ["wiki"] * 20
    assert (
        kept
        == stress.chosen(HUMANS, StressSettings(most=20))
        != stress.chosen(HUMANS, StressSettings(most=20, seed=2))
    )
    assert {one.id for one in kept} < {
        one.id for one in stress.chosen(HUMANS, StressSettings(most=30))
    }
    assert stress.chosen(HUMANS, StressSettings()) == HUMANS


@pytest.mark.parametrize("joined", [False, True])
def test_evidence_reads_one_line_and_is_told_what_to_normalise(
    joined: bool, tiny: Path, calibration: Calibration, tmp_path: Path
) -> None:
    n = len(FEATURES)
    detector: Any = EvidenceDetector(
        load_causal(str(tiny)),
        Weights(np.zeros(n), np.ones(n), np.ones(n), np.zeros(n), (0.0, -50.0)),
    )
    if joined:
        other = EvidenceDetector(detector.scorer, detector.weights, name="other", most_tokens=9)
        detector = Ensemble([detector, other], [2, 1], name="both")
    settings = StressSettings(
        ("whitespace", "insert_paragraphs", "zero_width_space"),
        (0.1,),
        2,
        without_normalisation=True,
    )
    found = stress.stress(
        tmp_path / "s.json", detector, calibration, HUMANS[:2], [], settings, identity=IDENTITY
    ).to_json()
    changed = {
        (row["attack"], row["normalised"]): row["changed"]
        for row in rows(found, length=ALL, written_by="human")
    }
    assert [key for key, share in changed.items() if share] == [("zero_width_space", False)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"attacks": ("x",)}, "unknown attack"),
        ({"attacks": ("number", "number")}, "is named twice; name each once"),
        ({"fprs": (0.05, 0.05)}, "rates must list at least one, each once"),
        ({"fprs": ()}, "rates must list at least one, each once"),
        ({"fprs": (1.0,)}, "between"),
        ({"most": -1}, "0 or"),
    ],
)
def test_wrong_settings(wrong: dict, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(PlanError, match=said):
        StressSettings(**wrong)


class TestCommand:
    @pytest.fixture(autouse=True)
    def articles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plug(monkeypatch, "articles", lambda: CountsArticles())

    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["stress", *arguments])
        if isinstance(result.exception, StagedError):
            return str(result.exception)
        assert result.exit_code == 0, result.output
        return result.stdout

    def test_tables_and_the_file(self, calibration: Calibration, tmp_path: Path) -> None:
        calibration.save(tmp_path / "c.json")
        mixed = tmp_path / "mixed.jsonl"
        some = [{"text": one.text, "label": one.label} for one in (*HUMANS[:90], *MACHINES)]
        mixed.write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")
        out, both = tmp_path / "s.json", ["--human", str(mixed), "--machine", str(mixed)]
        options = [
            "--detector",
            "articles",
            "--calibration",
            str(tmp_path / "c.json"),
            "--attack",
            "article_deletion",
        ]
        said = self.run(*both, *options, "--fpr", "0.1", "--most", "9", "--out", str(out))
        assert "articles: human texts, normalised" in said
        assert "articles: machine texts, normalised" in said
        assert said.count("at 10%, n 9") == 2
        both[-1] = str(tmp_path / "same.jsonl")
        (tmp_path / "same.jsonl").write_text(
            json.dumps({"text": HUMANS[0].text}) + "\n", encoding="utf-8"
        )
        assert "1 of the machine-written texts are among the human ones" in self.run(
            *both, *options, "--out", str(out)
        )
        found = json.loads(out.read_text(encoding="utf-8"))
        assert {row["attack"] for row in found["rows"]} == {CLEAN, "article_deletion"}
        assert found["settings"]["most"] == 9

    def test_refusals(self, human_folder: Path, tmp_path: Path) -> None:
        human = ["--human", str(human_folder)]
        assert "unknown attack 'homoglyp'; did you mean 'homoglyph'" in self.run(
            *human, "--attack", "homoglyp"
        )
        assert "between 0 and 1" in self.run(*human, "--fpr", "7")
        assert "is a folder" in self.run(*human, "--out", str(tmp_path))
        assert "no such file" in self.run("--human", str(tmp_path / "none"))
        assert "make one with `staged calibrate`" in self.run(*human, "--detector", "articles")

    def test_what_is_read_is_not_replaced(self, tmp_path: Path) -> None:
        mine = tmp_path / "mine.jsonl"
        mine.write_text('{"text": "one"}\n')
        assert "is read here and would be replaced" in self.run(
            "--human", str(mine), "--out", str(mine)
        )
        assert mine.read_text() == '{"text": "one"}\n'
