"""Stages' folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.artifacts import build, is_complete
from staged.errors import PlanError


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
