"""An encoder's step on several devices is the step on one."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from staged.records import Document
from staged.training import roberta
from staged.training.roberta import RobertaSettings, train_roberta
from staged.training.sharing import own_parts
from tests.conftest import prose
from tests.test_detector_contract import documents
from tests.training.processes import together

# 58 texts: three steps of 19, and one of a single text, of which the second process gets none
SETTINGS = RobertaSettings(
    epochs=2, learning_rate=3e-3, batch=19, random_length=True, token_dropout=0.2
)


def texts() -> tuple[list[Document], list[Document]]:
    train = documents("train", 29, 0)
    longer = [replace(text, text=f"{text.text} {prose(n, n % 7)}") for n, text in enumerate(train)]
    return longer, documents("valid", 20, 2000)


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roberta, "best_dtype", lambda device="cpu": torch.float32)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 5))
def test_every_row_counts_once_whoever_reads_it(
    rows: int, processes: int, micro_batch: int
) -> None:
    counted = torch.zeros(rows, dtype=torch.float64)
    for process in range(processes):
        for part, weight in own_parts(rows, process, processes, micro_batch):
            size = len(range(rows)[part])
            assert 1 <= size <= (micro_batch or rows)
            # a part's mean, in the mean over processes
            counted[part] += weight / size / processes
    assert counted.tolist() == pytest.approx([1 / rows] * rows)


def test_alone_a_batch_is_read_at_once_and_its_loss_is_as_it_is() -> None:
    assert own_parts(24, 0, 1) == [(slice(0, 24), 1.0)]


@pytest.mark.usefixtures("in_float32")
def test_parts_of_a_batch_make_its_gradient(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, base=str(tiny_encoder))
    weights = []
    for name, micro_batch in (("whole.pt", 0), ("parts.pt", 5)):
        checkpoint = tmp_path / name
        in_parts = replace(settings, micro_batch=micro_batch)
        train_roberta(*texts(), in_parts, checkpoint=checkpoint)
        weights.append(torch.load(checkpoint, weights_only=True))
    assert_close(*weights)


@pytest.mark.usefixtures("in_float32")
def test_two_processes_train_what_one_does_which_then_goes_on(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, base=str(tiny_encoder))
    alone, shared = tmp_path / "alone.pt", tmp_path / "shared.pt"
    together(lambda: train_roberta(*texts(), replace(settings, micro_batch=4), checkpoint=shared))
    train_roberta(*texts(), settings, checkpoint=alone)
    assert_close(*(torch.load(path, weights_only=True) for path in (alone, shared)))
    longer = replace(settings, epochs=3)
    whole, continued = (
        train_roberta(*texts(), longer, checkpoint=path) for path in (alone, shared)
    )
    read = [text.text for text in texts()[1]]
    assert continued.score(read) == pytest.approx(whole.score(read), abs=2e-2)


@pytest.mark.usefixtures("in_float32")
def test_two_processes_killed_within_an_epoch_go_on(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roberta, "KEEP_EVERY", 3)
    settings = replace(SETTINGS, base=str(tiny_encoder))
    alone, shared = tmp_path / "alone.pt", tmp_path / "shared.pt"

    def end(done: int, total: int) -> None:
        if done == total:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(AssertionError):
        together(lambda: train_roberta(*texts(), settings, checkpoint=shared, progress=end))
    assert torch.load(shared, weights_only=True)["step"] == 3
    together(lambda: train_roberta(*texts(), settings, checkpoint=shared))
    train_roberta(*texts(), settings, checkpoint=alone)
    assert_close(*(torch.load(path, weights_only=True) for path in (alone, shared)))


def assert_close(one: dict[str, object], other: dict[str, object]) -> None:
    """Two snapshots: the same epoch was chosen, and weights are the same but for rounding."""
    for name in ("epochs", "step", "best"):
        assert one[name] == other[name]
    for part in ("model", "kept"):
        weights, others = one[part], other[part]
        assert isinstance(weights, dict)
        assert isinstance(others, dict)
        for name, weight in weights.items():
            # attention does not depend on it: its gradient is rounding, which Adam makes a step
            if not name.endswith("key.bias"):
                torch.testing.assert_close(weight, others[name], atol=2e-4, rtol=1e-3)


@pytest.mark.usefixtures("in_float32")
def test_killed_within_an_epoch_ends_the_same(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roberta, "KEEP_EVERY", 3)
    model, tokenizer = roberta.load_classifier(str(tiny_encoder), num_labels=2)
    model.config.hidden_dropout_prob = 0.3  # drawn as if nothing had happened
    base = tmp_path / "base"
    roberta.RobertaDetector(model, tokenizer).save(base)
    settings = replace(SETTINGS, base=str(base), batch=6)  # 10 steps an epoch

    def stop(done: int, total: int) -> None:
        if done == total - 1:
            raise KeyboardInterrupt

    killed = tmp_path / "killed.pt"
    with pytest.raises(KeyboardInterrupt):
        train_roberta(*texts(), settings, checkpoint=killed, progress=stop)
    left: list[int] = []
    again = train_roberta(
        *texts(),
        settings,
        checkpoint=killed,
        progress=lambda done, total: left.append(total - done),
    )
    assert left == [3, 2, 1, 0]
    whole = train_roberta(*texts(), settings, checkpoint=tmp_path / "whole.pt")
    read = [text.text for text in texts()[1]]
    assert again.score(read) == whole.score(read)
