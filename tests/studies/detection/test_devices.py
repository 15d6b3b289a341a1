"""A study's device: what is finished stays valid on another, and a GPU's work says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import staged
from staged.errors import PlanError, SamplingError
from staged.model import devices
from staged.pipeline.stage import Stage
from staged.studies import computed, stages
from staged.studies.detection.graph import study_stages
from staged.studies.detection.plan import StudySettings, read_study
from staged.studies.detection.robustness import attack_stages
from staged.studies.generators import sampled
from staged.training.roberta import RobertaSettings


def settings(tiny: Path, encoder: Path, device: str = "cpu") -> StudySettings:
    return StudySettings(
        models=(str(tiny),),
        methods=("nucleus",),
        attacks=("whitespace",),
        roberta=RobertaSettings(str(encoder)),
        device=device,
    )


def stages_of(plan: StudySettings) -> list[Stage]:
    graph = study_stages(plan)
    return [*graph.others, *attack_stages(graph)]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says it has a GPU, on which nothing is computed."""
    monkeypatch.setattr(devices, "static_is_native", lambda: True)
    monkeypatch.setattr(computed.torch.cuda, "get_device_name", lambda: "A GPU")


def test_device_and_micro_batch_decide_no_stage(tiny: Path, tiny_encoder: Path) -> None:
    plain = settings(tiny, tiny_encoder)
    other = replace(plain, device="cuda", roberta=replace(plain.roberta, micro_batch=4))
    here, there = ([stage.settings for stage in stages_of(plan)] for plan in (plain, other))
    assert here == there
    assert plain.recorded() == other.recorded()
    assert not {"device", "micro_batch"} & {
        word for each in here for word in json.dumps(each).split('"')
    }
    slower = replace(plain, roberta=replace(plain.roberta, learning_rate=1e-5))
    assert [stage.settings for stage in stages_of(slower)] != here


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("device", "taken"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_each_stage_computes_where_the_plan_says(
    tiny: Path, tiny_encoder: Path, device: str, taken: str
) -> None:
    graph = study_stages(settings(tiny, tiny_encoder, device))
    assert {stage.computes_on for stage in graph.samples.values()} == {taken}  # type: ignore[attr-defined]
    on = {(key[0], stage.detector.computes_on) for key, stage in graph.scores.items()}
    assert on == {("tfidf", "cpu"), ("roberta", taken)}


@pytest.mark.usefixtures("gpu")
def test_int8_is_a_processors(tiny: Path, tiny_encoder: Path) -> None:
    plan = replace(settings(tiny, tiny_encoder, "auto"), precision="int8")
    [sampling] = study_stages(plan).samples.values()
    assert isinstance(sampling, sampled.Samples)
    assert sampling.computes_on == "cpu"


@pytest.mark.usefixtures("gpu")
def test_scores_are_read_there_and_say_so(
    tiny: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, asked = study_stages(settings(tiny, tiny_encoder, "auto")), list[Any]()

    class Silent:
        def score(self, texts: list[str]) -> list[float]:
            return [0.0] * len(texts)

    def opened(folder: Path, *, bulk: bool, device: str) -> Silent:
        asked.append((bulk, device))
        return Silent()

    monkeypatch.setattr(stages, "load_detector", opened)
    for kind, out in (("roberta", tmp_path / "gpu"), ("tfidf", tmp_path / "cpu")):
        stage = graph.scores[kind, graph.models[0], "mix"]
        with stage.opened({stage.detector.name: tmp_path}):
            out.mkdir()
        stage.join(out, iter([[{"document": "a", "length_tokens": 64, "score": 0.0}]]), {})
    assert asked == [(True, "cuda"), (True, "cpu")]
    assert json.loads((tmp_path / "gpu" / "computed.json").read_text()) == {
        "device": "A GPU",
        "precision": "bf16",
        "processes": 1,
    }
    assert [path.name for path in (tmp_path / "cpu").iterdir()] == ["scores.parquet"]


@pytest.mark.skipif(devices.static_is_native(), reason="there is one")
def test_a_gpu_that_is_not_there_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SamplingError, match="no GPU"):
        staged.study("mini", tmp_path / "out", device="cuda")
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_none(tmp_path: Path, tiny: Path, tiny_encoder: Path) -> None:
    with pytest.raises(PlanError, match="device 'tpu'; choose auto, cpu, cuda"):
        settings(tiny, tiny_encoder, "tpu")
    plan = tmp_path / "plan.toml"
    plan.write_text(f'models = ["{tiny}"]\ndevice = "cuda"\n')
    assert read_study(plan).device == "cuda"
    assert read_study(plan, device="cpu").device == "cpu"
