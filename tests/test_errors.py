"""Errors of other libraries as one sentence, and one sentence of ours at every command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import first_line


def test_first_line_of_what_an_error_says() -> None:
    assert first_line(ValueError("\ndamaged\nat byte 7")) == "damaged"
    assert first_line(EOFError()) == "EOFError"


@pytest.mark.parametrize(
    "command",
    [["bias", "mini-s"], ["survey", "make", "mini-s"], ["sample", "mini-s"], ["detect", "-"]],
)
def test_an_unknown_device_is_said_by_every_command_that_takes_one(
    command: list[str], tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "out.jsonl")]
    result = CliRunner().invoke(app, [*command, "--device", "tpu", *out], input="a text")
    assert "device 'tpu'; choose" in str(result.exception)
    assert not list(tmp_path.iterdir())
