"""bench/decode.py runs in one command and reports every engine that is installed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from staged.model.gpt2.packed_linear import bf16_is_native, int8_is_native

SCRIPT = Path(__file__).parents[2] / "bench" / "decode.py"
PATHS = {"PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), *sys.path])}
KEYS = {"workload", "model", "batch", "engine", "precision", "tokens_per_s", "ratio_to_best_peer"}
KEYS |= {"kl_from_fp32", "peak_memory_mb", "repeats"}
ENGINES = [
    "staged fp32",
    "transformers bf16",
    *(["staged bf16"] if bf16_is_native() else []),
    *(["staged int8"] if int8_is_native() else []),
]


@pytest.mark.slow
def test_quick_run_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "decode.json"
    chosen = [word for name in ENGINES for word in ("--engine", name)]
    command = [
        sys.executable,
        SCRIPT,
        "--quick",
        "--threads",
        "1",
        "--batch",
        "2",
        "--out",
        out,
        *chosen,
    ]
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


LARGE_PARENT = """
import mmap, sys
from pathlib import Path
from dataclasses import replace
import decode
held = mmap.mmap(-1, 3 * 10**9)
for _ in range(30):
    held.write(b"x" * 10**8)
work = replace(decode.QUICK, repeats=1, threads=1)
decode.write_model(Path(sys.argv[1]), work.shape)
found = decode.measure(work, Path(sys.argv[1]), 1, ["staged fp32"])
print(found["staged fp32"]["peak_memory_mb"])
"""


def test_an_engines_memory_is_not_its_parents(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LARGE_PARENT, tmp_path / "model"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=250, env=os.environ | PATHS
    )
    assert done.returncode == 0, done.stderr
    assert 50 < float(done.stdout) < 2000


def test_a_conversion_has_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    decode = importlib.import_module("decode")
    decode.in_a_process_of_its_own(write_process, tmp_path / "process")
    assert int((tmp_path / "process").read_text()) != os.getpid()


def write_process(path: Path) -> None:
    path.write_text(str(os.getpid()))


def test_without_a_gpu_that_is_said(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, SCRIPT, "--device", "cuda", "--out", tmp_path / "x.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 1
    assert "finds no GPU" in done.stderr
