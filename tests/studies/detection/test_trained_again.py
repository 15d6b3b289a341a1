"""A model that is trained again under its name: a study notices, and redoes what depends on it and
nothing else.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from staged.pipeline.run import run_here
from staged.storage.json_files import read_json
from staged.studies.detection.graph import study_stages
from staged.studies.detection.plan import StudySettings, read_study
from staged.studies.detection.study import run_study
from staged.studies.finetune.plan import FinetuneSettings
from staged.studies.finetune.stages import finetune_stages
from tests.studies.detection.test_robustness import PLAN


def change(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: -tensor for name, tensor in weights.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )


def describe(folder: Path, loss: float) -> None:
    record = {
        "settings": {"corpus": {"source": "elsewhere"}},
        "valid_loss_nats_per_token": loss,
        "sources": [],
    }
    (folder / "training.json").write_text(json.dumps(record))


@pytest.fixture
def run_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(root: Path, stages: Any, *, engine: Any, report: Any) -> int:
        return sum(run_here(root, stage, report=report) for stage in stages)

    monkeypatch.setattr("staged.pipeline.study_folder.run_stages", run)


def render(root: Path) -> None:
    (root / "report.html").write_text("")


def manifests(out: Path) -> dict[str, bytes]:
    return {
        path.parent.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("manifest.json")
    }


@pytest.mark.usefixtures("run_in_this_process")
def test_a_release_study(tiny: Path, human_folder: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "generator", tmp_path / "out"
    shutil.copytree(tiny, model)
    describe(model, 1.5)
    (tmp_path / "plan.toml").write_text(PLAN.format(model=model, human=human_folder, attacks=""))
    settings = read_study(tmp_path / "plan.toml")

    def redone() -> set[str]:
        before = manifests(out)
        worked = run_study(out, settings)
        changed = {name for name, data in manifests(out).items() if before.get(name) != data}
        assert worked == bool(changed)
        return changed

    everything = redone()
    assert redone() == set()
    change(model)
    assert redone() == everything - {"corpus"}  # whose lengths are counted by the tokenizer alone
    describe(model, 2.5)
    assert redone() == {"copying", "."}
    assert read_json(out / "study.json")["models"][0]["valid_loss_nats_per_token"] == 2.5
    assert redone() == set()


def test_stages_know_the_files_that_they_read(
    tiny: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    """Weights of generators and encoders, whichever kind of study reads them: all of them by what
    they hold.
    """
    from staged.training.roberta import RobertaSettings

    roberta = RobertaSettings(base=str(tiny_encoder))
    study = StudySettings(models=(str(tiny), "mini-s"), roberta=roberta, lengths=(64,))
    for stage in study_stages(study).others:
        read = set(stage.files.values())
        if stage.name.startswith("samples/"):
            assert {path.name for path in read} >= {
                "config.json",
                "model.safetensors",
                "tokenizer.json",
            }
        if stage.name.startswith("detectors/roberta/"):
            assert tiny_encoder / "model.safetensors" in read
    finetune = FinetuneSettings(
        model=str(tiny), opening="The", styles={"a": "x", "b": "y"}, roberta=roberta
    )
    of = {stage.name: set(stage.files.values()) for stage in finetune_stages(finetune).others}
    for name in ("a/tuned", "b/tuned", "base/answers"):
        assert tiny / "model.safetensors" in of[name]
    for name in ("detectors/roberta/base", "detectors/roberta/fine-tuned"):
        assert tiny_encoder / "model.safetensors" in of[name]
