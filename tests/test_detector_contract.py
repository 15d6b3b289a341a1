"""One suite over every detector: finite, deterministic, blind to order and batch, sound on odd
texts, without side effects.
"""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from staged.cli import app
from staged.detectors.catalog import DETECTORS, load_detector
from staged.detectors.contract import Detector, Trained
from staged.detectors.kinds.ensemble import Ensemble
from staged.detectors.kinds.evidence import EvidenceDetector, Weights
from staged.detectors.kinds.features import FEATURES
from staged.detectors.kinds.marks import MarkDetector
from staged.detectors.kinds.readers.detector import ReadersDetector
from staged.detectors.kinds.released import load_original
from staged.detectors.kinds.tfidf import train_tfidf
from staged.detectors.kinds.zero_shot import MODELS, SCORES, ZeroShotDetector, load_zero_shot
from staged.detectors.names import parse_name
from staged.errors import CheckpointError, PlanError
from staged.model.bpe import BPE
from staged.model.causal import load_causal
from staged.model.checkpoints import save_model
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.cuda_graph import static_is_native
from staged.model.gpt2.model import GPT2, initialise
from staged.model.reading.encoding import encode_document
from staged.records import HUMAN, MACHINE, Document
from staged.stats.metrics import auroc
from staged.training.roberta import RobertaSettings, train_roberta
from staged.watermarks.evidence import Candidate
from staged.watermarks.kinds.gumbel import Gumbel
from staged.watermarks.kinds.kgw import KGW
from tests.conftest import NOUNS, prose
from tests.detectors.kinds.tiny import tiny_readers


def documents(split: str, count: int, seed: int) -> list[Document]:
    """Human prose against prose that knows one noun only: easy."""
    human = [prose(seed + i, 4) for i in range(count)]
    machine = [re.sub("|".join(NOUNS), "harbour", prose(seed + 500 + i, 4)) for i in range(count)]
    labelled = [(HUMAN, text) for text in human] + [(MACHINE, text) for text in machine]
    return [
        Document(f"{split}{i}", text, label, f"{split}{i}", split)
        for i, (label, text) in enumerate(labelled)
    ]


@pytest.fixture(
    scope="module",
    params=[*DETECTORS, "released", "evidence", "ensemble", "readers", "marks", *SCORES],
)
def detector(
    request: pytest.FixtureRequest,
    tiny_encoder: Path,
    harbour_model: Path,
    bpe: BPE,
    tmp_path_factory: pytest.TempPathFactory,
) -> Detector:
    if request.param in SCORES:
        models = ",".join([str(harbour_model)] * max(MODELS.get(request.param, (1,))))
        return load_zero_shot(parse_name(f"{request.param}@{models}"), dtype=torch.float32)
    if request.param == "evidence":
        return evidence_kind(harbour_model)
    if request.param == "readers":
        return tiny_readers(None)
    if request.param == "marks":
        marks = (Candidate("key", mark, bpe) for mark in (Gumbel(3), KGW(5, bpe.n_vocab)))
        return MarkDetector("watermark@key", list(marks))
    if request.param == "ensemble":
        return Ensemble(
            [evidence_kind(harbour_model), evidence_kind(harbour_model, name="o", most_tokens=50)],
            [2, 1],
            name="both",
        )
    if request.param == "released":
        return released_kind(tiny_encoder, tmp_path_factory.mktemp("released"))
    train, valid = documents("train", 60, 0), documents("valid", 20, 2000)
    if request.param == "tfidf":
        return train_tfidf(train, valid)
    settings = RobertaSettings(base=str(tiny_encoder), learning_rate=3e-3, epochs=12, max_tokens=60)
    return train_roberta(
        train, valid, settings, checkpoint=tmp_path_factory.mktemp("checkpoint") / "c.pt"
    )


@pytest.fixture(scope="module")
def harbour_model(bpe: BPE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 that has learned to write what `documents` calls machine-written: prose with one
    noun.
    """
    model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, n_ctx=64, n_embd=32, n_head=2, n_layer=1))
    initialise(model, torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    ids = torch.cat(
        [
            torch.from_numpy(encode_document(bpe, d.text)).long()
            for d in documents("p", 60, 7000)
            if d.label == MACHINE
        ]
    )
    batches = ids[: len(ids) // 65 * 65].view(-1, 65)
    for _ in range(12):
        for rows in batches.split(8):
            loss = torch.nn.functional.cross_entropy(
                model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()
            )
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("harbour")
    save_model(folder, model, bpe, dtype=torch.float32)
    return folder


def evidence_kind(scorer: Path, **options: Any) -> EvidenceDetector:
    """The shipped detector's kind, with weights that say: the likelier, the more machine-like."""
    n = len(FEATURES)
    likelier = np.asarray([float(name == "likelihood") for name in FEATURES])
    weights = Weights(np.full(n, -1.9), np.full(n, 0.3), likelier, np.zeros(n), (0.0, -50.0))
    return EvidenceDetector(load_causal(str(scorer)), weights, **options)


def released_kind(tiny_encoder: Path, folder: Path) -> Trained:
    """A released detector's original file, with random weights; the files' labels are in
    test_released.py.
    """
    from tests.detectors.test_released import tiny_classifier, write_original

    shutil.copy(tiny_encoder / "tokenizer.json", folder)
    write_original(folder / "detector-base.pt", tiny_classifier(tiny_encoder).state_dict())
    return load_original(folder / "detector-base.pt")


ODD = [
    "",
    "a",
    " ",
    "🎈👩‍🚀",
    "\u200b\u202e",
    "word " * 3000,
    prose(9, 200),
    "<s></s><mask>",
    "<|endoftext|>",
]
TEXTS = [prose(3000 + i, 1 + i % 6) for i in range(30)] + ODD


def test_one_finite_number_a_text(detector: Detector) -> None:
    scores = detector.score(TEXTS)
    assert len(scores) == len(TEXTS)
    assert all(isinstance(score, float) and math.isfinite(score) for score in scores)
    assert detector.score([]) == []


def test_deterministic(detector: Detector) -> None:
    assert detector.score(TEXTS) == detector.score(TEXTS)


def test_independent_of_order_and_batch(detector: Detector) -> None:
    together = detector.score(TEXTS)
    assert detector.score(TEXTS[::-1])[::-1] == pytest.approx(together, abs=1e-4)
    assert [detector.score([text])[0] for text in TEXTS] == pytest.approx(together, abs=1e-4)


def test_leaves_global_state_alone(detector: Detector) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    detector.score(TEXTS[:3])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.is_grad_enabled()


def test_higher_is_more_machine_like(detector: Detector, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["detector"]
    if name == "released":
        pytest.skip(
            "random weights know nothing; which output is Fake is tested in"
            " detectors/test_released.py"
        )
    if name == "readers":
        pytest.skip(
            "random weights know nothing; what such a detector learns is tested in training/"
        )
    if name == "marks":
        pytest.skip("looks for a key's mark; that it finds it is tested in detectors/test_marks.py")
    if name == "entropy":
        pytest.skip("which side is the machine's depends on how the text was sampled")
    if name == "lrr":
        pytest.skip(
            "a ratio of two numbers that both are lower for machine text; which one falls faster"
            " depends on the model"
        )
    test = documents("test", 30, 4000)
    scores = detector.score([d.text for d in test])
    by_label = {
        label: [s for s, d in zip(scores, test, strict=True) if d.label == label]
        for label in (HUMAN, MACHINE)
    }
    assert auroc(by_label[HUMAN], by_label[MACHINE])[0] > 0.9
    if name not in SCORES:  # these have no even odds
        assert (
            sum(score > 0 for score in by_label[MACHINE])
            + sum(score <= 0 for score in by_label[HUMAN])
            >= 50
        )


def kept(detector: Detector, folder: Path) -> Trained:
    """The detector, saved, where it can be."""
    if isinstance(detector, ZeroShotDetector | MarkDetector):
        pytest.skip("nothing was trained, so nothing is saved")
    trained = cast(Trained, detector)
    trained.save(folder)
    return trained


def test_saved_and_loaded_scores_the_same(detector: Detector, tmp_path: Path) -> None:
    trained = kept(detector, tmp_path)
    rounding = (
        0.5 if isinstance(trained, ReadersDetector) else 1e-5
    )  # matrices of an encoder are kept in eight bits
    assert load_detector(tmp_path).score(TEXTS) == pytest.approx(trained.score(TEXTS), abs=rounding)


def test_damaged_folder_is_one_clear_error(detector: Detector, tmp_path: Path) -> None:
    kept(detector, tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix in (".npy", ".safetensors") or path.name == "evidence.json":
            path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError):
        load_detector(tmp_path)


def test_foreign_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a detector's folder"):
        load_detector(tmp_path)


@pytest.mark.skipif(
    not static_is_native(), reason="needs a CUDA GPU that computes in bfloat16; none is here"
)
def test_a_gpu_says_the_same(detector: Detector, tmp_path: Path) -> None:
    expected = detector.score(TEXTS)
    if isinstance(detector, ZeroShotDetector):
        models = ",".join([detector.scorer.name] * max(MODELS.get(detector.score_name, (1,))))
        there: Detector = load_zero_shot(
            parse_name(f"{detector.score_name}@{models}"), dtype=torch.float32, device="cuda"
        )
    else:
        kept(detector, tmp_path)
        there = load_detector(tmp_path, device="cuda")
    assert there.score(TEXTS) == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    "command",
    [
        ["detect", "a.txt", "--out", "b.jsonl"],
        ["stress", "--human", "a.txt"],
        ["calibrate", "--human", "a.txt"],
        ["raid", "a.csv", "--detector", "gltr", "--out", "b"],
    ],
)
def test_an_unknown_device_is_said(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(prose(1, 40))
    Path("a.csv").write_text("id,generation\n1,A text.\n")
    result = CliRunner().invoke(app, [*command, "--device", "tpu"])
    assert isinstance(result.exception, PlanError)
    assert "device 'tpu'" in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.txt"]
