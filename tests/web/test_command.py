"""`staged serve` on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import PlanError, ServeError, StagedError
from staged.keys.ring import new_key, open_key
from staged.web.serve import listen
from tests.web.fake import FakeExaminer

JUDGED = ("--calibration", "mine.json", "--device", "cpu")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[FakeExaminer]:
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
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "keys"))
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


def test_a_model_that_writes_is_served_with_its_marks(served: list[FakeExaminer]) -> None:
    new_key("alpha")
    command = ["serve", "--port", "0", *JUDGED, "--generate", "mini-s"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "mini-s writes at /v1/completions; nothing that it writes is marked" in result.output
    result = CliRunner().invoke(app, [*command, "--watermark", "gumbel-dual", "--key", "alpha"])
    assert result.exit_code == 0, result.output
    assert "key alpha marks and signs every text, by gumbel-dual" in flat(result.output)
    assert "reports are signed by key alpha" in flat(result.output)
    [use] = open_key("alpha").uses
    assert use.scheme == "gumbel-dual"
    result = CliRunner().invoke(app, [*command, "--key", "alpha"])
    assert "nothing that it writes is marked; key alpha signs every text" in flat(result.output)
    new_key("beta", purposes=["watermark"])
    result = CliRunner().invoke(app, [*command, "--watermark", "kgw", "--key", "beta"])
    assert "key beta marks every text, by kgw" in flat(result.output)
    assert "reports" not in result.output


def test_fingerprints_of_what_is_written_are_kept(
    served: list[FakeExaminer], tmp_path: Path
) -> None:
    command = ["serve", "--port", "0", *JUDGED, "--generate", "mini-s", "--keep-days", "30"]
    place = tmp_path / "log.sqlite"
    result = CliRunner().invoke(app, [*command, "--fingerprints", str(place)])
    assert result.exit_code == 0, result.output
    assert "a fingerprint of every text is kept in" in flat(result.output)
    assert place.is_file()


def flat(output: str) -> str:
    return " ".join(output.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--watermark", "gumbel-dual", "--key", "alpha"], "name the model"),
        (["--generate", "mini-s", "--watermark", "gumbel-dual"], "needs --key"),
        (["--generate", "mini-s", "--watermark", "gumble", "--key", "alpha"], "gumbel"),
        (["--generate", "mini-s", "--watermark", "gumbel", "--key", "beta"], "beta"),
        (["--watermark-detector", "closed"], "verdict-only"),
        (["--key", "beta"], "beta"),
        (["--fingerprints", "log.sqlite"], "name the model"),
        (["--signpost", "https://a.example"], "name the model"),
        (["--generate", "mini-s", "--keep-days", "30"], "--fingerprints"),
    ],
)
def test_marks_that_cannot_be(served: list[FakeExaminer], options: list[str], message: str) -> None:
    new_key("alpha")
    error = CliRunner().invoke(app, ["serve", "--port", "0", *JUDGED, *options]).exception
    assert isinstance(error, StagedError)
    assert message in str(error)
