"""bench/detect.py runs in one command and says how each reader compares with the detector of
before.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "detect.py"


@pytest.mark.slow
def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "detect.json"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--threads", "1", "--out", out],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    *readers, command = json.loads(out.read_text())
    assert [row["reader"] for row in readers] == ["words", "all", "evidence-2026-11"]
    for row in readers:
        low, high = row["words_per_s_range"]
        assert 0 < low <= row["words_per_s"] <= high
        assert row["repeats"] == 2
        assert row["peak_memory_mb"] > 0
        assert row["reader"] in done.stdout
    assert readers[-1]["ratio"] == 1
    assert min(command["cold_s"], command["warm_s"]) > 0


def test_a_row_is_of_all_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    turns = [
        {"seconds": [1.0, 2.0], "peak_memory_mb": 3},
        {"seconds": [4.0, 5.0], "peak_memory_mb": 2},
    ]
    made = importlib.import_module("detect").row("all", turns, 20, 2)
    assert (made["repeats"], made["peak_memory_mb"]) == (4, 3)
    assert made["words_per_s_range"] == [4, 20]
    assert made["words_per_s"] == 7.5
