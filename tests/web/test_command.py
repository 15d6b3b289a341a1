"""`staged serve` on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import PlanError, ServeError
from staged.web.serve import listen
from tests.web.fake import FakeExaminer

JUDGED = ("--calibration", "mine.json", "--device", "cpu")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[FakeExaminer]:
    """The examiners made; the server itself returns at once."""
    made: list[FakeExaminer] = []

    def examiner(name: str, *, fpr: float, calibration: Path | None, device: str) -> FakeExaminer:
        assert (calibration, device) == (Path("mine.json"), "cpu")
        made.append(FakeExaminer(name, fpr))
        return made[-1]

    monkeypatch.setitem(
        sys.modules, "staged.detectors.opening", SimpleNamespace(open_examiner=examiner)
    )  # type: ignore[arg-type]
    monkeypatch.setattr("staged.web.serve.run", lambda *_, **__: None)
    return made


def test_prints_where_it_serves(served: list[FakeExaminer]) -> None:
    result = CliRunner().invoke(
        app,
        [
            "serve",
            "--port",
            "0",
            "--detector",
            "likelihood",
            "--fpr",
            "0.05",
            "--root-path",
            "/d",
            *JUDGED,
        ],
    )
    assert result.exit_code == 0, result.output
    assert "serving at http://127.0.0.1:" in result.output
    assert "/ · Ctrl-C stops" in result.output
    assert (served[0].name, served[0].fpr) == ("likelihood", 0.05)


def test_port_in_use_is_said_before_anything_is_read(served: list[FakeExaminer]) -> None:
    with listen("127.0.0.1", 0) as sock:
        result = CliRunner().invoke(app, ["serve", "--port", str(sock.getsockname()[1])])
    assert isinstance(result.exception, ServeError)
    assert "choose another --port" in str(result.exception)
    assert served == []


@pytest.mark.parametrize(
    "options", [["--fpr", "0"], ["--fpr", "1"], ["--root-path", "d"], ["--root-path", "/d/"]]
)
def test_wrong_options(served: list[FakeExaminer], options: list[str]) -> None:
    assert isinstance(
        CliRunner().invoke(app, ["serve", "--port", "0", *options]).exception, PlanError
    )


def test_missing_extra_is_said(served: list[FakeExaminer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staged.web.NEEDED", ("fastapi", "no_such_library"))
    error = CliRunner().invoke(app, ["serve", "--port", "0"]).exception
    assert (
        str(error)
        == "staged serve needs no_such_library; install with: pip install 'staged[serve]'"
    )


def test_without_a_model_to_read_with_the_server_says_so_and_serves(
    served: list[FakeExaminer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        FakeExaminer,
        "load_scorer",
        lambda self: "texts are not shown word by word: no smollm2-135m",
    )
    result = CliRunner().invoke(app, ["serve", "--port", "0", *JUDGED])
    assert result.exit_code == 0, result.output
    assert "texts are not shown word by word: no smollm2-135m" in result.output
