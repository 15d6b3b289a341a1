"""Training: learns, resumes from any kill with the same curve and bytes, and gives the same on two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from staged.corpus.build import CorpusSettings
from staged.errors import CheckpointError, PlanError
from staged.model import data
from staged.model.bpe import BPE
from staged.model.checkpoints import load_model
from staged.model.plan import TrainSettings, read_plan
from staged.model.train import Progress, learning_rate, train


@pytest.fixture(scope="module")
def settings(human_folder: Path) -> TrainSettings:
    corpus = CorpusSettings(source=str(human_folder), budget_tokens=60, minimum_tokens=20)
    shape = {"n_vocab": 384, "n_ctx": 64, "n_embd": 32, "n_head": 2, "n_layer": 1}
    pace = {"steps": 24, "batch": 8, "micro_batch": 4, "warmup_steps": 4, "valid_every": 8, "valid_rows": 20, "checkpoint_every": 3}
    return TrainSettings(corpus=corpus, dropout=0.1, learning_rate=5e-3, precision="fp32", **shape, **pace)


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "model"
    assert train(folder, settings)
    return folder


def test_learns_and_is_a_model_folder(trained: Path, settings: TrainSettings) -> None:
    losses = curve(trained)
    assert len(losses) == 24
    assert losses[0]["train"] == pytest.approx(np.log(384), abs=0.3)
    assert losses[-1]["valid"] < losses[7]["valid"] < losses[0]["train"]
    model, bpe = load_model(str(trained))
    assert model.config.n_vocab == bpe.n_vocab == 384
    facts = json.loads((trained / "training.json").read_text())
    assert facts["parameters"] == model.config.parameters
    assert train(trained, settings) is False


class KilledError(Exception):
    pass


def test_killed_at_any_step_ends_with_the_same_bytes(trained: Path, settings: TrainSettings, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    for stop in (1, 5, 13):  # after this many steps, three times over

        def report(progress: Progress, start: list[int] = [], stop: int = stop) -> None:  # noqa: B006
            start.append(progress.step)
            if len(start) == stop:
                raise KilledError

        with pytest.raises(KilledError):
            train(folder, settings, report=report)
        assert not folder.exists()
    assert train(folder, settings)
    assert (folder / "loss.jsonl").read_bytes() == (trained / "loss.jsonl").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert (folder / "manifest.json").read_bytes() == (trained / "manifest.json").read_bytes()


TORCHRUN = """
import pickle, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from staged.model.train import train
train(Path(sys.argv[1]), pickle.loads(bytes.fromhex(sys.argv[2])))
"""


def torchrun(tmp_path: Path, folder: Path, settings: TrainSettings) -> subprocess.Popen[bytes]:
    import pickle

    script = tmp_path / "run.py"
    script.write_text(TORCHRUN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    return subprocess.Popen(
        [*command, str(folder), pickle.dumps(settings).hex()], stderr=subprocess.DEVNULL, start_new_session=True
    )


def test_two_processes_give_the_same_curve_and_survive_a_kill(trained: Path, settings: TrainSettings, tmp_path: Path) -> None:
    folder = tmp_path / "pair"
    plain = replace(settings, dropout=0.0)
    alone = tmp_path / "alone"
    train(alone, plain)
    first = torchrun(tmp_path, folder, replace(plain, checkpoint_every=1))
    checkpoint = folder.with_name("pair.partial") / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(1)  # its workers notice that their launcher is gone
    assert torchrun(tmp_path, folder, replace(plain, checkpoint_every=1)).wait(timeout=200) == 0
    for one, two in zip(curve(alone), curve(folder), strict=True):
        assert two["train"] == pytest.approx(one["train"], abs=2e-4)
        assert two.get("valid") == pytest.approx(one.get("valid"), abs=2e-4)


def test_fine_tuning_starts_from_the_given_model(trained: Path, settings: TrainSettings, tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    train(folder, replace(settings, init=str(trained), steps=2, warmup_steps=0, learning_rate=1e-5))
    assert curve(folder)[0]["train"] < curve(trained)[4]["train"]


def test_masked_objective_saves_a_roberta_that_transformers_loads(settings: TrainSettings, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    train(folder, replace(settings, objective="masked", steps=60, n_ctx=66, precision="bf16", learning_rate=1e-2))
    losses = curve(folder)
    assert losses[-1]["valid"] < losses[0]["train"] - 0.5
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("The river keeps the bridge")["input_ids"]
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert model(torch.tensor([ids])).logits.shape == (1, len(ids), len(tokenizer))


def test_masking_shares() -> None:
    rows = [list(range(5, 105))] * 400
    inputs, targets = data.masked_batch(rows, share=0.15, pad=1, mask=4, first_plain=5, n_vocab=200, key=(1, 2))
    chosen = targets != data.IGNORED
    original = torch.tensor(rows)
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.01)
    assert torch.equal(targets[chosen], original[chosen])
    assert torch.equal(inputs[~chosen], original[~chosen])
    assert float((inputs[chosen] == 4).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float((inputs[chosen] == original[chosen]).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_causal_rows_predict_the_end(bpe: BPE) -> None:
    rows = data.causal_rows(["The river", "x" * 500], bpe, 16)
    inputs, targets = data.causal_batch(rows, bpe.end_of_text)
    assert inputs[0, 0] == inputs[1, 0] == bpe.end_of_text
    assert targets[0, len(rows[0]) - 2] == bpe.end_of_text
    assert (targets[0, len(rows[0]) - 1 :] == data.IGNORED).all()
    assert targets.shape == (2, 16)
    assert (targets[1] != bpe.end_of_text).all()


def test_every_epoch_sees_every_row_once() -> None:
    seen = [row for step in range(10) for row in data.step_rows(step, rows=25, batch=5, seed=3)]
    assert sorted(seen[:25]) == sorted(seen[25:]) == list(range(25))
    assert seen[:25] != seen[25:]
    assert data.step_rows(7, rows=25, batch=5, seed=3) == seen[35:40]


def test_learning_rate_schedule() -> None:
    settings = TrainSettings(steps=100, warmup_steps=10, learning_rate=1.0)
    assert learning_rate(0, settings) == pytest.approx(0.1)
    assert learning_rate(10, settings) == pytest.approx(1.0)
    assert learning_rate(55, settings) == pytest.approx(0.55)
    assert learning_rate(100, settings) == pytest.approx(0.1)


def test_diverging_loss_is_one_clear_error(settings: TrainSettings, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="lower learning_rate"):
        train(tmp_path / "m", replace(settings, learning_rate=1e20, clip_norm=1e30, warmup_steps=0))


def test_damaged_checkpoint_is_named(settings: TrainSettings, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        train(tmp_path / "m", settings, report=stop)
    (tmp_path / "m.partial" / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: damaged"):
        train(tmp_path / "m", settings)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[a]\nlerning_rate = 1", r"\[a\]: unknown key 'lerning_rate'; did you mean 'learning_rate'"),
        ("[a]\nsteps = 1.5", "steps must be of type int"),
        ("[a]\nobjective = 'classify'", "objective 'classify'; known: causal, masked"),
        ("[a]\nbatch = 3\nmicro_batch = 2", "not a multiple"),
        ("[a]\nsteps = 0", "steps must be at least 1"),
        ("[a]\n[a.corpus]\nsorce = 'x'", r"corpus: unknown key 'sorce'"),
        ("steps = 3", "stands outside a table"),
        ("[defaults]\nsteps = 3", "holds no run"),
        ("[a", "not valid TOML"),
    ],
)
def test_bad_plans(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "plan.toml").write_text(toml)
    with pytest.raises(PlanError, match=says):
        read_plan(tmp_path / "plan.toml")
