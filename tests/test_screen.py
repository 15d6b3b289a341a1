"""What progress bars show."""

from __future__ import annotations

import pytest

from staged.model.train import Progress
from staged.screen import train_progress


def test_a_name_with_brackets_is_shown_whole(capfd: pytest.CaptureFixture[str]) -> None:
    with train_progress("mine [b]") as report:
        report(Progress(1, 2, 3.0, 3.5, 100.0, 1.0, 10.0))
    shown = capfd.readouterr().err
    assert "mine [b] step 1/2" in shown
    assert shown.count("mine [b]") == 2
