"""Damaged Word files end as a text or an expected error, in little time and memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.files.word_mutated import survive


def test_two_thousand_damaged_files() -> None:
    ends = survive(seed=20, number=2_000)
    assert ends["opened"] > 500
    assert sum(ends.values()) == 2_000


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_hundred_thousand_damaged_files(seed: int) -> None:
    """With the memory that the reader has, and no file to write to."""
    command = [sys.executable, "-m", "tests.files.word_mutated", str(seed), "25000"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (0, "")
