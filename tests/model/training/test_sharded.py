"""FSDP2: many processes with a share of the weights each take the steps that one takes, and any
number of them continues what any other has left.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from staged.corpus.build import CorpusSettings
from staged.model.checkpoints import load_model
from staged.model.training.plan import TrainSettings
from tests.model.training.processes import Part, train_in_parts

SAME = 2e-5  # nats a token: float32 sums in another order, over all steps


@pytest.fixture(scope="module")
def settings(human_folder: Path) -> TrainSettings:
    return TrainSettings(
        corpus=CorpusSettings(source=str(human_folder), budget_tokens=30, minimum_tokens=10),
        **{"n_vocab": 300, "n_ctx": 32, "n_embd": 16, "n_head": 2, "n_layer": 2},
        **{"steps": 9, "batch": 6, "micro_batch": 2, "warmup_steps": 2, "learning_rate": 5e-3},
        **{"valid_every": 3, "valid_rows": 8, "checkpoint_every": 3, "precision": "fp32"},
        saved_precision="fp32",
        parallel="fsdp",
    )


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(
    settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[list[str]]]:
    """Folders `alone`, `parts` (2, 1, 2 processes) and `bf16`, and what stood in `.partial`."""
    root = tmp_path_factory.mktemp("sharded")
    low = replace(settings, precision="bf16", steps=3, checkpointing=True)
    shown = train_in_parts(
        Part(root / "alone", settings, 1),
        Part(root / "parts", settings, 2, stop_after=4),
        Part(root / "parts", settings, 1, stop_after=7),
        Part(root / "parts", settings, 2),
        Part(root / "bf16", low, 2),
    )
    return root, shown


def test_two_one_two_processes_have_the_losses_of_one(
    trained: tuple[Path, list[list[str]]],
) -> None:
    root, shown = trained
    assert "checkpoint-3" in shown[1]
    assert "checkpoint.pt" not in shown[1]
    assert "checkpoint.pt" in shown[2]
    assert "checkpoint-3" not in shown[2]
    assert len(curve(root / "parts")) == 9
    for one, two in zip(curve(root / "alone"), curve(root / "parts"), strict=True):
        assert two == pytest.approx(one, abs=SAME)
    first, second = (load_model(str(root / name))[0].state_dict() for name in ("alone", "parts"))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, atol=1e-4, rtol=0)
