"""Texts that somebody has: whose they are, how they are dealt, and what is left out and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staged.corpus.build import write_documents
from staged.corpus.learned import text_words_digest
from staged.errors import CorpusError, PlanError
from staged.pipeline.stage import Inputs
from staged.progress import silent
from staged.records import HUMAN, Document
from staged.studies.detection.graph import study_stages
from staged.studies.detection.plan import StudySettings
from staged.studies.generators.given import GivenSamples
from staged.studies.generators.given_files import given_files, named_alike, read_given
from staged.studies.models import short_name
from tests.conftest import prose, put_json


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
    folder: Path, model: str, method: str, counts: dict[str, int], **others: str
) -> tuple[GivenSamples, Inputs]:
    """The study's own stage of one model's texts, made."""
    settings = StudySettings(
        models=(model, *others.values()),
        methods=(method,),
        **{f"n_{split}": count for split, count in counts.items()},
        lengths=(64,),
        samples=str(folder),
    )
    stages = study_stages(settings)
    made = stages.samples[short_name(model), method]
    assert isinstance(made, GivenSamples)
    human = folder.parent / "corpus"
    human.mkdir(exist_ok=True)
    passages = [Document("h", prose(900, 3), HUMAN, "s", "train")]
    write_documents(human / "passages.parquet", passages)
    whole = {"s": [text_words_digest(prose(901, 30))]}
    put_json(human / "documents.json", whole)
    place = folder.parent / f"made-{short_name(model)}"
    place.mkdir()
    inputs = {stages.corpus.name: human, made.name: place}
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
    kinds = read_given(str(folder)).kinds
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
    with pytest.raises(
        PlanError,
        match=r"hold \d texts of mine by unknown for \w+, the plan asks for \d; there are 4 in all",
    ):
        stage(tmp_path / "data", "mine", "unknown", {"train": 3, "valid": 2, "test": 1})


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
        read_given(str(tmp_path))


def test_who_is_in_neither(tmp_path: Path) -> None:
    put(tmp_path / "data" / "mine.jsonl", {"text": "a"})
    with pytest.raises(PlanError, match=r"no texts of bot by unknown.*they hold mine by unknown"):
        stage(tmp_path / "data", "bot", "unknown", {"train": 1, "valid": 1, "test": 1})
    put(tmp_path / "data" / "mine.jsonl")
    with pytest.raises(PlanError, match="hold no row"):
        read_given(str(tmp_path / "data"))


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


def test_our_own_sample_files_are_known_by_the_plans_names(tmp_path: Path) -> None:
    rows = [
        {"text": f" {prose(i, 2)}", "model": model, "method": "nucleus", "prompt": "Once"}
        for model in ("openai:org/far", "some/where/near")
        for i in range(9)
    ]
    for i, row in enumerate(rows):
        row["prompt"] = f"Once {i % 9}"
    put(tmp_path / "data" / "rows.jsonl", *rows)
    put(tmp_path / "data" / "rows.jsonl.blocks" / "000000000.jsonl", *rows)
    counts = {"train": 4, "valid": 2, "test": 3}
    far, inputs = stage(
        tmp_path / "data", "openai:org/far@http://127.0.0.1:8/v1", "nucleus", counts
    )
    assert far.checks(inputs).rows == 9
    assert not any(t.text.startswith(" ") for s in counts for t in far.texts(inputs, s))
    near, others = stage(tmp_path / "data", "near", "nucleus", counts)
    for split in counts:  # one prompt, one split, whoever answered it
        same = [
            {text.text for text in made.texts(i, split)}
            for made, i in ((far, inputs), (near, others))
        ]
        assert same[0] == same[1]


def test_a_human_document_whole_is_left_out(tmp_path: Path) -> None:
    rows = [{"text": prose(i, 2)} for i in range(3)] + [{"text": prose(901, 30)}]
    put(tmp_path / "data" / "mine.jsonl", *rows)
    made, inputs = stage(tmp_path / "data", "mine", "unknown", {"train": 1, "valid": 1, "test": 1})
    assert made.checks(inputs).human == 1


def test_samples_that_nobody_asked_for_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "data" / "rows.jsonl", *({"text": prose(i, 1), "model": "m"} for i in range(3)))
    put(tmp_path / "data" / "more.jsonl", {"text": "a", "model": "other", "method": "greedy"})
    stage(tmp_path / "data", "m", "unknown", {"train": 1, "valid": 1, "test": 1})
    assert "left out: other by greedy" in caplog.text


@pytest.mark.parametrize("method", ["../out", "top-p/0.9", ".."])
def test_a_method_is_no_path(tmp_path: Path, method: str) -> None:
    put(tmp_path / "rows.jsonl", {"text": "a", "method": method})
    with pytest.raises(PlanError, match="cannot be a folder's name"):
        read_given(str(tmp_path))


def test_a_released_size_by_another_name_brings_its_methods(tmp_path: Path) -> None:
    dataset(tmp_path, "small-117M-k40.train.jsonl", ["a"])
    assert read_given(str(tmp_path)).methods(("124M",)) == ("top-k-40",)


def test_one_prompt_for_all_says_so(tmp_path: Path) -> None:
    rows = [{"text": prose(i, 1), "prompt": "Once"} for i in range(30)]
    put(tmp_path / "data" / "mine.jsonl", *rows)
    with pytest.raises(PlanError, match="all 30 come from 1 prompts or sources"):
        stage(tmp_path / "data", "mine", "unknown", {"train": 3, "valid": 2, "test": 2})


def test_a_published_split_that_the_plan_asks_for_whole_is_taken_whole(tmp_path: Path) -> None:
    """A few of 250,000 texts of a model repeat each other; the plan asks for all of them."""
    folder = tmp_path / "data"
    texts = [prose(i, 2) for i in range(5)]
    dataset(folder, "small-117M.train.jsonl", [*texts, texts[0], ""])
    dataset(folder, "small-117M.valid.jsonl", [prose(7, 2), prose(8, 2), ""])
    dataset(folder, "small-117M.test.jsonl", [prose(9, 2)])
    made, inputs = stage(folder, "124M", "temperature-1", {"train": 7, "valid": 2, "test": 1})
    taken = [text.text for text in made.texts(inputs, "train")]
    assert sorted(taken) == sorted([*texts, texts[0], ""])
    checks = made.checks(inputs)
    assert checks.whole == ("train",)
    assert checks.empty == 2


def test_rows_of_another_set_are_never_taken_back(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": prose(i, 1), "split": "train"} for i in range(3)]
    rows += [rows[0], *({"text": prose(i, 1), "split": s} for i, s in ((8, "valid"), (9, "test")))]
    put(tmp_path / "data" / "mine.jsonl", *rows)
    with pytest.raises(PlanError, match=r"hold 3 texts of mine .* the plan asks for 4"):
        stage(tmp_path / "data", "mine", "unknown", {"train": 4, "valid": 1, "test": 1})
