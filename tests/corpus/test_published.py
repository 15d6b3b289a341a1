"""OpenAI's published human text: its splits and rows stay, and what lacks is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staged.corpus.build import CorpusSettings, build_passages, recorded, split_documents
from staged.corpus.passages import word_counts
from staged.errors import CorpusError

TEXTS = {
    "train": ["  One text.\n\nIts end.", "One text. Its end.", ""],
    "valid": ["b"],
    "test": ["c"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, texts in TEXTS.items():
        rows = "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts))
        (tmp_path / f"webtext.{split}.jsonl").write_text(rows)
    (tmp_path / "small-117M.train.jsonl").write_text('{"text": "a machine wrote this"}\n')
    return tmp_path


def test_splits_and_rows_are_the_published_ones(folder: Path) -> None:
    settings = CorpusSettings(str(folder), published=True)
    passages, counts = build_passages(split_documents(settings), settings, word_counts)
    assert [(p.split, p.text) for p in passages] == [
        ("train", "One text.\n\nIts end."),
        ("train", "One text. Its end."),
        ("train", ""),
        ("valid", "b"),
        ("test", "c"),
    ]
    assert counts.passages == {"train": 3, "valid": 1, "test": 1}
    assert counts.sources == counts.passages
    assert counts.removed.verbatim == 0


def test_only_where_a_plan_asks_for_it(folder: Path) -> None:
    documents = split_documents(CorpusSettings(str(folder)))
    assert any("a machine wrote this" in document.text for document in documents)
    assert "published" not in recorded(CorpusSettings(str(folder)))


def test_other_text_is_dealt_as_ever(human_folder: Path) -> None:
    plain, published = (CorpusSettings(str(human_folder), published=p) for p in (False, True))
    assert split_documents(plain) == split_documents(published)


def test_a_set_that_lacks_a_file_is_refused(folder: Path) -> None:
    (folder / "webtext.valid.jsonl").unlink()
    with pytest.raises(CorpusError, match=r"has no webtext\.valid\.jsonl; the human text"):
        split_documents(CorpusSettings(str(folder), published=True))


def test_text_that_nobody_has_named_is_asked_for() -> None:
    with pytest.raises(
        CorpusError, match=r"does not ship with staged; give .* --samples, .* --corpus"
    ):
        split_documents(CorpusSettings("webtext", published=True))
