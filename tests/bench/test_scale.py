"""bench/scale.py runs in one command and writes a row for each engine, number of workers and kind of
block.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "scale.py"


@pytest.mark.slow
def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "scale.json"
    command = [sys.executable, SCRIPT, "engines", "--quick", "--repeats", "1", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    assert json.loads(done.stdout) == rows
    assert [(row["engine"], row["workers"], row["block"]) for row in rows] == [
        (engine, workers, block)
        for engine in ("local", "ray")
        for workers in (1, 2)
        for block in ("nothing", "file")
    ]
    for row in rows:
        assert row["blocks_per_s"] > 0
        first = next(
            other
            for other in rows
            if (other["engine"], other["workers"], other["block"])
            == (row["engine"], 1, row["block"])
        )
        assert row["ratio_to_one"] == row["blocks_per_s"] / first["blocks_per_s"]
