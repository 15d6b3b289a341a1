"""bench/serve.py runs in one command, finds no error, and reports latency and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_short_run(tmp_path: Path) -> None:
    out = tmp_path / "new" / "serve.json"
    fake = f"{sys.executable} -m tests.web.fake {{port}}"
    command = [
        sys.executable,
        ROOT / "bench" / "serve.py",
        "--seconds",
        "1.5",
        "--clients",
        "4",
        "--command",
        fake,
        "--out",
        out,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["errors"] == 0
    assert found["requests"] >= found["examined"] > 0
    assert found["answers"]["200"] == found["examined"]
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]
    assert found["memory_before_mb"] > 10
    assert "p95_ms" in done.stdout
