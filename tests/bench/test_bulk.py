"""bench/bulk.py runs in one command; memory's growth is counted from where it says."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "bulk.py"


@pytest.mark.slow
def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "bulk.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *rates, memory = json.loads(out.read_text())
    assert [row["workers"] for row in rates] == [1, 2]
    assert all(row["texts_per_s"] > 0 for row in rates)
    assert rates[0]["efficiency"] == 1
    assert memory["driver_mb_growth"] == memory["driver_mb_most"] / memory["driver_mb_then"]
    assert memory["rows"] == 5000


def test_growth_is_from_the_first_looks_behind_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    looks = [(0, 900.0), *((texts, 100.0 + texts) for texts in range(10, 40))]
    grown = importlib.import_module("bulk").growth(looks, 10, "mb")
    assert grown == {"mb_then": 114.5, "mb_most": 139.0, "mb_growth": 139 / 114.5}
