"""What progress bars show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from staged.errors import PlanError
from staged.model.train import Progress
from staged.screen import count_progress, train_progress


def test_a_name_with_brackets_is_shown_whole(capfd: pytest.CaptureFixture[str]) -> None:
    with train_progress("mine [b]") as report:
        report(Progress(1, 2, 3.0, 3.5, 100.0, 1.0, 10.0))
    shown = capfd.readouterr().err
    assert "mine [b] step 1/2" in shown
    assert shown.count("mine [b]") == 2


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


def test_signs_that_the_output_cannot_hold(tiny: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "staged.cli", "convert", str(tiny), "mine…"]
    terminal = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=terminal, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, b"mine\\u2026: written\n")
