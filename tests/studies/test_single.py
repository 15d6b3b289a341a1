"""One stage of a study by itself, which the study then takes as its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.detectors.catalog import load_detector
from staged.errors import PlanError
from staged.pipeline.run import is_current, run_stages
from staged.studies.single import make_stage, study_of
from staged.training import roberta
from tests.conftest import prose
from tests.studies.commands import run
from tests.studies.detection.test_study import PLAN
from tests.training.processes import together

SAMPLES = ("samples/tiny/temperature-1", "samples/larger/temperature-1")
ENCODER, WORDS = "detectors/roberta/tiny/temperature-1", "detectors/tfidf/tiny/temperature-1"
TEXTS = [prose(seed, 2) for seed in range(20)]


@pytest.fixture(scope="module")
def plan(
    tiny: Path, tiny_encoder: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    shutil.copytree(tiny, folder / "larger")
    text = PLAN.format(
        small=tiny, large=folder / "larger", human=human_folder, encoder=tiny_encoder
    )
    path = folder / "plan.toml"
    path.write_text(text.replace(', "top-k-40"]', "]"))
    return path


@pytest.fixture(scope="module")
def begun(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the detectors read."""
    root = tmp_path_factory.mktemp("out") / "study"
    for name in ("corpus", *SAMPLES):
        assert staged.study_stage(name, plan, root) == root / name
    return root


@pytest.fixture
def root(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "study"))


def test_a_study_takes_it_as_its_own(plan: Path, root: Path) -> None:
    shown = run(plan, root, "--only", ENCODER)
    assert shown.replace("\n", "").endswith(f"{root / ENCODER}: made")
    study = study_of(plan)
    assert not make_stage(root, study, ENCODER)
    made = [stage for stage in study.others if stage.name in (*SAMPLES, ENCODER)]
    assert len(made) == 3
    assert run_stages(root, made, engine=staged.Engine(workers=1)) == 0
    refused = CliRunner().invoke(app, ["study", str(plan), "--only", ENCODER, "--attacks"])
    assert "leave out --attacks" in str(refused.exception)


def test_two_processes_make_the_stage_of_one(
    plan: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roberta, "best_dtype", lambda device="cpu": torch.float32)
    together(lambda: staged.study_stage(ENCODER, plan, root, device="cpu"))
    study = study_of(plan)
    [stage] = [stage for stage in study.others if stage.name == ENCODER]
    assert is_current(root, stage)
    assert not list(root.rglob("*.partial"))
    shared = load_detector(root / ENCODER).score(TEXTS)
    files = {path.name for path in (root / ENCODER).iterdir()}
    shutil.rmtree(root / ENCODER)
    staged.study_stage(ENCODER, plan, root)
    assert load_detector(root / ENCODER).score(TEXTS) == pytest.approx(shared, abs=1e-3)
    assert {path.name for path in (root / ENCODER).iterdir()} == files


def test_what_processes_cannot_share(
    plan: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PlanError, match="one process's work"):
        staged.study_stage(WORDS, plan, root)


def test_what_it_reads_is_made_first(plan: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="reads corpus, samples/tiny/temperature-1, which are not"):
        staged.study_stage(ENCODER, plan, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_such_stage(plan: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no stage 'detectors/roberta/tiny/nucleus'; did you mean"):
        staged.study_stage("detectors/roberta/tiny/nucleus", plan, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="processes meet over gloo, on processors")
def test_under_torchrun(plan: Path, root: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    typed = ["-m", "staged.cli", "study", str(plan), "--out", str(root), "--only", ENCODER]
    paths = os.pathsep.join((str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")))
    environment = os.environ | {"PYTHONPATH": paths}
    subprocess.run([*command, *typed], check=True, env=environment, timeout=300)
    assert not make_stage(root, study_of(plan), ENCODER)
