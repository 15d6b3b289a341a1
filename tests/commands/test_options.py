"""No command takes an empty name for the current folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from staged.cli import app
from staged.commands.options.shared import refuse_no_names
from staged.errors import PlanError


def commands() -> Iterator[tuple[list[str], object]]:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        yield from (([name, one], sub) for one, sub in inner.items())
        if not inner:
            yield [name], command


def empties() -> Iterator[list[str]]:
    """Every command with every option that takes a value, and with an argument, empty."""
    for words, command in commands():
        for parameter in command.params:  # type: ignore[attr-defined]
            if parameter.param_type_name == "argument":
                yield [*words, ""]
            elif not parameter.is_flag and not set(parameter.opts) & {
                "--prompt",
                "--stop",
                "--help",
            }:
                yield [*words, parameter.opts[0], ""]
                yield [*words, f"{parameter.opts[0]}=  "]


@pytest.mark.parametrize("arguments", list(empties()), ids=" ".join)
def test_an_empty_value_is_refused_by_every_command(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.txt").write_text("The user's own.")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, PlanError), done.output
    assert "an empty name was given, perhaps by a variable that is not set" in str(done.exception)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]


def test_the_option_is_named() -> None:
    with pytest.raises(PlanError, match=r"^--out: an empty name"):
        refuse_no_names(["essay.txt", "--out", ""])
    with pytest.raises(PlanError, match=r"^an empty name"):
        refuse_no_names(["--json", "essay.txt", " "])


@pytest.mark.parametrize("value", ["a\0b", "x" * 256, "a/" * 2100])
def test_what_no_file_can_be_called_is_refused(value: str) -> None:
    for arguments in ([value], ["--out", value], [f"--out={value}"]):
        with pytest.raises(PlanError, match=r"holds a NUL|is longer than a file's name can be"):
            refuse_no_names(arguments)


def test_texts_may_be_anything() -> None:
    refuse_no_names(
        [
            "mini-s",
            "--prompt",
            "",
            "--stop=\n",
            "--stop",
            " ",
            "--prompt",
            "x" * 9999,
            "-",
            "--json",
            "é" * 127,
        ]
    )
