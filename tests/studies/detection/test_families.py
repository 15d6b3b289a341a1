"""Release studies of models that are not GPT-2, beside one that is; of given texts; the same bytes
after kills.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staged.cells import load_cells
from staged.model.bpe import train_bpe
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json
from staged.storage.records import read_record
from staged.studies.detection.results import STUDY, StudyFacts
from tests.conftest import prose
from tests.families import write_family
from tests.studies.commands import kill_at_random_moments, run, stages_in

PLAN = """
title = "Two families"
models = {models}
methods = ["temperature-1", "top-k-40"]
detectors = ["tfidf"]
n_train = 24
n_valid = 20
n_test = 16
length_tokens = 24
lengths = [12, 24]
batch = 8
{more}
[corpus]
source = "{human}"
budget_tokens = 60
minimum_tokens = 20
shares = {{ train = 0.4, valid = 0.25, test = 0.35 }}
"""
RESULTS = ("cells.json", "cells.csv", "lengths.json", "findings.json", "gallery.json")


def put_plan(folder: Path, human: Path, *models: Path | str, more: str = "") -> Path:
    path = folder / "plan.toml"
    path.write_text(PLAN.format(models=json.dumps([*map(str, models)]), human=human, more=more))
    return path


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    coarse = train_bpe([prose(seed, 4) for seed in range(3)], 290)
    return write_family(tmp_path_factory.mktemp("families") / "small-llama", coarse, "llama")


@pytest.fixture(scope="module")
def plan(
    tiny: Path, llama: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return put_plan(tmp_path_factory.mktemp("plan"), human_folder, tiny, llama)


@pytest.fixture(scope="module")
def finished(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "study"
    assert "words a cell" in run(plan, out, "--workers", "2")
    return out


def test_a_gpt2_and_a_llama(finished: Path) -> None:
    cells = load_cells(finished / "cells.json")
    assert {cell.tested_on for cell in cells} == {"tiny", "small-llama"}
    facts = read_record(finished / STUDY, StudyFacts)
    assert facts.words is not None
    assert {cell.length_words for cell in cells} == {facts.words["24"]}
    assert "length_words" in (finished / "cells.csv").read_text().splitlines()[0]
    tiny, llama = facts.models
    assert (tiny.family, llama.family) == (None, "llama")
    assert llama.parameters
    assert facts.written is not None
    assert [(row.text, row.method, row.texts) for row in facts.written][:2] == [
        ("human", "", 16),
        ("tiny", "temperature-1", 16),
    ]
    assert all(row.shorter is not None and row.words > 0 for row in facts.written)


def test_the_page_speaks_of_words(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    words = read_json(finished / STUDY)["words"]["24"]
    assert f"at most {words} words" in page


def test_again_does_nothing(plan: Path, finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    run(plan, finished)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def _same_after_kills(plan: Path, finished: Path, out: Path, times: int) -> None:
    kill_at_random_moments(plan, out, stages=stages_in(finished), seed=times, times=times)
    run(plan, out)
    files = [path.relative_to(finished) for path in finished.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    for name in files:
        if name.name not in ("manifest.json", "ledger.json", STUDY, "report.html"):
            assert sha256_file(out / name) == sha256_file(finished / name), name


def test_the_same_bytes_after_kills(plan: Path, finished: Path, tmp_path: Path) -> None:
    _same_after_kills(plan, finished, tmp_path / "study", 3)


@pytest.mark.slow
def test_the_same_bytes_after_ten_kills(plan: Path, finished: Path, tmp_path: Path) -> None:
    _same_after_kills(plan, finished, tmp_path / "study", 10)


def test_openings_are_in_neither_class(
    tiny: Path, llama: Path, human_folder: Path, tmp_path: Path
) -> None:
    plan = put_plan(tmp_path, human_folder, tiny, llama, more="opening_words = 3")
    run(plan, tmp_path / "study")
    gallery = read_json(tmp_path / "study" / "gallery.json")
    people = [row["text"] for row in gallery if not row["model"]]
    assert not any(text.startswith("The ") for text in people)  # so all passages begin
    assert not any(row["text"].startswith((" ", "\n")) for row in gallery)


def test_given_texts_in_place_of_sampling(tiny: Path, human_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    rows = [
        {"text": prose(5000 + i, 3), "model": "mine", "method": method}
        for i in range(160)
        for method in [("temperature-1", "top-k-40")[i % 2]]
    ]
    more = f'samples = "{folder}"\nsamples_title = "Our <texts>"\nsamples_licence = "CC0"'
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = put_plan(tmp_path, human_folder, "mine", tiny, more=more)
    run(plan, tmp_path / "study")
    facts = read_record(tmp_path / "study" / STUDY, StudyFacts)
    assert facts.given is not None
    assert [(row.model, row.rows, row.taken) for row in facts.given] == [("mine", 80, 60)] * 2
    assert [model.origin for model in facts.models] == ["texts that were given", None]
    page = (tmp_path / "study" / "report.html").read_text()
    assert "mine.jsonl" in page
    assert "Our &lt;texts&gt; (<code>samples</code>), CC0" in page
    assert str(tmp_path) not in page + (tmp_path / "study" / STUDY).read_text()


def test_models_and_methods_come_from_the_samples(human_folder: Path, tmp_path: Path) -> None:
    from staged.studies.detection.plan import read_study

    rows = [{"text": prose(i, 2), "model": "b", "method": "beam"} for i in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = tmp_path / "plan.toml"
    plan.write_text(f'samples = "{tmp_path / "rows.jsonl"}"\n')
    settings = read_study(plan)
    assert (settings.models, settings.methods) == (("b",), ("beam",))
