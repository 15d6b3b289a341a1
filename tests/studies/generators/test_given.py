"""Texts that somebody has: whose they are, how they are dealt, and what is left out and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staged.corpus.build import CorpusSettings, write_documents
from staged.errors import CorpusError, PlanError
from staged.pipeline.stage import Inputs
from staged.progress import silent
from staged.records import HUMAN, Document
from staged.studies.generators.given import GivenChecks, GivenSamples
from staged.studies.generators.given_files import given_files, listed, named_alike
from staged.studies.stages import Corpus
from tests.conftest import prose


def put(path: Path, *rows: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def dataset(folder: Path, name: str, texts: list[str]) -> None:
    put(
        folder / name,
        *({"id": i, "ended": True, "length": 9, "text": t} for i, t in enumerate(texts)),
    )


def stage(
    folder: Path, model: str, method: str, counts: dict[str, int]
) -> tuple[GivenSamples, Inputs]:
    kinds = listed(given_files(str(folder)))
    found = tuple(
        file
        for (held, how), files in kinds.items()
        if named_alike(model, held) and how == method
        for file in files
    )
    corpus = Corpus(corpus=CorpusSettings(), model="mini-s")
    made = GivenSamples(
        model=model, method=method, counts=counts, seed=1, given=model, corpus=corpus, found=found
    )
    human = folder.parent / "corpus"
    human.mkdir(exist_ok=True)
    passages = [Document("h", prose(900, 3), HUMAN, "s", "train")]
    write_documents(human / "passages.parquet", passages)
    place = folder.parent / "made"
    place.mkdir()
    inputs = {corpus.name: human, made.name: place}
    made.write(place, inputs, silent)
    return made, inputs


def test_the_output_dataset_by_its_files_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    for number, split in enumerate(("train", "valid", "test")):
        texts = [prose(100 * number + i, 2) for i in range(5)]
        dataset(folder, f"small-117M-k40.{split}.jsonl", texts)
    dataset(folder, "xl-1542M.test.jsonl", ["x"])
    dataset(folder, "webtext.test.jsonl", ["A person's."])
    kinds = listed(given_files(str(folder)))
    assert set(kinds) == {("small-117M", "top-k-40"), ("xl-1542M", "temperature-1")}
    assert "webtext.test.jsonl left out: human text" in caplog.text
    made, inputs = stage(folder, "124M", "top-k-40", {"train": 4, "valid": 2, "test": 3})
    for number, split in enumerate(("train", "valid", "test")):
        texts = [text.text for text in made.texts(inputs, split)]
        assert len(texts) == {"train": 4, "valid": 2, "test": 3}[split]
        assert set(texts) <= {prose(100 * number + i, 2) for i in range(5)}
    checks = made.checks(inputs)
    assert (checks.rows, checks.taken) == (15, 9)
    assert set(checks.files) == {f"small-117M-k40.{s}.jsonl" for s in ("train", "valid", "test")}


def test_rows_are_checked_and_counted(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": prose(i, 2), "model": "ours", "method": "nucleus"} for i in range(12)
    ]
    rows += [
        rows[0],
        {"text": "  ", "model": "ours", "method": "nucleus"},
        {"text": prose(900, 3), "model": "ours", "method": "nucleus"},
        {"text": "Once there was rain.", "prompt": "Once ", "model": "ours", "method": "nucleus"},
        {"text": "another's", "model": "other", "method": "nucleus"},
    ]
    put(tmp_path / "data" / "rows.jsonl", *rows)
    made, inputs = stage(tmp_path / "data", "ours", "nucleus", {"train": 7, "valid": 3, "test": 3})
    checks = made.checks(inputs)
    assert (checks.rows, checks.empty, checks.repeated, checks.human) == (16, 1, 1, 1)
    assert checks.prompts_cut == 1
    texts = [t.text for split in ("train", "valid", "test") for t in made.texts(inputs, split)]
    assert len(set(texts)) == 13
    assert "there was rain." in texts
    assert "another's" not in texts


def test_texts_of_one_prompt_stay_in_one_split(tmp_path: Path) -> None:
    rows = [
        {"text": f"{prose(i, 2)}", "prompt": f"prompt {i // 3}", "model": "m", "method": "greedy"}
        for i in range(30)
    ]
    put(tmp_path / "data" / "rows.jsonl", *rows)
    made, inputs = stage(tmp_path / "data", "m", "greedy", {"train": 9, "valid": 6, "test": 6})
    group = {prose(i, 2): i // 3 for i in range(30)}
    of = {s: {group[t.text] for t in made.texts(inputs, s)} for s in ("train", "valid", "test")}
    assert not of["train"] & of["valid"] | of["train"] & of["test"] | of["valid"] & of["test"]


def test_too_few_is_said_by_name(tmp_path: Path) -> None:
    put(tmp_path / "data" / "mine.jsonl", *({"text": prose(i, 1)} for i in range(4)))
    with pytest.raises(PlanError, match=r"hold 1 texts of mine by unknown for valid.*asks for 2"):
        stage(tmp_path / "data", "mine", "unknown", {"train": 3, "valid": 2})


@pytest.mark.parametrize(
    ("rows", "error", "sentence"),
    [
        ([{"txt": "a"}], CorpusError, 'row 1: no string under "text"'),
        ([{"text": "a", "split": "dev"}], PlanError, "split 'dev'; known: train, valid, test"),
    ],
)
def test_a_row_that_does_not_fit(
    tmp_path: Path, rows: list[dict[str, object]], error: type[Exception], sentence: str
) -> None:
    put(tmp_path / "rows.jsonl", *rows)
    with pytest.raises(error, match=sentence):
        listed(given_files(str(tmp_path)))


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no such file or folder"):
        given_files(str(tmp_path / "none"))
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(PlanError, match="holds no sample file"):
        given_files(str(tmp_path))


def test_one_model_by_two_names() -> None:
    assert named_alike("124M", "small-117M")
    assert named_alike("gpt2-xl", "xl-1542M")
    assert not named_alike("355M", "small-117M")
    assert named_alike("mine", "mine")
    assert not named_alike("mine", "yours")


def test_checks_are_a_record() -> None:
    assert GivenChecks("m", "n", {}, 1, 1, 0, 0, 0, 0).rows == 1
