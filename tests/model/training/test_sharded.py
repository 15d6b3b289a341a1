"""FSDP2: many processes with a share of the weights each take the steps that one takes, and any
number of them continues what any other has left.
"""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path
from traceback import StackSummary

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint.api import CheckpointException

from staged.corpus.build import CorpusSettings
from staged.errors import ArtifactError, CheckpointError
from staged.model.checkpoints import load_model
from staged.model.training.parallel.folders import share_folders
from staged.model.training.parallel.shares import save_shares
from staged.model.training.plan import TrainSettings
from staged.model.training.train import train
from tests.model.training.processes import Part, train_in_parts

SAME = 2e-5  # nats a token: float32 sums in another order, over all steps


@pytest.fixture(scope="module")
def settings(human_folder: Path) -> TrainSettings:
    return TrainSettings(
        corpus=CorpusSettings(source=str(human_folder), budget_tokens=30, minimum_tokens=10),
        n_vocab=300,
        n_ctx=32,
        n_embd=16,
        n_head=2,
        n_layer=2,
        steps=9,
        batch=6,
        micro_batch=2,
        warmup_steps=2,
        learning_rate=0.005,
        valid_every=3,
        valid_rows=8,
        checkpoint_every=3,
        precision="fp32",
        saved_precision="fp32",
        parallel="fsdp",
    )


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def root(settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models `alone`, `parts` (by 2, 1, 2 processes) and `bf16`; `left-1` and `left-2` are what the
    first two parts left.
    """
    root = tmp_path_factory.mktemp("sharded")
    low = replace(settings, precision="bf16", steps=3, checkpointing=True)
    train_in_parts(
        Part(root / "alone", settings, 1),
        Part(root / "parts", settings, 2, stop_after=4),
        Part(root / "parts", settings, 1, stop_after=7),
        Part(root / "parts", settings, 2),
        Part(root / "bf16", low, 2),
    )
    return root


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_two_one_two_processes_have_the_losses_of_one(root: Path) -> None:
    assert names(root / "left-1") == {"fingerprint.json", "checkpoint-3"}
    assert names(root / "left-2") == {"fingerprint.json", "checkpoint.pt"}
    assert names(root / "parts") == names(root / "alone")
    assert len(curve(root / "parts")) == 9
    for one, two in zip(curve(root / "alone"), curve(root / "parts"), strict=True):
        assert two == pytest.approx(one, abs=SAME)
    first, second = (load_model(str(root / name))[0].state_dict() for name in ("alone", "parts"))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, atol=1e-4, rtol=0)


def test_in_bfloat16_and_computed_again_they_learn_the_same(root: Path) -> None:
    for one, two in zip(curve(root / "alone")[:3], curve(root / "bf16"), strict=True):
        assert two["train"] == pytest.approx(one["train"], abs=0.01)
    assert curve(root / "bf16") != curve(root / "alone")[:3]


def steps_left(folder: Path, settings: TrainSettings) -> list[int]:
    """The steps that one process still takes."""
    steps: list[int] = []
    train(folder, settings, report=lambda at: steps.append(at.step))
    return steps


def test_of_both_kinds_the_newer_counts(
    root: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    shutil.copytree(root / "left-2", tmp_path / "m.partial")  # behind step 6
    shutil.copytree(root / "left-1" / "checkpoint-3", tmp_path / "m.partial" / "checkpoint-3")
    assert steps_left(tmp_path / "m", settings) == [7, 8, 9]
    assert names(tmp_path / "m") == names(root / "alone")
    assert curve(tmp_path / "m") == [pytest.approx(row, abs=SAME) for row in curve(root / "parts")]


def test_one_that_a_kill_cut_short_does_not_count(
    root: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    shutil.copytree(root / "left-1", tmp_path / "m.partial")
    whole = tmp_path / "m.partial" / "checkpoint-3"
    whole.replace(tmp_path / "m.partial" / ".checkpoint-3.staged-tmp")
    assert steps_left(tmp_path / "m", settings) == list(range(1, 10))
    assert (tmp_path / "m" / "loss.jsonl").read_bytes() == (
        root / "alone" / "loss.jsonl"
    ).read_bytes()
    assert names(tmp_path / "m") == names(root / "alone")


@pytest.mark.parametrize("file", [".metadata", "__1_0.distcp", "counters.json"])
def test_a_damaged_one_is_named(
    root: Path, settings: TrainSettings, tmp_path: Path, file: str
) -> None:
    shutil.copytree(root / "left-1", tmp_path / "m.partial")
    damaged = tmp_path / "m.partial" / "checkpoint-3" / file
    damaged.write_bytes(damaged.read_bytes()[:20])
    with pytest.raises(CheckpointError, match="checkpoint-3: damaged checkpoint; delete it"):
        train(tmp_path / "m", settings)


def test_a_full_disk_leaves_the_checkpoint_before(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(root / "left-1", tmp_path / "m.partial")

    def full(state: object, checkpoint_id: Path) -> None:
        checkpoint_id.mkdir()
        error = OSError(errno.ENOSPC, "No space left on device")
        raise CheckpointException("save", {1: (error, StackSummary())})

    monkeypatch.setattr("staged.model.training.parallel.shares.save", full)
    with pytest.raises(ArtifactError, match="checkpoint-6: cannot write: No space left on device"):
        save_shares(tmp_path / "m.partial", 6, {}, {})
    assert share_folders(tmp_path / "m.partial") == [tmp_path / "m.partial" / "checkpoint-3"]


@pytest.mark.slow
def test_compiled_blocks_learn_the_same_and_with_dropout_too(
    settings: TrainSettings, root: Path, tmp_path: Path
) -> None:
    compiled = replace(settings, compile=True, checkpointing=True, steps=3)
    train_in_parts(
        Part(tmp_path / "alone", compiled, 1),
        Part(tmp_path / "pair", compiled, 2),
        Part(tmp_path / "dropped", replace(compiled, dropout=0.1), 1),
    )
    for name in ("alone", "pair"):
        for one, two in zip(curve(root / "alone")[:3], curve(tmp_path / name), strict=True):
            assert two["train"] == pytest.approx(one["train"], abs=SAME)
    assert len(curve(tmp_path / "dropped")) == 3


@pytest.mark.slow
def test_another_family_with_tied_weights_and_lora(settings: TrainSettings, tmp_path: Path) -> None:
    llama = replace(settings, architecture="llama", steps=3)
    tuned = replace(llama, architecture="gpt2", init=str(tmp_path / "alone"), lora_rank=2)
    train_in_parts(
        Part(tmp_path / "alone", llama, 1),
        Part(tmp_path / "pair", llama, 2),
        Part(tmp_path / "tuned", tuned, 1),
        Part(tmp_path / "tuned-pair", tuned, 3),
    )
    for first, second in (("alone", "pair"), ("tuned", "tuned-pair")):
        assert names(tmp_path / first) == names(tmp_path / second)
        assert curve(tmp_path / second) == [
            pytest.approx(row, abs=SAME) for row in curve(tmp_path / first)
        ]
        weights = [load_file(tmp_path / one / "model.safetensors") for one in (first, second)]
        assert weights[0].keys() == weights[1].keys()
        for name, weight in weights[0].items():
            torch.testing.assert_close(weights[1][name], weight, atol=1e-4, rtol=0)
