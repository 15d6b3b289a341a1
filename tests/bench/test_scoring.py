"""bench/scoring.py runs in one command, and all engines compute the same score."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "scoring.py"
KEYS = {
    "workload",
    "model",
    "batch",
    "engine",
    "precision",
    "documents_per_s",
    "tokens_per_s",
    "ratio_to_best_peer",
}
KEYS |= {"peak_memory_mb", "repeats"}


@pytest.mark.slow
def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "scoring.json"
    command = [sys.executable, SCRIPT, "--quick", "--threads", "1", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    rows = {f"{row['engine']} {row['precision']}": row for row in json.loads(out.read_text())}
    assert list(rows) == ["staged fp32", "transformers fp32", "staged bf16", "transformers bf16"]
    for name, row in rows.items():
        assert set(row) >= KEYS
        low, high = row["documents_per_s_range"]
        assert 0 < low <= row["documents_per_s"] <= high
        assert row["repeats"] >= 5
        assert row["peak_memory_mb"] >= 0
        assert name.split()[0] in done.stdout
        assert row["score"] == pytest.approx(rows["staged fp32"]["score"], abs=0.05)
    assert (
        max(
            row["ratio_to_best_peer"]
            for name, row in rows.items()
            if name.startswith("transformers")
        )
        == 1
    )
    assert rows["transformers bf16"]["ratio_to_same_precision"] == 1
