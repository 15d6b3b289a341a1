"""Files and folders as a user has them: a folder for results that holds other things, CSV files of
a spreadsheet, rows of only a text and a label.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import ArtifactError, CorpusError
from tests.conftest import plug
from tests.raid.raid_files import Stub


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, "stub", lambda: Stub())


def own_file(
    path: Path, *, between: str = ",", encoding: str = "utf-8", word: str = "word"
) -> Path:
    """A table of a text and a label, as a spreadsheet exports it."""
    stream = random.Random(1)
    rows = [("text", "label")]
    for label, mean in (("human", 0), ("machine", 3)):
        rows += [(f"{word}, {stream.gauss(mean, 1):.2f}", label) for _ in range(80)]
    lines = [f'"{text}"{between}{label}' for text, label in rows]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    return path


def evaluated(file: Path, *options: str) -> str:
    """What `staged evaluate` prints."""
    result = CliRunner().invoke(app, ["evaluate", str(file), "--detector", "stub", *options])
    if result.exception:
        raise result.exception
    return result.stdout


class TestFolder:
    @pytest.mark.parametrize("command", ["evaluate", "raid"])
    def test_a_folder_of_other_files_is_left_alone(self, tmp_path: Path, command: str) -> None:
        own = tmp_path / "prose"
        (own / "drafts").mkdir(parents=True)
        (own / "drafts" / "a.txt").write_text("mine")
        (own / "b.txt").write_text("mine too")
        file = own_file(tmp_path / "rows.csv")
        caught = CliRunner().invoke(
            app, [command, str(file), "--detector", "stub", "--out", str(own)]
        )
        assert isinstance(caught.exception, ArtifactError)
        assert "prose: holds b.txt and 1 more, and nothing here was made" in str(caught.exception)
        assert sorted(path.name for path in own.iterdir()) == ["b.txt", "drafts"]

    def test_an_empty_folder_is_filled_and_an_earlier_runs_is_continued(
        self, tmp_path: Path
    ) -> None:
        file, out = own_file(tmp_path / "rows.csv"), tmp_path / "out"
        out.mkdir()
        (out / ".DS_Store").write_text("")
        (out / "..staged.json.staged-tmp").write_text("{")  # killed while it wrote its mark
        first = evaluated(file, "--out", str(out))
        (out / "notes.txt").write_text("what I think of it")
        assert (
            evaluated(file, "--out", str(out), "--fpr", "0.05").splitlines()[-1]
            == (first.splitlines()[-1])
        )
        named = first.splitlines()[-1].split(": ")[-1].split(", ")
        assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
            *named,
            "notes.txt",
        }

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "e1.jsonl").write_text("mine")
        with pytest.raises(ArtifactError, match=r"e1\.jsonl: is a file; give a folder"):
            evaluated(own_file(tmp_path / "rows.csv"), "--out", str(tmp_path / "e1.jsonl"))
        assert (tmp_path / "e1.jsonl").read_text() == "mine"


class TestSpreadsheet:
    def test_semicolons_are_read_as_commas_are(self, tmp_path: Path) -> None:
        """As a spreadsheet saves them where the comma is decimal."""
        tables = [
            evaluated(own_file(tmp_path / folder / "rows.csv", between=between)).splitlines()[1:]
            for folder, between in (("a", ","), ("b", ";"))
        ]
        assert tables[0] == tables[1]

    @pytest.mark.parametrize("word", ["café", "naïve, très"])
    def test_latin_1_is_said(self, tmp_path: Path, word: str) -> None:
        file = own_file(tmp_path / "rows.csv", encoding="latin-1", word=word)
        with pytest.raises(CorpusError, match=r"rows\.csv: its text is not UTF-8, .*; save it as"):
            evaluated(file)

    def test_a_heading_in_latin_1_is_said(self, tmp_path: Path) -> None:
        file = own_file(tmp_path / "rows.csv")
        file.write_bytes(b"caf\xe9,text,label\r\nx,y 1,human\r\n")
        with pytest.raises(CorpusError, match="save it as UTF-8"):
            evaluated(file)


def broken_down_by(shown: str) -> set[str]:
    """First cells of the tables' rows."""
    cells = (line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│"))
    return {cell for cell in cells if cell}


def test_only_the_columns_of_a_file_are_broken_down_by(tmp_path: Path) -> None:
    file = own_file(tmp_path / "rows.csv")
    assert broken_down_by(evaluated(file)) == {"overall"}
    lines = file.read_text(encoding="utf-8").splitlines()
    names = ["domain", *(["news", "law"] * len(lines))]
    rows = [f"{line},{name}" for line, name in zip(lines, names, strict=False)]
    file.write_text("\n".join(rows), encoding="utf-8")
    assert broken_down_by(evaluated(file)) == {"overall", "domain"}
