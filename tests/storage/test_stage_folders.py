"""Stages' folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.errors import ArtifactError, PlanError
from staged.storage.json_files import read_json
from staged.storage.marks import CHECKPOINT, MANIFEST, MARK, temporary_of, write_mark
from staged.storage.stage_folders import build, is_complete


def refuse(partial: Path) -> None:
    raise PlanError("no")


def test_what_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(PlanError):
        build(tmp_path / "a" / "b" / "stage", refuse, settings={})
    assert not list(tmp_path.iterdir())


def test_what_was_there_before_a_refusal_stays(tmp_path: Path) -> None:
    def begin(partial: Path) -> None:
        (partial / "piece").write_text("made", encoding="utf-8")
        refuse(partial)

    (tmp_path / "a").mkdir()
    with pytest.raises(PlanError):
        build(tmp_path / "a" / "stage", refuse, settings={})
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    with pytest.raises(PlanError):
        build(tmp_path / "a" / "stage", begin, settings={})
    assert (tmp_path / "a" / "stage.partial" / "piece").is_file()
    build(tmp_path / "a" / "stage", lambda partial: None, settings={})
    assert is_complete(tmp_path / "a" / "stage")
    assert (tmp_path / "a" / "stage" / "piece").is_file()


@pytest.mark.parametrize("place", [".", "..", "/"])
def test_a_place_without_a_name_is_refused(place: str) -> None:
    with pytest.raises(ArtifactError, match="give it a name"):
        build(Path(place), lambda partial: None, settings={})


def test_what_a_writer_continues_from_is_kept_until_the_rest_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(partial: Path) -> None:
        (partial / "piece").write_text("made", encoding="utf-8")
        (partial / CHECKPOINT).write_text("half", encoding="utf-8")

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("staged.storage.stage_folders._sums", killed)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "stage", write, settings={})
    assert (tmp_path / "stage.partial" / CHECKPOINT).is_file()
    build(tmp_path / "stage", write, settings={})
    assert {path.name for path in (tmp_path / "stage").iterdir()} == {"piece", "manifest.json"}
    assert list(read_json(tmp_path / "stage" / "manifest.json")["files"]) == ["piece"]


def test_killed_while_its_manifest_is_written_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    def write(partial: Path) -> None:
        (partial / "piece").write_text("made", encoding="utf-8")

    build(tmp_path / "whole", write, settings={})
    build(tmp_path / "stage", write, settings={})
    (tmp_path / "stage").rename(tmp_path / "stage.partial")
    manifest = tmp_path / "stage.partial" / MANIFEST
    manifest.rename(temporary_of(manifest))  # as SIGKILL leaves it
    write_mark(tmp_path / "stage.partial" / MARK, {"settings": {}, "inputs": {}})
    assert build(tmp_path / "stage", write, settings={})
    made = {path.name: path.read_bytes() for path in (tmp_path / "stage").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
