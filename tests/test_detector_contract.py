"""One suite over every detector: finite, deterministic, blind to order and batch, sound on odd texts, without side effects."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import pytest
import torch

from staged.detectors.catalog import DETECTORS, load_detector
from staged.detectors.contract import Trained
from staged.detectors.released import load_original
from staged.detectors.roberta import RobertaSettings, train_roberta
from staged.detectors.tfidf import train_tfidf
from staged.errors import CheckpointError
from staged.records import HUMAN, MACHINE, Document
from tests.conftest import NOUNS, prose


def documents(split: str, count: int, seed: int) -> list[Document]:
    """Human prose against prose that knows one noun only: easy."""
    human = [prose(seed + i, 4) for i in range(count)]
    machine = [re.sub("|".join(NOUNS), "harbour", prose(seed + 500 + i, 4)) for i in range(count)]
    labelled = [(HUMAN, text) for text in human] + [(MACHINE, text) for text in machine]
    return [Document(f"{split}{i}", text, label, f"{split}{i}", split) for i, (label, text) in enumerate(labelled)]


@pytest.fixture(scope="module", params=[*DETECTORS, "released"])
def detector(request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    if request.param == "released":
        return released_kind(tiny_encoder, tmp_path_factory.mktemp("released"))
    train, valid = documents("train", 60, 0), documents("valid", 20, 2000)
    if request.param == "tfidf":
        return train_tfidf(train, valid)
    settings = RobertaSettings(base=str(tiny_encoder), learning_rate=3e-3, epochs=12, max_tokens=60)
    return train_roberta(train, valid, settings, checkpoint=tmp_path_factory.mktemp("checkpoint") / "c.pt")


def released_kind(tiny_encoder: Path, folder: Path) -> Trained:
    """A released detector's original file, with random weights; the files' labels are in test_released.py."""
    from tests.detectors.test_released import tiny_classifier, write_original

    shutil.copy(tiny_encoder / "tokenizer.json", folder)
    write_original(folder / "detector-base.pt", tiny_classifier(tiny_encoder).state_dict())
    return load_original(folder / "detector-base.pt")


ODD = ["", "a", " ", "🎈👩‍🚀", "\u200b\u202e", "word " * 3000, prose(9, 200), "<s></s><mask>", "<|endoftext|>"]
TEXTS = [prose(3000 + i, 1 + i % 6) for i in range(30)] + ODD


def test_one_finite_number_a_text(detector: Trained) -> None:
    scores = detector.score(TEXTS)
    assert len(scores) == len(TEXTS)
    assert all(isinstance(score, float) and math.isfinite(score) for score in scores)
    assert detector.score([]) == []


def test_deterministic(detector: Trained) -> None:
    assert detector.score(TEXTS) == detector.score(TEXTS)


def test_independent_of_order_and_batch(detector: Trained) -> None:
    together = detector.score(TEXTS)
    assert detector.score(TEXTS[::-1])[::-1] == pytest.approx(together, abs=1e-4)
    assert [detector.score([text])[0] for text in TEXTS] == pytest.approx(together, abs=1e-4)


def test_leaves_global_state_alone(detector: Trained) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    detector.score(TEXTS[:3])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.is_grad_enabled()


def test_higher_is_more_machine_like(detector: Trained, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["detector"] == "released":
        pytest.skip("random weights know nothing; which output is Fake is tested in detectors/test_released.py")
    test = documents("test", 30, 4000)
    scores = detector.score([d.text for d in test])
    right = sum((score > 0) == (d.label == MACHINE) for score, d in zip(scores, test, strict=True))
    assert right >= 50


def test_saved_and_loaded_scores_the_same(detector: Trained, tmp_path: Path) -> None:
    detector.save(tmp_path)
    assert load_detector(tmp_path).score(TEXTS) == pytest.approx(detector.score(TEXTS), abs=1e-5)


def test_damaged_folder_is_one_clear_error(detector: Trained, tmp_path: Path) -> None:
    detector.save(tmp_path)
    for path in tmp_path.iterdir():
        if path.suffix in (".npy", ".safetensors"):
            path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError):
        load_detector(tmp_path)


def test_foreign_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a detector's folder"):
        load_detector(tmp_path)
