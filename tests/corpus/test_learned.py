"""What something learned from is known again, wherever it lies and whatever it is called."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.corpus.build import CorpusSettings, split_documents, write_documents
from staged.corpus.embedded import sotu
from staged.corpus.files import read_corpus
from staged.corpus.learned import (
    Learned,
    digests_by_source,
    merged,
    model_learned,
    read_learned,
    text_words_digest,
    write_learned,
)
from staged.detectors.calibration.fit import note_taught_corpora, refuse_taught
from staged.detectors.kinds.tfidf import train_tfidf
from staged.errors import ArtifactError, CorpusError, PlanError
from staged.model.checkpoints import model_folder
from staged.records import MACHINE
from staged.storage.json_files import read_json
from staged.studies.detection.study import refuse_learned
from tests.conftest import prose, put_json


def copied(folder: Path, to: Path) -> str:
    return str(shutil.copytree(folder, to))


def linked(folder: Path, to: Path) -> str:
    to.symlink_to(folder)
    return str(to)


def subset(folder: Path, to: Path) -> str:
    to.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        if number % 2:
            shutil.copy(path, to / f"other-{number}.md")
    return str(to)


def as_rows(folder: Path, to: Path) -> str:
    rows = [
        {"text": one.text.replace("\n", " ").upper(), "source": f"s{i}"}
        for i, one in enumerate(read_corpus(str(folder)))
    ]
    to.with_suffix(".jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    return str(to.with_suffix(".jsonl"))


WAYS: list[Callable[[Path, Path], str]] = [copied, linked, subset, as_rows]


@pytest.fixture
def model(tmp_path: Path, tiny: Path, human_folder: Path) -> Path:
    """A model whose record says that it learned from the `pretrain` split of a corpus."""
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    settings = CorpusSettings(source=str(human_folder))
    taught = [one for one in split_documents(settings) if one.split == "pretrain"]
    record = {
        "sources": sorted(one.source for one in taught),
        "settings": {"corpus": {"source": settings.source}},
    }
    put_json(
        folder / "training.json",
        record | {"texts": sorted(text_words_digest(one.text) for one in taught)},
    )
    return folder


def test_the_plan_that_it_was_trained_by_is_not_refused(
    model: Path, human_folder: Path, tmp_path: Path
) -> None:
    refuse_learned([str(model)], CorpusSettings(source=str(human_folder)))
    refuse_learned(["mini-s", "mini-xl", "roberta-mini"], CorpusSettings())
    other = tmp_path / "other"
    other.mkdir()
    for number in range(12):
        (other / f"{number:02d}.txt").write_text(
            prose(5000 + number, 20)
        )  # names that the record has too
    refuse_learned([str(model)], CorpusSettings(source=str(other)))


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_corpus_is_recognised(
    model: Path, human_folder: Path, tmp_path: Path, way: Callable[[Path, Path], str]
) -> None:
    with pytest.raises(
        PlanError, match=r"learned from \d+ sources that this plan tests against, such as"
    ):
        refuse_learned(
            [str(model)], CorpusSettings(source=way(human_folder, tmp_path / "copy"), seed=7)
        )


def test_an_embedded_corpus_saved_as_files_is_recognised(tmp_path: Path) -> None:
    """The shipped models' records are older than digests: their texts are still there to compare
    with.
    """
    assert "texts" not in read_json(model_folder("mini-s") / "training.json")
    for one in sotu()[::6]:
        (tmp_path / f"{one.id}.md").write_text(one.text, encoding="utf-8")
    with pytest.raises(PlanError, match="model 'mini-s' learned from"):
        refuse_learned(["mini-s"], CorpusSettings(source=str(tmp_path)))


def test_an_older_record_knows_a_copy_by_its_names(
    model: Path, human_folder: Path, tmp_path: Path
) -> None:
    record = read_json(model / "training.json")
    del record["texts"]
    put_json(model / "training.json", record)
    with pytest.raises(PlanError, match="learned from"):
        refuse_learned(
            [str(model)], CorpusSettings(source=copied(human_folder, tmp_path / "copy"), seed=7)
        )


def test_a_text_that_stands_twice_in_a_corpus_is_no_leak(tmp_path: Path, tiny: Path) -> None:
    """What `pretrain` has too is dropped from the tests when passages are made."""
    human = tmp_path / "human"
    human.mkdir()
    for number in range(24):
        (human / f"{number:02d}.txt").write_text(prose(number % 12, 30))
    settings = CorpusSettings(source=str(human))
    taught = [one for one in split_documents(settings) if one.split == "pretrain"]
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    learned = Learned(
        settings.source,
        frozenset(one.source for one in taught),
        frozenset(text_words_digest(one.text) for one in taught),
    )
    put_json(
        folder / "training.json",
        learned.record() | {"settings": {"corpus": {"source": settings.source}}},
    )
    refuse_learned([str(folder)], settings)


def test_a_damaged_record_is_said(tmp_path: Path) -> None:
    for name, read in (("learned.json", read_learned), ("training.json", model_learned)):
        (tmp_path / name).write_text('{"sources": 3}')
        with pytest.raises(ArtifactError, match=rf"{name}: does not say"):
            read(tmp_path)
    assert read_learned(tmp_path / "none") is None
    assert model_learned(tmp_path / "none") is None


@pytest.fixture
def detector(tmp_path: Path, human_folder: Path) -> Path:
    """As training leaves it: it knows half of a corpus."""
    corpus, folder = tmp_path / "stage", tmp_path / "detector"
    corpus.mkdir()
    folder.mkdir()
    documents = read_corpus(str(human_folder))
    put_json(corpus / "documents.json", digests_by_source(documents))
    write_learned(folder, documents[:20], {corpus: str(human_folder)})
    machine = [
        replace(one, text=prose(number, 60), label=MACHINE)
        for number, one in enumerate(documents[:20])
    ]
    train_tfidf([*documents[:20], *machine], [*documents[:4], *machine[:4]]).save(folder)
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_calibrate_refuses_texts_that_taught_the_detector(
    detector: Path, human_folder: Path, tmp_path: Path, way: Callable[[Path, Path], str]
) -> None:
    place = way(human_folder, tmp_path / "copy")
    done = CliRunner().invoke(
        app,
        [
            "calibrate",
            "--human",
            place,
            "--detector",
            str(detector),
            "--out",
            str(tmp_path / "c.json"),
        ],
    )
    assert isinstance(done.exception, CorpusError)
    assert not (tmp_path / "c.json").exists()
    with pytest.raises(
        CorpusError, match=r"\d+ of the human texts taught the detector .*; leave these out"
    ):
        refuse_taught(str(detector), read_corpus(place))


def test_passages_of_a_known_source_are_known_and_other_texts_are_not(
    detector: Path, human_folder: Path, tmp_path: Path
) -> None:
    documents = read_corpus(str(human_folder))
    write_documents(tmp_path / "passages.parquet", documents[18:])
    with pytest.raises(
        CorpusError,
        match=r"^2 of the human texts .*: passages.parquet:1, passages.parquet:2; leave",
    ):
        refuse_taught(str(detector), read_corpus(str(tmp_path / "passages.parquet")))
    refuse_taught(str(detector), documents[20:])
    refuse_taught("evidence", documents)


def test_a_corpus_stage_of_an_older_version_gives_names_alone(
    tmp_path: Path, human_folder: Path
) -> None:
    documents = read_corpus(str(human_folder))
    write_learned(tmp_path, documents, {tmp_path / "stage": str(human_folder)})
    learned = read_learned(tmp_path)
    assert learned is not None
    assert learned.sources == {one.source for one in documents}
    assert not learned.texts
    assert len(learned.among(documents)) == 40


def test_what_only_chose_may_calibrate_and_what_taught_may_not(
    tmp_path: Path, human_folder: Path
) -> None:
    documents = read_corpus(str(human_folder))
    taught, chose, others = documents[:6], documents[6:10], documents[10:]
    put_json(tmp_path / "documents.json", digests_by_source(documents))
    write_learned(tmp_path, taught, {tmp_path: str(human_folder)}, chose=chose)
    learned = read_learned(tmp_path)
    assert learned is not None
    assert learned.record() == read_json(tmp_path / "learned.json")
    named = str(human_folder)
    assert learned.among(documents, named) == [*taught, *chose]
    assert learned.taught.among(documents, named) == taught
    refuse_taught(str(tmp_path), [*chose, *others])
    with pytest.raises(CorpusError, match=r"^4 of the human texts taught"):
        refuse_taught(str(tmp_path), [*chose, *others], or_chose=True)
    with pytest.raises(CorpusError, match=rf"^1 of the human texts .*: {taught[3].id}; leave"):
        refuse_taught(str(tmp_path), [*chose, taught[3]])


def test_a_text_that_taught_and_chose_taught(tmp_path: Path, human_folder: Path) -> None:
    documents = read_corpus(str(human_folder))
    again = [replace(documents[0], id="again", source="again")]
    put_json(tmp_path / "documents.json", digests_by_source([*documents, *again]))
    write_learned(tmp_path, documents[:6], {tmp_path: ""}, chose=again)
    with pytest.raises(CorpusError, match=r"^1 of the human texts .*: again; leave"):
        refuse_taught(str(tmp_path), again)


def test_passages_without_a_name_are_known_by_their_words(
    tmp_path: Path, human_folder: Path
) -> None:
    documents = read_corpus(str(human_folder))
    passages = [
        replace(one, text=one.text[: len(one.text) // 2], id=f"{one.id}#0001") for one in documents
    ]
    put_json(tmp_path / "documents.json", digests_by_source(documents))
    write_learned(tmp_path, passages[:6], {tmp_path: ""}, chose=passages[6:9], with_texts=True)
    unnamed = [replace(one, id=str(i), source=str(i)) for i, one in enumerate(passages)]
    with pytest.raises(CorpusError, match=r"^6 of the human texts .*: 0, 1, 2 …; leave"):
        refuse_taught(str(tmp_path), unnamed)


def test_a_record_that_does_not_tell_them_apart_counts_whole(detector: Path) -> None:
    learned = read_learned(detector)
    assert learned is not None
    assert learned.chose is None
    assert learned.taught is learned
    put_json(detector / "learned.json", learned.record() | {"chose": 3})
    with pytest.raises(ArtifactError, match=r"learned.json: does not say"):
        read_learned(detector)


def test_what_an_ensembles_members_learned_counts(detector: Path) -> None:
    one = Learned("a", frozenset({"x"}), frozenset({"1"}))
    assert merged([one, None, read_learned(detector)]).sources > {"x", "00.txt"}
    assert merged([one, None]) == one
    assert merged([]) == Learned()


def test_a_corpus_that_taught_a_shipped_detector_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    note_taught_corpora("evidence", ("sotu", None, "my-texts"))
    (said,) = [one.getMessage() for one in caplog.records]
    assert said.startswith("sotu: a part of it taught the detector 'evidence'")
