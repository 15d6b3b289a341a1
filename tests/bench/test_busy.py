"""bench/busy.py runs in one command and ends its neighbours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "busy.py"


@pytest.mark.slow
def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "busy.json"
    command = [
        sys.executable,
        SCRIPT,
        "--quick",
        "--repeats",
        "1",
        "--neighbours",
        "1",
        "--out",
        out,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    assert [(row["workload"], row["wait"]) for row in rows] == [
        *(("sample", "passive"), ("sample", "active"), ("score", "passive"), ("score", "active"))
    ]
    for row in rows:
        assert row["ratio"] == row["beside_s"] / row["alone_s"] > 0
        assert row["alone_s_range"][0] <= row["alone_s"] <= row["alone_s_range"][1]
