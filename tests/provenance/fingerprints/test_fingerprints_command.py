"""staged fingerprints: a log from the command line."""

from __future__ import annotations

import datetime
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import CorpusError, PlanError, ProvenanceError
from tests.provenance.fingerprints.conftest import PASSWORD
from tests.provenance.fingerprints.test_log import edited, words


def staged(*arguments: object, given: str | None = None) -> str:
    """What `staged fingerprints` prints."""
    result = CliRunner().invoke(app, ["fingerprints", *map(str, arguments)], input=given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def texts(tmp_path: Path) -> tuple[Path, Path]:
    """A text, and rows of which one is too short and one names its own model."""
    text, rows = tmp_path / "text.txt", tmp_path / "rows.jsonl"
    text.write_text(words(1))
    lines: list[dict[str, Any]] = [{"text": words(2), "model": "124M"}, {"text": words(3)}]
    rows.write_text("".join(json.dumps(row) + "\n" for row in [*lines, {"text": "short"}]))
    return text, rows


def test_a_logs_life(address: str, texts: tuple[Path, Path], tmp_path: Path, keys: Path) -> None:
    text, rows = texts
    log = ("--log", address)
    made = staged("add", text, rows, *log, "--model", "mini-s", "--key", "alpha")
    assert "3 texts added" in made
    assert "1 text of fewer than 20 words left out" in made
    shown = json.loads(staged("status", *log, "--json"))
    assert (shown["texts"], shown["models"]) == (3, {"mini-s": 2, "124M": 1})
    assert Path(shown["secret"]).parent == keys / ".fingerprints"
    assert "mini-s" in staged("status", *log)
    (match,) = json.loads(staged("find", "-", *log, "--json", given=words(2)))["matches"]
    assert (match["similarity"], match["model"], match["key"]) == (1.0, "124M", "alpha")
    assert re.search(r"0\.\d\d +│ +mini-s", staged("find", "-", *log, given=edited(words(1), 2)))
    assert "nothing in" in staged("find", "-", *log, given=words(9))
    assert "1 row deleted" in staged("delete", *log, "--id", match["id"])
    assert "0 rows deleted" in staged("delete", *log, "--text", "-", given=edited(words(1), 1))
    loosely = ("delete", *log, "--text", "-", "--threshold", 0.6)
    assert "1 row deleted" in staged(*loosely, given=edited(words(1), 1))
    today = datetime.datetime.now(datetime.UTC).date()
    assert "0 rows deleted" in staged("delete", *log, "--before", today)
    assert "0 rows deleted" in staged("prune", *log, "--keep-days", 1)
    assert "1 row deleted" in staged("prune", *log, "--keep-days", 0)
    assert f": {0} texts" in staged("status", *log)
    assert PASSWORD not in staged("status", *log) + staged("status", *log, "--json")


def test_the_log_of_the_environment(
    texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PlanError, match="give --log FILE, or set STAGED_FINGERPRINTS"):
        staged("status")
    monkeypatch.setenv("STAGED_FINGERPRINTS", str(tmp_path / "log.db"))
    staged("add", texts[0])
    assert "(not named)" in staged("status")


def test_what_is_given_wrongly_makes_no_log(
    texts: tuple[Path, Path], tmp_path: Path, keys: Path
) -> None:
    log = ("--log", tmp_path / "log.db")
    arguments: tuple[object, ...]
    for arguments in (
        ("find", texts[0]),
        ("status",),
        ("delete", "--id", 1),
        ("prune", "--keep-days", 1),
    ):
        with pytest.raises(ProvenanceError, match="no fingerprint log is there"):
            staged(*arguments, *log)
    for arguments in ((), ("--id", 1, "--text", "-"), ("--text", "-", "--before", "2026-01-01")):
        with pytest.raises(PlanError, match="give one of --id, --text and --before"):
            staged("delete", *arguments, *log)
    with pytest.raises(PlanError, match="--before 'today'"):
        staged("delete", "--before", "today", *log)
    with pytest.raises(CorpusError, match="cannot be read"):
        staged("add", texts[0], tmp_path / "no.txt", *log)
    assert not (tmp_path / "log.db").exists()
    assert not keys.exists()


def test_without_the_extra_commands_say_so(
    texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in list(sys.modules):
        if module.startswith(("sqlalchemy", "staged.provenance.fingerprints.")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    for arguments in (("add", texts[0]), ("find", texts[0]), ("status",)):
        with pytest.raises(ProvenanceError, match=re.escape("pip install 'staged[provenance]'")):
            staged(*arguments, "--log", tmp_path / "log.db")
