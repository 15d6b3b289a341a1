"""bench/watermark.py runs in one command and reports every scheme."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from staged.watermarks.contract import SCHEMES

SCRIPT = Path(__file__).parents[2] / "bench" / "watermark.py"


@pytest.mark.slow
def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "watermark.json"
    command = [sys.executable, SCRIPT, "--quick", "--repeats", "1", "--length", "3"]
    done = subprocess.run(
        [*command, "--threads", "1", "--out", out], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    schemes = {"staged": SCHEMES, "transformers": ("kgw", "synthid")}
    assert [(row["engine"], row["method"], row["scheme"]) for row in rows] == [
        (engine, method, scheme)
        for method in ("top-k-40", "top-p-0.9", "temperature-1")
        for engine in ("staged", "transformers")
        for scheme in schemes[engine]
    ]
    assert all(row["ratio"] > 0 and row["tokens_per_s"] > 0 for row in rows)
