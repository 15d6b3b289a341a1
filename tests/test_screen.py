"""What progress bars show."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from staged import __version__, cli
from staged.errors import PlanError
from staged.model.training.run import TrainStep
from staged.screen import count_progress, print_table, say, study_progress, train_progress

FIGURE = "0.691 [0.601, 0.768]"


def test_a_name_with_brackets_is_shown_whole(capfd: pytest.CaptureFixture[str]) -> None:
    with train_progress("mine [b]") as report:
        report(TrainStep(1, 2, 3.0, 3.5, 100.0, 1.0, 10.0))
    shown = capfd.readouterr().err
    assert "mine [b] step 1/2" in shown
    assert shown.count("mine [b]") == 1  # one line a validation, and not once more at the end


def refused_after(reports: int) -> None:
    with count_progress("texts") as progress:
        for done in range(1, reports + 1):
            progress(done, 3)
        raise PlanError("no")


def test_a_refusal_stands_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PlanError):
        refused_after(0)
    assert not capfd.readouterr().err.strip()
    with pytest.raises(PlanError):
        refused_after(1)
    assert "1/3" in capfd.readouterr().err
    with count_progress("texts"):
        pass  # a file that is there already
    assert not capfd.readouterr().err.strip()


def test_progress_in_a_file_is_whole_lines(capfd: pytest.CaptureFixture[str]) -> None:
    long, last = (
        "texts of a corpus whose name is longer than most terminals are wide, " * 2,
        "scores",
    )
    with count_progress("texts") as progress:
        for done in range(500):
            progress(done + 1, 500, long)
        for done in range(20):
            progress(done + 1, 20, last)
    assert capfd.readouterr().err.splitlines() == [f"{long} 500/500", "scores 20/20"]
    with train_progress("model " * 20) as report:
        for step in range(1, 9):
            report(TrainStep(step, 8, 3.0, 3.5 if step % 4 == 0 else None, 100.0, 1.0, 10.0))
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(":")[0].split()[-1] for line in lines] == ["4/8", "8/8"]
    stages = [SimpleNamespace(name=f"{name} " * 30, cost=1.0) for name in "ab"]
    with study_progress() as tell:
        for stage in stages:
            for share in (0.0, 0.5, 1.0):
                tell(stages, stage, share)
    assert capfd.readouterr().err.splitlines() == [
        f"[{i + 1}/2] {one.name}" for i, one in enumerate(stages)
    ]


def table_of(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> list[str]:
    shown = io.StringIO()
    monkeypatch.setattr(
        "staged.screen.screen",
        Console(file=shown, width=40, force_terminal=terminal, color_system=None),
    )
    print_table("a title", ("", *(f"column {i}" for i in range(6))), [("row", *[FIGURE] * 6)])
    return shown.getvalue().splitlines()


def test_a_table_in_a_file_is_as_wide_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert table_of(monkeypatch, terminal=False)[-2].count(FIGURE) == 6


def test_a_table_on_a_narrow_terminal_is_folded_and_not_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = table_of(monkeypatch, terminal=True)
    assert max(map(len, lines)) <= 40
    column = [line.split("│")[2] for line in lines if line.startswith("│")]
    assert "".join(column).replace(" ", "") == FIGURE.replace(" ", "")


def test_signs_that_the_output_cannot_hold(tiny: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "staged.cli", "convert", str(tiny), "mine…"]
    terminal = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=terminal, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, b"mine\\u2026: written\n")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "not enough memory; lower --batch"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:128] DefaultCPUAllocator: can't allocate memory:"
                " you tried"
            ),
            "not enough memory",
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory"),
    ],
)
def test_memory_that_has_run_out_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: Exception, says: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert says in capfd.readouterr().err.replace("\n", " ")


def test_another_fault_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        cli.main()


def test_names_cannot_command_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b]0;owned\x07\x9b31m\u202eb [c]"
    say(name)
    print_table(name, ("",), [(name,)])
    shown = capfd.readouterr().out
    assert not set("\x1b\x07\x9b\u202e") & set(shown)
    say("Screenshot at 9.41\u202fPM\u3000.png")
    assert "9.41\u202fPM\u3000.png" in capfd.readouterr().out
    assert shown.count("a\\x1b]0;owned\\x07\\x9b31m\\u202eb [c]") == 3


def test_the_version_is_said() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.stdout.strip()) == (0, __version__)
