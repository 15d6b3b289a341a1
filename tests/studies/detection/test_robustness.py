"""The attacked block of a study: what is scored, what the table says of it, and that without
attacks nothing is new.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from typer.testing import CliRunner

from staged.attacks.kinds import ATTACKS, attack
from staged.attacks.rates import CLEAN
from staged.cli import app
from staged.detectors.normal.normalize import normalize
from staged.errors import PlanError
from staged.pipeline.run import run_here
from staged.plans.shipped import find_plan
from staged.records import HUMAN, MACHINE, Document
from staged.stats.comparing import rate
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json
from staged.storage.stage_folders import fingerprint
from staged.studies.detection.plan import StudySettings, read_study
from staged.studies.detection.results import AttackRow
from staged.studies.detection.robustness import as_rows, attacked_scores, corrected, tabulate
from staged.studies.detection.study import run_study
from tests.conftest import prose

ROOT = Path(__file__).parents[3]
PLAN = """
models = ["{model}"]
methods = ["top-k-40"]
detectors = ["tfidf"]
n_train = 24
n_valid = 20
n_test = 16
length_tokens = 24
lengths = [24]
batch = 16
{attacks}
[corpus]
source = "{human}"
budget_tokens = 60
minimum_tokens = 20
[corpus.shares]
train = 0.4
valid = 0.25
test = 0.35
"""


class Counting:
    """Scores a text by its share of plain Latin letters, so that homoglyphs hide it; and keeps what
    it was asked.
    """

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score(self, texts: Sequence[str]) -> list[float]:
        self.asked += texts
        return [sum("a" <= letter <= "z" for letter in text) / len(text) for text in texts]


def documents(split: str, label: int, count: int) -> list[Document]:
    texts = (prose(1000 * label + i, 3).replace("\n\n", " ") for i in range(count))
    return [
        Document(f"{split}-{label}-{i}", text, label, "here", split) for i, text in enumerate(texts)
    ]


@pytest.fixture
def scored() -> tuple[Counting, list[dict[str, Any]]]:
    detector = Counting()
    read = documents("valid", HUMAN, 19) + documents("test", HUMAN, 12)
    read += documents("test", MACHINE, 10)
    return detector, attacked_scores(detector, read, ["homoglyph", "number"], seed=4)


def test_every_text_is_scored_in_every_form_and_none_twice(
    scored: tuple[Counting, list[dict[str, Any]]],
) -> None:
    detector, rows = scored
    assert len(detector.asked) == len(set(detector.asked))
    assert len(rows) == 2 * (19 + 22) + 2 * 2 * 22
    by_key = {(row["attack"], row["normalised"], row["document"]): row for row in rows}
    assert len(by_key) == len(rows)
    for one in documents("test", MACHINE, 10):
        attacked = attack("homoglyph", one.text, seed=4, id=one.id)
        assert by_key["homoglyph", False, one.id]["score"] == Counting().score([attacked])[0]
        assert (
            by_key["homoglyph", True, one.id]["score"]
            == Counting().score([normalize(one.text).text])[0]
        )
        assert by_key["homoglyph", False, one.id]["changed"]
        assert not by_key["homoglyph", True, one.id]["changed"]


def test_a_table_counted_by_hand() -> None:
    def row(
        attack: str, normalised: bool, split: str, label: int, i: int, score: float
    ) -> dict[str, Any]:
        one = {
            "attack": attack,
            "normalised": normalised,
            "document": f"{split}{label}{i}",
            "label": label,
            "split": split,
        }
        return one | {"score": score, "changed": attack != CLEAN and i % 2 == 0}

    rows = [
        row(CLEAN, False, "valid", HUMAN, i, float(i)) for i in range(19)
    ]  # the 5% threshold is 18, 1% has none
    rows += [row(CLEAN, False, "test", HUMAN, i, 19.0 if i == 0 else 0.0) for i in range(10)]
    rows += [row(CLEAN, False, "test", MACHINE, i, 20.0 if i < 8 else 0.0) for i in range(10)]
    rows += [row("number", False, "test", HUMAN, i, 19.0 if i < 4 else 0.0) for i in range(10)]
    rows += [
        row("number", False, "test", MACHINE, i, 20.0 if i in (6, 7, 9) else 18.0)
        for i in range(10)
    ]
    clean_5, clean_1, attacked_5, attacked_1 = as_rows(corrected(list(tabulate(rows, "d", "m"))))

    def of(row: AttackRow, *names: str) -> list[Any]:
        return [getattr(row, name) for name in names]

    assert of(clean_5, "detector", "trained_on", "attack", "normalised", "fpr_wanted") == [
        "d",
        "m",
        CLEAN,
        False,
        0.05,
    ]
    assert of(clean_5, "tpr", "fpr", "tpr_change", "tpr_p_holm") == [0.8, 0.1, None, None]
    assert of(attacked_5, "tpr", "fpr", "n_human", "n_machine") == [0.3, 0.4, 10, 10]
    assert of(attacked_5, "tpr_low", "tpr_high") == list(rate(3, 10)[1:])
    assert of(attacked_5, "changed_human", "changed_machine") == [0.5, 0.5]
    assert attacked_5.tpr_change == pytest.approx(-0.5)
    assert attacked_5.tpr_p == pytest.approx(
        stats.binomtest(1, 7, 0.5).pvalue
    )  # one found that was not, six lost
    assert attacked_5.fpr_change == pytest.approx(0.3)
    assert attacked_5.fpr_p == pytest.approx(stats.binomtest(3, 3, 0.5).pvalue)
    assert attacked_5.tpr_p_holm == pytest.approx(2 * min(attacked_5.tpr_p, attacked_5.fpr_p))
    for one in (clean_1, attacked_1):
        assert of(one, "tpr", "fpr", "tpr_p", "fpr_wanted") == [
            None,
            None,
            None,
            0.01,
        ]  # 19 texts cannot certify 1%


def plan(folder: Path, model: Path, human: Path, attacks: str = "") -> Path:
    path = folder / "plan.toml"
    path.write_text(PLAN.format(model=model, human=human, attacks=attacks))
    return path


@pytest.fixture(scope="module")
def studies(
    tiny: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, StudySettings]:
    """One study without attacks, and one continued from it with them."""
    here = tmp_path_factory.mktemp("robust")
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # stages in this process: no worker has to import torch
        patch.setattr("staged.pipeline.study_folder.run_stages", _run_stages_here)
        settings = read_study(plan(here, tiny, human_folder))
        run_study(here / "clean", settings)
        shutil.copytree(here / "clean", here / "attacked")
        settings = read_study(
            plan(
                here,
                tiny,
                human_folder,
                'attacks = ["homoglyph", "zero_width_space", "misspelling"]',
            )
        )
        assert run_study(here / "attacked", settings)
        assert not run_study(here / "attacked", settings)
    return here / "clean", here / "attacked", settings


def _run_stages_here(root: Path, stages: Any, *, engine: Any, report: Any) -> int:
    return sum(run_here(root, stage, report=report) for stage in stages)


def test_without_attacks_nothing_is_new(studies: tuple[Path, Path, StudySettings]) -> None:
    clean, attacked, _ = studies
    assert not (clean / "attacks.json").exists()
    assert "attacks" not in read_json(clean / "manifest.json")["settings"]
    assert "attacks" not in read_json(clean / "study.json")["settings"]
    assert 'id="attacks"' not in (clean / "report.html").read_text(encoding="utf-8")
    for path in clean.rglob("manifest.json"):
        if path.parent != clean:
            assert (attacked / path.relative_to(clean)).read_bytes() == path.read_bytes()
    for name in ("cells.json", "cells.csv", "lengths.json", "findings.json", "gallery.json"):
        assert (attacked / name).read_bytes() == (clean / name).read_bytes()


def test_the_published_studys_settings_are_recorded_as_they_were() -> None:
    settings = read_study(find_plan("mini-full"))
    published = read_json(ROOT / "docs" / "results" / "mini-full" / "manifest.json")["settings"]
    assert fingerprint(settings.recorded(), {})["settings"] == published


def test_the_table_covers_every_attack_and_the_page_shows_it(
    studies: tuple[Path, Path, StudySettings],
) -> None:
    _, attacked, settings = studies
    rows = read_json(attacked / "attacks.json")
    assert len(rows) == (1 + 3) * 2 * 2
    assert {row["attack"] for row in rows} == {CLEAN, *settings.attacks}
    assert all((row["n_human"], row["n_machine"]) == (16, 16) for row in rows)
    for row in rows:
        assert (row["tpr"] is None) == (row["fpr_wanted"] == 0.01)  # 20 valid texts
        if row["attack"] in ("homoglyph", "zero_width_space"):
            assert row["changed_human"] == (0 if row["normalised"] else 1)
    undone = next(
        row
        for row in rows
        if row["attack"] == "homoglyph" and row["normalised"] and row["fpr_wanted"] == 0.05
    )
    assert undone["tpr_change"] == 0
    assert undone["tpr_p"] == 1
    page = (attacked / "report.html").read_text(encoding="utf-8")
    table = page.split('id="attacks"')[1].split('id="gallery"')[0]
    assert table.count('<th scope="row">') == 2 * 4
    assert f"{100 * undone['tpr']:.1f}" in table
    assert set(re.findall(r'<th scope="row">(\w+)', table)) == {CLEAN, *settings.attacks}


def test_blocks_of_a_few_documents_say_the_same(
    studies: tuple[Path, Path, StudySettings], tmp_path: Path
) -> None:
    """However many documents a block has, and whichever were kept before a kill."""
    _, attacked, settings = studies
    out = tmp_path / "study"
    shutil.copytree(attacked, out)
    shutil.rmtree(out / "attacks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("staged.pipeline.study_folder.run_stages", _run_stages_here)
        patch.setattr("staged.studies.detection.robustness.AT_ONCE", 7)
        assert run_study(out, settings)
    for name in ("attacks.json", "attacks/tfidf/tiny/scores.parquet"):
        assert sha256_file(out / name) == sha256_file(attacked / name)


def test_killed_in_the_middle_it_ends_with_the_same_bytes(
    studies: tuple[Path, Path, StudySettings], tmp_path: Path
) -> None:
    _, attacked, settings = studies
    out = tmp_path / "study"
    shutil.copytree(attacked, out)
    shutil.rmtree(out / "attacks")
    (out / "attacks" / "tfidf" / "tiny.partial").mkdir(parents=True)  # as a killed stage leaves it
    (out / "attacks.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("staged.pipeline.study_folder.run_stages", _run_stages_here)
        assert run_study(out, settings)
    for name in (
        "attacks.json",
        "manifest.json",
        "report.html",
        "attacks/tfidf/tiny/scores.parquet",
    ):
        assert sha256_file(out / name) == sha256_file(attacked / name)


def test_the_flag_takes_every_attack(
    tiny: Path, human_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[StudySettings] = []
    monkeypatch.setattr(
        "staged.studies.plans.run_study", lambda out, settings, **_: seen.append(settings)
    )
    monkeypatch.setattr("staged.commands.studies.print_study", lambda out: None)
    path = str(plan(tmp_path, tiny, human_folder))
    for options in ((), ("--attacks",)):
        assert (
            CliRunner()
            .invoke(app, ["study", path, "--out", str(tmp_path / "out"), *options])
            .exit_code
            == 0
        )
    assert [one.attacks for one in seen] == [(), tuple(ATTACKS)]


@pytest.mark.parametrize(
    ("attacks", "says"),
    [
        ('attacks = ["homoglif"]', "unknown attack 'homoglif'; did you mean 'homoglyph'?"),
        ('attacks = ["number", "number"]', "attack 'number' is named twice"),
        ('attacks = "number"', "attacks must be a list"),
    ],
)
def test_bad_plans_are_one_sentence(
    tiny: Path, human_folder: Path, tmp_path: Path, attacks: str, says: str
) -> None:
    with pytest.raises(PlanError) as error:
        read_study(plan(tmp_path, tiny, human_folder, attacks))
    assert says in str(error.value)
