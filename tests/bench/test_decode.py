"""bench/decode.py runs in one command and reports every engine that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from staged.model.fast import bf16_is_native, int8_is_native

SCRIPT = Path(__file__).parents[2] / "bench" / "decode.py"
KEYS = {"workload", "model", "batch", "engine", "precision", "tokens_per_s", "ratio_to_best_peer"}
KEYS |= {"kl_from_fp32", "peak_memory_mb", "repeats"}
ENGINES = [
    "staged fp32",
    "transformers bf16",
    *(["staged bf16"] if bf16_is_native() else []),
    *(["staged int8"] if int8_is_native() else []),
]


def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "decode.json"
    chosen = [word for name in ENGINES for word in ("--engine", name)]
    command = [sys.executable, SCRIPT, "--quick", "--threads", "1", "--batch", "2", "--out", out, *chosen]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    assert [f"{row['engine']} {row['precision']}" for row in rows] == ENGINES
    for row in rows:
        assert set(row) >= KEYS
        assert row["error"] is None
        low, high = row["tokens_per_s_range"]
        assert 0 < low <= row["tokens_per_s"] <= high
        assert row["repeats"] == 5
        assert row["peak_memory_mb"] > 0
        assert row["kl_from_fp32"] == pytest.approx(0, abs=1e-3)
    by_name = dict(zip(ENGINES, rows, strict=True))
    assert by_name["transformers bf16"]["ratio_to_best_peer"] == 1
    assert by_name["staged fp32"]["kl_from_fp32"] == 0
    assert by_name["transformers bf16"]["kl_from_fp32"] > 0
