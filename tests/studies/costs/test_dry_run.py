"""What a study will take: counts against the study's own stages, sizes against real models, hours
against the rates that were measured, and nothing written or downloaded on the way.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from transformers import RobertaConfig, RobertaForMaskedLM, RobertaModel
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.errors import CheckpointError, PlanError
from staged.model.causal import load_network
from staged.pipeline.stage import SplitStage
from staged.plans.shipped import find_plan
from staged.storage.json_files import read_json
from staged.studies.costs import dry_run as module
from staged.studies.costs.devices import Devices, processor
from staged.studies.costs.rates import measured_rates, rate_for
from staged.studies.costs.sizes import ENCODERS, causal_size, encoder_size
from staged.studies.detection.plan import read_study
from staged.studies.detection.study import ReleaseStudy
from staged.studies.stages import TrainedDetector

ZEN_5, H200 = Devices("AMD Zen 5", 2, is_gpu=False), Devices("NVIDIA H200", 4, is_gpu=True)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, without a network and with an empty cache of the hub's."""

    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("a dry run asks no network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(devices: Devices) -> None:
        monkeypatch.setattr(module, "found_devices", lambda device: devices)

    return use


def test_the_published_study_is_counted(alone: Path, on: Any) -> None:
    on(ZEN_5)
    done = CliRunner().invoke(app, ["study", "gpt2", "--dry-run", "--json"])
    run = json.loads(done.stdout)
    study = ReleaseStudy(read_study(find_plan("gpt2")))
    stages = [*study.corpora, *study.others]
    # corpus, copying; samples; detectors, and their scores; calibrations of those on the mix
    assert run["stages"] == len(stages) == 2 + 12 + 2 * 3 * 4 * 4 + 3 * 4
    split = [s for s in stages if isinstance(s, SplitStage)]
    assert run["blocks"] == sum(len(s.blocks) for s in split) + len(stages) - len(split)
    work = {(row["work"], row["model"]): row for row in run["work"]}
    assert work["sample", "1558M"]["tokens"] == 3 * 260_000 * 1024
    # per encoder 16 detectors × 3 epochs × both classes, (10 + 128) / 2 tokens on average
    assert work["train", "roberta-large"]["tokens"] == 16 * 3 * 500_000 * 69
    assert run["tokens"] == sum(row["tokens"] for row in work.values())
    assert list(alone.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [["--engine", "rya"], ["--workers", "-1"], ["--shard", "4/4"], ["--address", "foo"]]
)
def test_what_the_study_itself_would_refuse_is_refused(wrong: list[str]) -> None:
    done = CliRunner().invoke(app, ["study", "mini", "--dry-run", *wrong])
    assert isinstance(done.exception, PlanError)


def test_hours_are_the_measured_rate_by_operations_a_token(alone: Path, on: Any) -> None:
    on(ZEN_5)
    work = {(row.work, row.model): row for row in staged.dry_run("gpt2").work}
    rate = next(
        r
        for r in read_json(find_plan("gpt2").parent / "rates.json")
        if (r["file"], r["batch"]) == ("decode-zen5.json", 64)
    )["tokens_per_s"]
    small, large = work["sample", "124M"], work["sample", "1558M"]
    assert small.hours == pytest.approx(small.tokens / rate / 3600)
    assert "scaled" not in small.why
    blocks = 48 * 12 * 1600**2 + 48 * 13 * 1600
    ratio = (50257 * 1600 + blocks) / (50257 * 768 + 12 * (12 * 768**2 + 13 * 768))
    assert large.hours is not None
    assert large.hours / (large.tokens / rate / 3600) == pytest.approx(ratio, rel=1e-4)
    assert "scaled by operations a token" in large.why
    assert (work["train", "tfidf"].hours, work["train", "tfidf"].why) == (
        None,
        "no rate: none of TF-IDF was measured",
    )


def test_twice_the_cores_take_half_the_hours(alone: Path, on: Any) -> None:
    on(ZEN_5)
    two = staged.dry_run("mini").hours
    on(Devices("AMD Zen 5", 4, is_gpu=False))
    four = staged.dry_run("mini").hours
    assert two is not None
    assert four == pytest.approx(two / 2)


def test_what_was_never_measured_has_no_hours(alone: Path, on: Any) -> None:
    on(H200)
    run = staged.dry_run("gpt2")
    lacking = {r.work for r in run.work if r.hours is None and r.model != "tfidf"}
    assert lacking == {"train", "score"} - {r.work for r in measured_rates() if not r.cores}
    on(Devices("A processor of tomorrow", 8, is_gpu=False))
    run = staged.dry_run("gpt2")
    assert run.hours is None
    assert all(row.hours is None for row in (*run.work, *run.kinds))
    assert any("measured on A processor of tomorrow" in line for line in run.sentences())


def test_the_nearest_model_s_rate_is_taken_at_its_largest_batch() -> None:
    size = causal_size("774M")
    assert size is not None
    rate = rate_for("sample", size, Devices("NVIDIA H200", 1, is_gpu=True))
    assert rate is not None
    assert (rate.batch, rate.cores) == (64, 0)
    assert rate_for("train", size, Devices("nothing", 1, is_gpu=True)) is None


def test_given_texts_are_neither_sampled_nor_their_models_downloaded(alone: Path) -> None:
    folder = alone / "data"
    folder.mkdir()
    for size in ("small-117M", "medium-345M", "large-762M", "xl-1542M"):
        for how in ("", "-k40", "-nucleus"):
            for split in ("train", "valid", "test"):
                (folder / f"{size}{how}.{split}.jsonl").write_text('{"text": "x"}\n')
    run = staged.dry_run("gpt2", samples=folder)
    assert {row.work for row in run.work} == {"train", "score"}
    assert [d.model for d in run.downloads] == ["124M", "roberta-base", "roberta-large"]


def test_attacked_texts_are_scored_besides(alone: Path) -> None:
    plain, attacked = (staged.dry_run("mini", attacks=several) for several in (False, True))
    assert attacked.stages == plain.stages + 8
    assert attacked.tokens > plain.tokens


@pytest.mark.parametrize("name", list(ENCODERS))
def test_encoders_have_their_published_sizes(name: str) -> None:
    import torch

    shape = ENCODERS[name]
    config = RobertaConfig(
        vocab_size=50265,
        max_position_embeddings=514,
        type_vocab_size=1,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.width // 64,
        intermediate_size=shape.inner,
    )
    with torch.device("meta"):
        plain = RobertaModel(config, add_pooling_layer=False)
        whole = RobertaForMaskedLM(config)
    assert shape.parameters == plain.num_parameters()
    assert shape.published_parameters == whole.num_parameters()


def test_sizes_are_those_of_the_models(tiny: Path, tiny_encoder: Path) -> None:
    network, _ = load_network(str(tiny))
    size = causal_size(str(tiny))
    assert size is not None
    assert size.parameters == sum(weight.numel() for weight in network.parameters())
    encoder = encoder_size(str(tiny_encoder))
    assert encoder is not None
    assert encoder.download_bytes == size.download_bytes == 0
    assert encoder_size("nobody/knows-this") is None


def test_a_hub_model_that_is_not_here_has_no_known_size(alone: Path) -> None:
    plan = alone / "plan.toml"
    plan.write_text('models = ["nobody/knows-this"]\ntokenizer = "mini-s"\n')
    run = staged.dry_run(plan)
    assert [(d.model, d.bytes) for d in run.downloads] == [("nobody/knows-this", None)]
    row = next(row for row in run.work if row.work == "sample")
    assert row.hours is None
    assert row.tokens > 0


@pytest.mark.parametrize(
    ("plan", "options", "error", "said"),
    [
        ("finetune", ["--dry-run"], PlanError, "--dry-run counts release studies"),
        ("mini", ["--json"], PlanError, "--json belongs to --dry-run"),
    ],
)
def test_what_cannot_be_counted_is_said(
    plan: str, options: list[str], error: type[Exception], said: str
) -> None:
    done = CliRunner().invoke(app, ["study", plan, *options])
    assert isinstance(done.exception, error)
    assert said in str(done.exception)


def test_a_model_that_is_none_is_said(alone: Path) -> None:
    plan = alone / "plan.toml"
    plan.write_text('models = ["mini-z"]\n')
    with pytest.raises(CheckpointError, match="'mini-z'"):
        staged.dry_run(plan)


def test_the_tables_are_for_people(alone: Path, on: Any) -> None:
    on(ZEN_5)
    shown = CliRunner().invoke(app, ["study", "gpt2", "--dry-run"]).stdout
    for text in ("on 2 cores of AMD Zen 5", "sample 1558M", "to download: 13.7 GB", "48,780"):
        assert text in shown


def test_processors_are_known_by_what_they_say(tmp_path: Path) -> None:
    def facts(vendor: str, family: str, flags: str, name: str = "A name") -> Path:
        path = tmp_path / "cpuinfo"
        rows = {"vendor_id": vendor, "cpu family": family, "model name": name, "flags": flags}
        path.write_text("".join(f"{key}\t: {value}\n" for key, value in rows.items()))
        return path

    assert processor(facts("AuthenticAMD", "26", "avx512_bf16")) == "AMD Zen 5"
    assert processor(facts("AuthenticAMD", "25", "avx512_bf16")) == "AMD Zen 4"
    assert processor(facts("AuthenticAMD", "25", "avx2")) == "A name"
    assert processor(facts("GenuineIntel", "6", "amx_bf16")) == "Intel Xeon with AMX"
    assert processor(tmp_path / "none").startswith("a processor that")


def test_what_was_measured_is_of_devices_by_these_names() -> None:
    assert {r.device for r in measured_rates()} >= {"AMD Zen 5", "AMD Zen 4", "NVIDIA H200"}
    assert all(r.tokens_per_s > 0 for r in measured_rates())


def test_efforts_are_what_detectors_read() -> None:
    study = ReleaseStudy(read_study(find_plan("mini")))
    for stage in study.others:
        if isinstance(stage, TrainedDetector):
            assert [effort.work for effort in stage.efforts] == ["train", "score"]
            assert all(effort.texts and effort.length for effort in stage.efforts)
