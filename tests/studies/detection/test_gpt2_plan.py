"""The published plan whole: four models of the released shapes at a hundredth of their width, with
texts that are given in the output dataset's files, and without.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from staged.cells import load_cells
from staged.corpus.build import read_documents
from staged.errors import PlanError
from staged.model.bpe import BPE
from staged.model.checkpoints import save_model
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.model.sources.releases import RELEASES
from staged.plans.shipped import find_plan
from staged.samples.dataset import read_samples
from staged.storage.json_files import read_json
from staged.studies.detection.plan import read_study
from staged.studies.detection.report.matrix import PUBLISHED, PUBLISHED_TFIDF
from tests.conftest import prose
from tests.studies.commands import run

SETS = ("small-117M", "medium-345M", "large-762M", "xl-1542M")
COUNTS = {"train": 12, "valid": 6, "test": 6}
SMALL = {  # of the plan's numbers, what they are here
    "n_train": "12",
    "n_valid": "6",
    "n_test": "6",
    "length_tokens": "51",
    "train_tokens": "102",
    "lengths": "[12, 51, 102]",
    "batch": "8",
    "budget_tokens": "102",
    "minimum_tokens": "12",
    "shares": "{ train = 0.4, valid = 0.3, test = 0.3 }",
    "max_tokens": "13",
    "epochs": "2",
}


def narrow(folder: Path, config: GPT2Config, bpe: BPE) -> Path:
    """A random model of a released depth, a hundredth as wide."""
    width = round(config.n_embd / 200) * 2
    model = GPT2(GPT2Config(bpe.n_vocab, 128, width, n_head=2, n_layer=config.n_layer))
    initialise(model, torch.Generator().manual_seed(config.n_layer))
    save_model(folder, model, bpe, dtype=torch.float32)
    return folder


@pytest.fixture(scope="module")
def plan(bpe: BPE, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped plan with other numbers, and folders in place of names."""
    folder = tmp_path_factory.mktemp("gpt2")
    models = [str(narrow(folder / r.size, r.config, bpe)) for r in RELEASES]
    values = SMALL | {"models": json.dumps(models), "tokenizer": json.dumps(models[0])}
    text = find_plan("gpt2").read_text(encoding="utf-8")
    for key, value in values.items():
        text, times = re.subn(rf"^{key} = .*", f"{key} = {value}", text, flags=re.MULTILINE)
        assert times, key
    text = re.sub(r'^base = ".*"', f'base = "{tiny_encoder}"', text, flags=re.MULTILINE)
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output dataset's files, made up: a set's test texts hold one that is repeated."""
    folder = tmp_path_factory.mktemp("output-dataset")
    names = [f"{size}{how}" for size in SETS for how in ("", "-k40", "-nucleus")]
    for number, name in enumerate(["webtext", *names]):
        for part, (split, count) in enumerate(COUNTS.items()):
            texts = [prose(1000 * number + 100 * part + i, 8) for i in range(count)]
            if (name, split) == ("xl-1542M-nucleus", "test"):
                texts[-1] = texts[0]
            rows = ({"id": i, "ended": True, "length": 99, "text": t} for i, t in enumerate(texts))
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{name}.{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def check_whole(out: Path, shown: str) -> None:
    """Every cell of the published study is there, and the published tables stand beside it."""
    cells = load_cells(out / "cells.json")
    assert {cell.detector for cell in cells} == {"tfidf", "roberta-base", "roberta-large"}
    assert len(cells) == 3 * 4 * 4 * 4 * 3  # detectors × sizes × (methods + mix) × sizes × methods
    assert {(c.n_human, c.n_machine, c.length_tokens) for c in cells} == {(6, 6, 51)}
    report = (out / "report.html").read_text(encoding="utf-8")
    for value in (PUBLISHED[0][3], *PUBLISHED_TFIDF["top-k-40"]):
        assert str(value) in shown
        assert str(value) in report
    learned = read_json(out / "detectors/roberta-large/1558M/mix/manifest.json")["settings"]
    assert (learned["length_tokens"], learned["train_tokens"]) == (51, 102)


@pytest.mark.slow
def test_the_published_texts_are_taken_as_they_are(
    plan: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    check_whole(out, run(plan, out, "--samples", str(dataset), "--workers", "2"))
    people = read_documents(out / "corpus" / "passages.parquet")
    for part, (split, count) in enumerate(COUNTS.items()):
        texts = [person.text for person in people if person.split == split]
        assert texts == [prose(100 * part + i, 8) for i in range(count)]
    given = read_json(out / "study.json")["given"]
    assert [(row["model"], row["method"]) for row in given if "whole" in row] == [
        ("1558M", "nucleus")
    ]
    assert read_json(out / "study.json").get("words") is None  # lengths are tokens


@pytest.mark.slow
def test_without_them_the_four_models_sample(
    plan: Path, human_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    check_whole(out, run(plan, out, "--corpus", str(human_folder), "--workers", "2"))
    rows = read_samples(out / "samples" / "1558M" / "nucleus" / "train.parquet")
    assert len(rows) == 12
    assert max(row["length"] for row in rows) == 102


def test_the_plan_is_what_was_published() -> None:
    settings = read_study(find_plan("gpt2"))
    assert settings.models == tuple(release.size for release in RELEASES)
    assert (settings.n_train, settings.n_valid, settings.n_test) == (250_000, 5_000, 5_000)
    assert settings.bases == ("roberta-base", "roberta-large")
    for encoder in settings.encoders.values():
        assert (encoder.learning_rate, encoder.batch, encoder.max_tokens) == (2e-5, 24, 128)
        assert (encoder.crop, encoder.random_length) == (True, True)
        assert encoder.token_dropout > 0


def plan_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text('models = ["mini-s"]\n' + text, encoding="utf-8")
    return path


def test_encoders_take_the_keys_of_roberta(tmp_path: Path) -> None:
    text = 'detectors = ["roberta", "big"]\n[roberta]\nepochs = 7\n[encoders.big]\nbase = "b"\n'
    settings = read_study(plan_of(tmp_path, text))
    assert settings.bases == ("roberta-mini", "b")
    encoder = settings.encoder("big")
    assert encoder is not None
    assert (encoder.base, encoder.epochs) == ("b", 7)
    assert settings.encoder("tfidf") is None


def test_how_an_encoder_is_computed_is_not_recorded(tmp_path: Path) -> None:
    text = '[encoders.big]\nbase = "b"\nmicro_batch = 8\n'
    recorded = read_study(plan_of(tmp_path, text)).recorded()["encoders"]["big"]
    assert recorded["base"] == "b"
    assert "micro_batch" not in recorded


def test_a_plan_without_the_new_keys_records_none(tmp_path: Path) -> None:
    recorded = read_study(plan_of(tmp_path, "")).recorded()
    assert not {"encoders", "train_tokens", "published"} & {*recorded, *recorded["corpus"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('detectors = ["big"]', "unknown 'big'; known: roberta, tfidf"),
        ("[encoders.tfidf]", "encoders: 'tfidf' is a detector's name already"),
        ('[encoders."../up"]', "cannot be a folder's name"),
        ("[encoders.big]\nepoch = 1", r"\[encoders.big\]: unknown key 'epoch'"),
        ("train_tokens = 32", "train_tokens 32 must be at least length_tokens 64"),
        ("train_tokens = 512", "train_tokens, 512, is above corpus.budget_tokens 256"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        read_study(plan_of(tmp_path, text))
