"""bench/train.py runs in one command, and both engines compute the same loss."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "train.py"
KEYS = {"workload", "model", "batch", "engine", "precision", "tokens_per_s", "ratio_to_best_peer"}
KEYS |= {"kl_from_fp32", "peak_memory_mb", "repeats"}


def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "train.json"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--threads", "1", "--out", out],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = json.loads(out.read_text())
    assert (ours["engine"], theirs["engine"]) == ("staged", "transformers")
    for row in (ours, theirs):
        assert set(row) >= KEYS
        low, high = row["tokens_per_s_range"]
        assert 0 < low <= row["tokens_per_s"] <= high
        assert row["repeats"] >= 5
        assert row["peak_memory_mb"] > 0
        assert row["engine"] in done.stdout
    assert theirs["ratio_to_best_peer"] == 1
    assert ours["ratio_to_best_peer"] == pytest.approx(
        ours["tokens_per_s"] / theirs["tokens_per_s"]
    )
    assert ours["first_loss"] == pytest.approx(theirs["first_loss"], abs=0.005)
