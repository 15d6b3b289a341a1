"""Training: learns, resumes from any kill with the same curve and bytes, and gives the same on two
processes.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer.main
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForMaskedLM, AutoTokenizer
from typer.testing import CliRunner

from staged.cli import app
from staged.corpus.build import CorpusSettings
from staged.errors import ArtifactError, CheckpointError, PlanError
from staged.model.bpe import BPE, train_bpe
from staged.model.checkpoints import load_model
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.model.training import data, objectives
from staged.model.training.plan import (
    FINE_TUNING,
    TrainSettings,
    as_recorded,
    chosen_runs,
    read_training_plan,
    with_flags,
)
from staged.model.training.run import TrainStep
from staged.model.training.schedule import learning_rate
from staged.model.training.snapshots import opened_snapshot
from staged.model.training.train import train


@pytest.fixture(scope="module")
def settings(human_folder: Path) -> TrainSettings:
    corpus = CorpusSettings(source=str(human_folder), budget_tokens=60, minimum_tokens=20)
    shape = {"n_vocab": 384, "n_ctx": 64, "n_embd": 32, "n_head": 2, "n_layer": 1}
    pace = {
        "steps": 24,
        "batch": 8,
        "micro_batch": 4,
        "warmup_steps": 4,
        "valid_every": 8,
        "valid_rows": 20,
        "checkpoint_every": 3,
    }
    return TrainSettings(
        corpus=corpus, dropout=0.1, learning_rate=5e-3, precision="fp32", **shape, **pace
    )


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


def test_killed_at_any_step_ends_with_the_same_bytes(
    trained: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    for stop in (1, 5, 13):  # after this many steps, three times over

        def report(progress: TrainStep, start: list[int] = [], stop: int = stop) -> None:  # noqa: B006
            start.append(progress.step)
            if len(start) == stop:
                raise KilledError

        with pytest.raises(KilledError):
            train(folder, settings, report=report)
        assert not folder.exists()
    assert train(folder, settings)
    assert (folder / "loss.jsonl").read_bytes() == (trained / "loss.jsonl").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == (
        trained / "model.safetensors"
    ).read_bytes()
    assert (folder / "manifest.json").read_bytes() == (trained / "manifest.json").read_bytes()


TORCHRUN = """
import pickle, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from staged.model.training.train import train
train(Path(sys.argv[1]), pickle.loads(bytes.fromhex(sys.argv[2])))
"""


def torchrun(tmp_path: Path, folder: Path, settings: TrainSettings) -> subprocess.Popen[bytes]:
    script = tmp_path / "run.py"
    script.write_text(TORCHRUN)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    return subprocess.Popen(
        [*command, str(folder), pickle.dumps(settings).hex()],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.skipif(
    torch.cuda.device_count() == 1, reason="each process would need a GPU of its own"
)
def test_two_processes_give_the_same_curve_and_survive_a_kill(
    trained: Path, settings: TrainSettings, tmp_path: Path
) -> None:
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


def test_fine_tuning_starts_from_the_given_model(
    trained: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "tuned"
    train(folder, replace(settings, init=str(trained), steps=2, warmup_steps=0, learning_rate=1e-5))
    assert curve(folder)[0]["train"] < curve(trained)[4]["train"]


def test_checkpointing_changes_no_byte(
    trained: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "frugal"
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            objectives,
            "checkpoint",
            lambda *args, **options: (calls.append(1), checkpoint(*args, **options))[1],
        )
        train(
            folder, replace(settings, checkpointing=True)
        )  # with dropout 0.1: drawn the same when computed again
    assert len(calls) >= settings.steps * 2
    assert (folder / "loss.jsonl").read_bytes() == (trained / "loss.jsonl").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == (
        trained / "model.safetensors"
    ).read_bytes()


def test_checkpointing_a_masked_run_changes_no_byte(
    settings: TrainSettings, tmp_path: Path
) -> None:
    masked = replace(settings, objective="masked", n_ctx=66, steps=3)
    for name, frugal in (("plain", False), ("frugal", True)):
        train(tmp_path / name, replace(masked, checkpointing=frugal))
    assert (tmp_path / "frugal" / "loss.jsonl").read_bytes() == (
        tmp_path / "plain" / "loss.jsonl"
    ).read_bytes()


def test_checkpointing_keeps_fewer_tensors() -> None:
    model = GPT2(GPT2Config(n_vocab=50, n_ctx=16, n_embd=8, n_head=2, n_layer=3), dropout=0.1)
    initialise(model, torch.Generator().manual_seed(1))
    kept: dict[bool, int] = {}
    for frugal in (False, True):
        if frugal:
            objectives.recompute(model.h)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: (sizes.append(x.numel()), x)[1], lambda x: x
        ):
            model.hidden(torch.arange(16)[None])
        kept[frugal] = sum(sizes)
    assert kept[True] < kept[False] / 4


def test_lora_trains_little_and_saves_a_plain_model(
    trained: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    tuning = replace(
        settings,
        init=str(trained),
        lora_rank=2,
        learning_rate=1e-2,
        steps=9,
        saved_precision="fp32",
        valid_every=9,
    )

    def stop(progress: TrainStep) -> None:
        assert progress.peak_memory_mb > 50
        if progress.step == 5:
            raise KilledError

    with pytest.raises(KilledError):
        train(tmp_path / "killed", tuning, report=stop)
    state = torch.load(tmp_path / "killed.partial" / "checkpoint.pt", weights_only=True)
    assert {name.rsplit(".", 1)[1] for name in state["weights"]} == {"a", "b"}
    moments = sum(
        x.numel() for one in state["optimizer"]["state"].values() for x in one.values() if x.dim()
    )
    assert (
        moments
        == 2 * sum(weight.numel() for weight in state["weights"].values())
        < load_model(str(trained))[0].config.parameters
    )
    train(tmp_path / "killed", tuning)
    train(tmp_path / "whole", tuning)
    for name in ("model.safetensors", "loss.jsonl", "training.json", "manifest.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    before, after = (
        load_model(str(folder))[0].state_dict() for folder in (trained, tmp_path / "whole")
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith(".weight") and ".c_" in name}
    facts = json.loads((tmp_path / "whole" / "training.json").read_text())
    assert facts["parameters"] == load_model(str(trained))[0].config.parameters


def test_other_files_in_the_models_place_are_left_alone(
    settings: TrainSettings, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("not a model")
    with pytest.raises(
        ArtifactError, match=r"mine: holds letter.txt, and nothing here was made by staged"
    ):
        train(tmp_path / "mine", settings)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "not a model"


def test_a_model_is_not_tuned_in_its_own_place(trained: Path, settings: TrainSettings) -> None:
    with pytest.raises(PlanError, match="is the model to start from"):
        train(trained, replace(settings, init=str(trained)))
    assert (trained / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"budget_tokens": 65}, "budget_tokens 65 is more than the model's context of 64 tokens"),
        ({"lora_rank": 33}, "lora_rank 33 is more than the model's width, 32"),
    ],
)
def test_more_than_the_model_has(
    trained: Path, settings: TrainSettings, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(PlanError, match=says):
        train(tmp_path / "m", with_flags(replace(settings, init=str(trained)), changes))
    assert list(tmp_path.iterdir()) == []


def test_full_disk_while_checkpointing_leaves_the_last_one(
    settings: TrainSettings, tmp_path: Path
) -> None:
    script = tmp_path / "run.py"
    script.write_text(FULL_DISK)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "m", pickle.dumps(settings).hex()],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "ArtifactError 3", done.stderr
    assert {path.name for path in (tmp_path / "m.partial").iterdir()} == {
        "fingerprint.json",
        "checkpoint.pt",
    }


FULL_DISK = """
import pickle, resource, signal, sys
from pathlib import Path
import torch
from staged.errors import ArtifactError
from staged.model.training.train import train
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
def report(progress):
    if progress.step == 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    train(folder, pickle.loads(bytes.fromhex(sys.argv[2])), report=report)
except ArtifactError as error:
    print(type(error).__name__, torch.load(folder.with_name("m.partial") / "checkpoint.pt", weights_only=True)["step"])
"""


class TestCommand:
    def test_one_short_command_fine_tunes(
        self, tiny: Path, human_folder: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "tuned"
        command = [
            "train",
            "--init",
            str(tiny),
            "--corpus",
            str(human_folder),
            "--out",
            str(out),
            "--steps",
            "3",
        ]
        command += [
            "--budget-tokens",
            "40",
            "--minimum-tokens",
            "10",
            "--micro-batch",
            "2",
            "--lora-rank",
            "1",
            "--checkpointing",
        ]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        assert re.search(r"tuned: trained · peak memory [\d,]+ MB", result.output)
        facts = json.loads((out / "training.json").read_text())
        assert "peak" not in (out / "training.json").read_text()
        expected = with_flags(
            FINE_TUNING,
            {
                "init": str(tiny),
                "source": str(human_folder),
                "budget_tokens": 40,
                "minimum_tokens": 10,
                "steps": 3,
            }
            | {"micro_batch": 2, "lora_rank": 1, "checkpointing": True, "dropout": None},
        )
        assert facts["settings"] == json.loads(json.dumps(as_recorded(expected)))
        assert "architecture" not in facts["settings"]
        assert facts["corpus"]["passages"].keys() == {"pretrain", "valid"}
        assert "nothing to do" in CliRunner().invoke(app, command).output

    def test_a_flag_outweighs_the_plan(self, human_folder: Path, tmp_path: Path) -> None:
        plan = tmp_path / "plan.toml"
        plan.write_text(
            "[a]\nsteps = 5\nbatch = 4\nmicro_batch = 2\n[a.corpus]\nbudget_tokens = 99\n[b]"
        )
        runs = chosen_runs(plan, tmp_path, ["a"], None, None)
        assert list(runs) == [tmp_path / "a"]
        changed = with_flags(runs[tmp_path / "a"], {"steps": 2, "batch": None, "source": "x"})
        assert (
            changed.steps,
            changed.batch,
            changed.corpus.source,
            changed.corpus.budget_tokens,
        ) == (2, 4, "x", 99)

    @pytest.mark.parametrize(
        "flags", [[], ["--init", "mini-s", "--corpus", "x"], ["--corpus", "x", "--out", "y"]]
    )
    def test_without_a_plan_says_what_is_needed(self, flags: list[str]) -> None:
        result = CliRunner().invoke(app, ["train", *flags])
        assert isinstance(result.exception, PlanError)
        assert "give a plan, or --init MODEL, --corpus FOLDER and --out FOLDER" in str(
            result.exception
        )

    def test_every_flag_is_a_setting(self) -> None:
        flags = {
            parameter.name for parameter in typer.main.get_command(app).commands["train"].params
        }  # type: ignore[attr-defined]
        known = {one.name for cls in (TrainSettings, CorpusSettings) for one in fields(cls)}
        assert flags - known == {"plan", "out", "run", "show", "threads", "device"}


def test_masked_objective_saves_a_roberta_that_transformers_loads(
    settings: TrainSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    train(
        folder,
        replace(
            settings, objective="masked", steps=60, n_ctx=66, precision="bf16", learning_rate=1e-2
        ),
    )
    losses = curve(folder)
    assert losses[-1]["valid"] < losses[0]["train"] - 0.5
    model, tokenizer = (
        AutoModelForMaskedLM.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    ids = tokenizer("The river keeps the bridge")["input_ids"]
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert model(torch.tensor([ids])).logits.shape == (1, len(ids), len(tokenizer))


def test_masking_shares() -> None:
    rows = [list(range(5, 105))] * 400
    inputs, targets = data.masked_batch(
        rows, share=0.15, pad=1, mask=4, first_plain=5, n_vocab=200, key=(1, 2)
    )
    chosen = targets != data.IGNORED
    original = torch.tensor(rows)
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.01)
    assert torch.equal(targets[chosen], original[chosen])
    assert torch.equal(inputs[~chosen], original[~chosen])
    assert float((inputs[chosen] == 4).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float((inputs[chosen] == original[chosen]).float().mean()) == pytest.approx(
        0.1, abs=0.02
    )


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
    def stop(progress: TrainStep) -> None:
        if progress.step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        train(tmp_path / "m", settings, report=stop)
    for damaged in (b"not a checkpoint", b""):
        (tmp_path / "m.partial" / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"checkpoint\.pt: damaged"):
            train(tmp_path / "m", settings)


def test_a_file_where_the_model_should_go_is_said_at_once(
    settings: TrainSettings, tmp_path: Path
) -> None:
    (tmp_path / "m").write_text("mine")
    with pytest.raises(ArtifactError, match="is no folder of ours"):
        train(tmp_path / "m", settings)
    assert (tmp_path / "m").read_text() == "mine"


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (
            "[a]\nlerning_rate = 1",
            r"\[a\]: unknown key 'lerning_rate'; did you mean 'learning_rate'",
        ),
        ("[a]\nsteps = 1.5", "steps must be of type int"),
        ("[a]\nobjective = 'classify'", "objective 'classify'; known: causal, masked"),
        ("[a]\nbatch = 3\nmicro_batch = 2", "not a multiple"),
        ("[a]\nsteps = 0", "steps must be at least 1"),
        ("[a]\n[a.corpus]\nsorce = 'x'", r"corpus: unknown key 'sorce'"),
        ("steps = 3", "stands outside a table"),
        ('["../x"]\nsteps = 3', r"run '\.\./x' cannot be a folder's name"),
        ('[".."]\nsteps = 3', "cannot be a folder's name"),
        ('[""]\nsteps = 3', "cannot be a folder's name"),
        ('["a\\u0000b"]\nsteps = 3', "cannot be a folder's name"),
        ("[defaults]\nsteps = 3", "holds no run"),
        ("[a]\ninit = 'mini-s'\ntokenizer = 'mini-s'", "brings its own tokenizer"),
        ("[a]\nlearning_rate = -1.0", "learning_rate must be above 0 and finite"),
        ("[a]\nlora_alpha = nan", "lora_alpha must be a finite number, not nan"),
        ("[a]\nweight_decay = inf", "weight_decay must be a finite number, not inf"),
        (
            "[a]\nwarmup_steps = -5",
            "warmup_steps must be 0 or more, and no astronomical number, not -5",
        ),
        ("[a]\nseed = 99999999999999999999999", "seed must lie in"),
        ("[a]\ndropout = 0.9", r"dropout must lie in \[0, 0.9\), not 0.9"),
        ("[a]\nlora_rank = -1", "lora_rank must be 0 or more, and no astronomical number, not -1"),
        ("[a]\nlora_rank = 4", "needs a model to start from"),
        ("[a]\nsaved_precision = 'int8'", "saved_precision 'int8'; known: bf16, fp32"),
        ("[a]\ncheckpointing = 1", "checkpointing must be of type bool"),
        ("[a]\nparallel = 'zero'", "parallel 'zero'; known: ddp, fsdp"),
        ("[a", "not valid TOML"),
        (
            "[a]\ncorpus = 'my-texts'",
            r"\[a\] corpus: must be a table of keys and values, not 'my-texts'",
        ),
        (
            "defaults = 1\n[a]\nsteps = 3",
            r"\[defaults\]: must be a table of keys and values, not 1",
        ),
        (
            "[defaults]\ncorpus = 3\n[a]\nsteps = 3",
            r"\[defaults.corpus\]: must be a table of keys and values, not 3",
        ),
        ("[a]\nobjective = 'masked'\nn_head = 0", "n_head must be at least 1"),
        ("[a]\nn_layer = 0", "n_layer must be at least 1"),
    ],
)
def test_bad_plans(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "plan.toml").write_text(toml)
    with pytest.raises(PlanError, match=says):
        read_training_plan(tmp_path / "plan.toml")


def test_a_run_has_the_common_corpus_with_its_own_changes(tmp_path: Path) -> None:
    plan = (
        '[defaults.corpus]\nsource = "my-texts"\nbudget_tokens = 64\n[a]\n[b.corpus]\nbudget_tokens'
        " = 128\n"
    )
    (tmp_path / "plan.toml").write_text(plan, encoding="utf-8")
    runs = read_training_plan(tmp_path / "plan.toml")
    assert [(one.corpus.source, one.corpus.budget_tokens) for one in runs.values()] == [
        ("my-texts", 64),
        ("my-texts", 128),
    ]


def test_killed_between_the_last_step_and_the_manifest_nothing_is_trained_again(
    trained: Path, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> dict[str, str]:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("staged.storage.stage_folders._sums", killed)
        with pytest.raises(KilledError):
            train(tmp_path / "m", settings)
    steps: list[int] = []
    train(tmp_path / "m", settings, report=lambda one: steps.append(one.step))
    assert steps == []
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()
    }


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            "not enough memory to continue from it; free some: the checkpoint is whole",
        ),
        (
            OSError(5, "Input/output error"),
            "cannot be read: Input/output error; the checkpoint stays as it is",
        ),
        (MemoryError(), "not enough memory to continue from it"),
        (RuntimeError("PytorchStreamReader failed"), "damaged checkpoint; delete it"),
    ],
)
def test_what_keeps_a_run_from_continuing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(CheckpointError, match=says), opened_snapshot(tmp_path / "checkpoint.pt"):
        pass


def test_a_folder_without_a_name_is_refused(settings: TrainSettings) -> None:
    with pytest.raises(
        ArtifactError, match=r"\.: a folder is made beside this place.*give it a name, such as new"
    ):
        train(Path(), settings)


def test_a_vocabulary_needs_room_for_all_bytes() -> None:
    with pytest.raises(CheckpointError, match="257 is the least"):
        train_bpe(["some text"], 256)


def test_a_masked_step_without_a_masked_token_goes_on(
    human_folder: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    corpus = replace(settings.corpus, budget_tokens=30, minimum_tokens=1)
    masked = replace(
        settings,
        objective="masked",
        corpus=corpus,
        mask_share=0.01,
        batch=1,
        micro_batch=1,
        steps=4,
        valid_rows=1,
    )
    train(tmp_path / "m", masked)
    assert (tmp_path / "m" / "training.json").is_file()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_validation_loss_that_is_no_number_ends_training(
    settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr("staged.model.training.run.Run._validate", lambda self: value)
    with pytest.raises(CheckpointError, match=r"the validation loss is .* lower learning_rate"):
        train(tmp_path / "m", settings)
    assert not (tmp_path / "m").exists()
