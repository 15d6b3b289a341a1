"""A whole study in miniature: what it writes, that a kill changes nothing, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from staged.cells import Cell
from staged.corpus.build import read_documents
from staged.corpus.learned import read_learned
from staged.detectors.calibration.fit import refuse_taught
from staged.detectors.catalog import calibration_file
from staged.detectors.names import parse_name
from staged.errors import CorpusError
from staged.records import MACHINE, Document
from staged.samples.dataset import read_samples
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json, write_json
from tests.studies.commands import as_typed, kill_at_random_moments, run, stages_in, typed

PLAN = """
title = "A study of two random models"
models = ["{small}", "{large}"]
methods = ["temperature-1", "top-k-40"]
n_train = 24
n_valid = 20
n_test = 16
length_tokens = 24
lengths = [12, 24]
batch = 8
[corpus]
source = "{human}"
budget_tokens = 60
minimum_tokens = 20
[corpus.shares]
train = 0.4
valid = 0.25
test = 0.35
[roberta]
base = "{encoder}"
epochs = 1
"""


@pytest.fixture(scope="module")
def plan(
    tiny: Path, tiny_encoder: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    shutil.copytree(tiny, folder / "larger")
    path = folder / "plan.toml"
    path.write_text(
        PLAN.format(small=tiny, large=folder / "larger", human=human_folder, encoder=tiny_encoder)
    )
    return path


@pytest.fixture(scope="module")
def finished(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "study"
    shown = run(plan, out, "--workers", "2")
    assert "trained on" in shown
    assert str(out / "report.html") in shown.replace("\n", "")
    return out


def test_cells_are_complete_and_consistent(finished: Path) -> None:
    rows = read_json(finished / "cells.json")
    assert (
        len(rows) == 2 * 2 * 3 * 2 * 2
    )  # detectors × trained sizes × (methods + mix) × sizes × methods
    keys = {
        (r["detector"], r["trained_on"], r["trained_method"], r["tested_on"], r["tested_method"])
        for r in rows
    }
    assert len(keys) == len(rows)
    for row in rows:
        cell = Cell(**row)
        assert (cell.n_human, cell.n_machine, cell.length_tokens) == (16, 16, 24)
        assert 0 <= cell.accuracy_low <= cell.accuracy <= cell.accuracy_high <= 1
        assert 0 <= cell.auroc_low <= cell.auroc <= cell.auroc_high <= 1
        assert cell.tpr_at_fpr_1 is None  # 20 valid texts cannot certify 1%: a blank, never 0
        assert cell.tpr_at_fpr_5 is not None
        assert 0 <= cell.tpr_at_fpr_5 <= 1
    with open(finished / "cells.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["id"] for row in table] == [row["id"] for row in rows]
    assert [float(row["auroc"]) for row in table] == [row["auroc"] for row in rows]


def test_length_curve_covers_every_length(finished: Path) -> None:
    rows = read_json(finished / "lengths.json")
    assert {row["length_tokens"] for row in rows} == {12, 24}
    assert {row["trained_method"] for row in rows} == {"mix"}


def test_no_passage_of_a_training_document_is_tested(finished: Path) -> None:
    passages = read_documents(finished / "corpus" / "passages.parquet")
    sources = {
        split: {p.source for p in passages if p.split == split}
        for split in ("train", "valid", "test")
    }
    texts = {split: {p.text for p in passages if p.split == split} for split in sources}
    assert sources["train"]
    assert not sources["test"] & (sources["train"] | sources["valid"])
    assert not texts["test"] & (texts["train"] | texts["valid"])


def test_detectors_on_the_mix_have_a_calibration_or_the_reason_for_none(finished: Path) -> None:
    """These passages are all too short to judge by."""
    stages = sorted(path.parent for path in finished.glob("calibrations/**/manifest.json"))
    assert [stage.relative_to(finished / "calibrations").parts[-1] for stage in stages] == (
        ["mix"] * 4
    )
    for stage in stages:
        assert read_json(stage / "none.json")["reason"].startswith(
            "no human text to calibrate on has 50 words"
        )
        name = parse_name(str(finished / "detectors" / stage.relative_to(stage.parents[2])))
        assert calibration_file(name) is None


def test_a_study_of_the_version_before_only_gains_calibrations(
    finished: Path, plan: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "study"))
    shutil.rmtree(out / "calibrations")
    table = read_json(out / "manifest.json")
    table["inputs"] = {
        name: digest
        for name, digest in table["inputs"].items()
        if not name.startswith("calibrations/")
    }
    write_json(out / "manifest.json", table)
    made = {path: path.stat().st_mtime_ns for path in out.glob("*/**/manifest.json")}
    run(plan, out)
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    assert len(list(out.glob("calibrations/**/manifest.json"))) == 4
    for name in ("cells.json", "lengths.json", "findings.json", "manifest.json"):
        assert sha256_file(out / name) == sha256_file(finished / name), name


def test_a_detector_knows_which_texts_taught_it_and_which_chose(finished: Path) -> None:
    passages = read_documents(finished / "corpus" / "passages.parquet")
    for detector in sorted(finished.glob("detectors/*/*/mix")):
        learned = read_learned(detector)
        assert learned is not None
        unnamed = [replace(one, id=str(i), source=str(i)) for i, one in enumerate(passages)]
        known = [passages[int(one.id)] for one in learned.among(unnamed)]
        taught = [passages[int(one.id)] for one in learned.taught.among(unnamed)]
        assert {one.split for one in known} == {"train", "valid"}
        assert {one.split for one in taught} == {"train"}
        samples = finished / "samples" / detector.parent.name / "top-k-40"
        machine, others = (
            [
                Document(f"row {row['id']}", row["text"], MACHINE, f"row {row['id']}")
                for row in read_samples(samples / f"{split}.parquet")
            ]
            for split in ("train", "test")
        )
        with pytest.raises(CorpusError, match="of the machine-written texts taught the detector"):
            refuse_taught(str(detector), machine, what="machine-written")
        refuse_taught(str(detector), others)


def test_report_is_one_file_and_shows_the_cells(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert "src=" not in page
    cell = read_json(finished / "cells.json")[0]
    assert f"{100 * cell['accuracy']:.1f}" in page
    assert "99.3" in page  # the published table stands beside ours
    for finding in read_json(finished / "findings.json")["findings"]:
        assert finding["claim"].replace("'", "&#39;") in page


def test_finished_study_has_nothing_to_do(finished: Path, plan: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    subprocess.run(typed(plan, finished), capture_output=True, check=True)
    assert {
        path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()
    } == before


def test_thresholds_are_recorded(finished: Path) -> None:
    rows = read_json(finished / "study.json")["thresholds"]
    cells = read_json(finished / "cells.json")
    keys = [(row["detector"], row["trained_on"], row["trained_method"]) for row in rows]
    assert keys == list(
        dict.fromkeys((c["detector"], c["trained_on"], c["trained_method"]) for c in cells)
    )
    for row in rows:
        assert row["n_human"] == 20
        assert row["fpr_1"] is None  # 20 valid texts certify 5%, and not 1%
        assert isinstance(row["fpr_5"], float)


def test_what_only_describes_is_recorded_and_redoes_no_stage(
    finished: Path, plan: Path, tmp_path: Path
) -> None:
    out, told = tmp_path / "study", tmp_path / "plan.toml"
    shutil.copytree(finished, out)
    says = 'author = "A. Writer"\ndate = 2026-11-30\n[corpus]\ntitle = "Invented <prose>"\n'
    told.write_text(plan.read_text().replace("[corpus]\n", says))
    run(told, out)
    changed = {
        path.relative_to(finished).as_posix()
        for path in finished.rglob("*")
        if path.is_file() and path.read_bytes() != (out / path.relative_to(finished)).read_bytes()
    }
    assert changed == {"study.json", "report.html", ".staged.json"}
    recorded = read_json(out / "study.json")["settings"]
    assert (recorded["author"], recorded["date"]) == ("A. Writer", "2026-11-30")
    assert recorded["corpus"]["title"] == "Invented <prose>"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "A. Writer · 2026-11-30" in page
    assert "Invented &lt;prose&gt;" in page
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    run(told, out)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_changed_numbers_redo_only_what_depends_on_them(
    finished: Path, plan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    shutil.copytree(finished, out)
    other = tmp_path / "plan.toml"
    other.write_text(plan.read_text().replace("epochs = 1", "epochs = 2"))
    run(other, out)

    for stage in ("detectors/tfidf", "samples"):
        for path in (finished / stage).rglob("manifest.json"):
            copied = out / path.relative_to(finished)
            assert copied.read_bytes() == path.read_bytes()
    changed = out / "detectors/roberta/tiny/mix/manifest.json"
    assert (
        changed.read_bytes() != (finished / "detectors/roberta/tiny/mix/manifest.json").read_bytes()
    )


def test_killed_at_random_moments_the_cells_have_the_same_bytes(
    finished: Path, plan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    stages = stages_in(finished)
    kill_at_random_moments(plan, out, stages=stages // 4, seed=1, times=1, begin=as_typed)
    kill_at_random_moments(plan, out, stages=stages, seed=1)
    run(plan, out, "--workers", "1")
    for name in (
        "cells.json",
        "cells.csv",
        "lengths.json",
        "findings.json",
        "gallery.json",
        "manifest.json",
        "report.html",
    ):
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("n_train = 24", "n_trian = 24"), "unknown key 'n_trian'; did you mean 'n_train'?"),
        (("n_train = 24", "n_train = 99999"), "human passages for train, the plan asks for 99999"),
        (("n_train = 24", "n_train = 'many'"), "n_train must be of type int"),
        (("lengths = [12, 24]", "lengths = [12]"), "must be positive and hold length_tokens 24"),
        (("top-k-40", "top-k-fourty"), "unknown"),
        (("[corpus]", "detectors = ['tfidf', 'roberto']\n[corpus]"), "did you mean 'roberta'?"),
        (("A study", 'A "study'), "not valid TOML"),
    ],
)
def test_bad_plans_are_one_sentence(
    refused: Callable[..., str], plan: Path, tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    (tmp_path / "plan.toml").write_text(plan.read_text().replace(*change))
    assert says in refused(tmp_path / "plan.toml", tmp_path / "out")


def test_bad_surroundings_are_one_sentence(
    refused: Callable[..., str], plan: Path, tmp_path: Path, tiny: Path
) -> None:
    assert "no such file" in refused(tmp_path / "nowhere.toml", tmp_path / "out")
    assert "no such file, folder or embedded corpus" in refused(
        plan, tmp_path / "out", "--corpus", "nowhere"
    )
    (tmp_path / "empty").mkdir()
    assert "holds no text" in refused(plan, tmp_path / "out", "--corpus", str(tmp_path / "empty"))
    (tmp_path / "one.txt").write_text("A single document. " * 50)
    assert "1 source(s) for 3 splits" in refused(
        plan, tmp_path / "out", "--corpus", str(tmp_path / "one.txt")
    )
    other = tmp_path / "plan.toml"
    other.write_text(plan.read_text().replace(str(tiny), "mini-xxl"))
    assert "did you mean 'mini-xl'?" in refused(other, tmp_path / "out")
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused(plan, tmp_path / "file" / "out")


def test_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    refused: Callable[..., str], finished: Path, plan: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        assert "No space left on device" in refused(plan, small / "out")
        assert not (small / "out" / "manifest.json").exists()
        for manifest in small.rglob("manifest.json"):  # a stage that is there is whole
            for name, digest in read_json(manifest)["files"].items():
                assert sha256_file(manifest.parent / name) == digest
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert json.loads((finished / "manifest.json").read_text())["settings"]["n_test"] == 16


def test_a_model_is_never_tested_on_what_it_learned(
    refused: Callable[..., str], plan: Path, tmp_path: Path, tiny: Path, human_folder: Path
) -> None:
    taught = tmp_path / "taught"
    shutil.copytree(tiny, taught)
    every = [path.name for path in human_folder.glob("*.txt")]
    facts = {
        "settings": {"corpus": {"source": str(human_folder)}},
        "sources": every,
        "valid_loss_nats_per_token": 1.0,
    }
    (taught / "training.json").write_text(json.dumps(facts))
    other = tmp_path / "plan.toml"
    other.write_text(plan.read_text().replace(str(tiny), str(taught)))
    assert "sources that this plan tests against" in refused(other, tmp_path / "out")
