"""What tests of several kinds of study stand on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from staged.cli import main


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs the command line in this process, expects exit code 2, and gives the one sentence."""

    def attempt(plan: Path, out: Path, *options: str) -> str:
        monkeypatch.setattr(
            sys, "argv", ["staged", "study", str(plan), "--out", str(out), *options]
        )
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        sentences = [
            line for line in capsys.readouterr().err.splitlines() if line.startswith("staged: ")
        ]
        assert len(sentences) == 1
        return sentences[0]

    return attempt
