"""bench/encoder_step.py runs in one command, and takes the steps that it says it does."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "encoder_step.py"
spec = importlib.util.spec_from_file_location("encoder_step", SCRIPT)
assert spec is not None
assert spec.loader is not None
bench = importlib.util.module_from_spec(spec)
sys.modules["encoder_step"] = bench  # where its dataclass looks for itself
spec.loader.exec_module(bench)


def test_quick_run_writes_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "encoder_step.json"
    monkeypatch.setattr(
        sys, "argv", ["encoder_step.py", "--quick", "--device", "cpu", "--out", str(out)]
    )
    bench.main()
    shown = capsys.readouterr().out
    ours, theirs = json.loads(out.read_text())
    assert (ours["engine"], theirs["engine"]) == ("staged", "transformers")
    for row in (ours, theirs):
        low, high = row["documents_per_s_range"]
        assert 0 < low <= row["documents_per_s"] <= high
        assert row["tokens_per_s"] == pytest.approx(16 * row["documents_per_s"])
        assert row["ms_per_step"] == pytest.approx(4000 / row["documents_per_s"])
        assert row["repeats"] == 5
        assert row["peak_memory_mb"] is None
        assert row["engine"] in shown
    assert theirs["ratio_to_best_peer"] == 1
    assert ours["ratio_to_best_peer"] == pytest.approx(
        ours["documents_per_s"] / theirs["documents_per_s"]
    )


def test_the_clock_sees_the_ends_of_repeats() -> None:
    times: list[float] = []
    work = bench.Workload(warmup_steps=3, steps=4, repeats=2)
    told, at = bench.clock(times, "cpu", work), []
    for done in range(1, work.all_steps + 1):
        before = len(times)
        told(done)
        at += [done] if len(times) > before else []
    assert at == [3, 7, 11]
