"""Sample files: the schema, and the same bytes after any kill."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from staged.errors import CheckpointError, PlanError, SamplingError
from staged.samples.dataset import SCHEMA, SampleSettings, read_samples, write_samples
from staged.samples.methods import method
from staged.samples.prompts import read_prompts


def wanted(tiny: Path, **changes: object) -> SampleSettings:
    base: dict[str, object] = {"model": str(tiny), "method": method("nucleus"), "count": 10, "length": 12, "batch": 4}
    return SampleSettings(**(base | changes))  # type: ignore[arg-type]


def test_rows_have_the_output_datasets_schema_and_more(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    seen: list[tuple[int, int]] = []
    write_samples(out, wanted(tiny), progress=lambda done, total: seen.append((done, total)))
    rows = read_samples(out)
    assert [row["id"] for row in rows] == list(range(10))
    assert list(rows[0]) == SCHEMA.names
    assert all(0.8 <= row["top_p"] <= 1 and row["length"] <= 12 for row in rows)
    assert len({row["top_p"] for row in rows}) == 10
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert [path.name for path in tmp_path.iterdir()] == ["s.jsonl"]


def test_parquet_holds_the_same_rows(tiny: Path, tmp_path: Path) -> None:
    write_samples(tmp_path / "s.jsonl", wanted(tiny))
    write_samples(tmp_path / "s.parquet", wanted(tiny))
    assert pq.read_schema(tmp_path / "s.parquet").names == SCHEMA.names
    assert read_samples(tmp_path / "s.parquet") == read_samples(tmp_path / "s.jsonl")


def test_prompts_go_round(tiny: Path, tmp_path: Path) -> None:
    write_samples(tmp_path / "s.jsonl", wanted(tiny, prompts=("The river", "A bridge")))
    assert [row["prompt"] for row in read_samples(tmp_path / "s.jsonl")][:3] == ["The river", "A bridge", "The river"]


def test_interrupted_it_continues_and_ends_with_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    write_samples(whole, wanted(tiny))

    class InterruptError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise InterruptError

    with pytest.raises(InterruptError):
        write_samples(broken, wanted(tiny), progress=stop)
    block = tmp_path / "broken.jsonl.blocks" / "000000000.jsonl"
    finished = block.stat().st_mtime_ns
    assert not broken.exists()
    with pytest.raises(InterruptError):
        write_samples(broken, wanted(tiny), progress=stop)
    assert block.stat().st_mtime_ns == finished
    write_samples(broken, wanted(tiny))
    assert broken.read_bytes() == whole.read_bytes()


def test_changed_settings_never_reuse_old_blocks(tiny: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(tmp_path / "s.jsonl", wanted(tiny, seed=1), progress=stop)
    write_samples(tmp_path / "s.jsonl", wanted(tiny, seed=2))
    write_samples(tmp_path / "t.jsonl", wanted(tiny, seed=2))
    assert (tmp_path / "s.jsonl").read_bytes() == (tmp_path / "t.jsonl").read_bytes()


def test_sigkill_at_random_moments(tiny: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "staged.cli", "sample", str(tiny), "-n", "400", "--length", "60", "--batch", "8"]
    reference, out = tmp_path / "reference.jsonl", tmp_path / "s.jsonl"
    started = time.monotonic()
    subprocess.run([*command, "--out", str(reference)], check=True, capture_output=True)
    whole_s = time.monotonic() - started
    stream = random.Random(5)
    kills = 0
    for _ in range(4):
        process = subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(stream.uniform(0.3, 0.9) * whole_s)
        kills += process.poll() is None
        process.kill()
        process.wait()
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    assert kills
    assert out.read_bytes() == reference.read_bytes()


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"count": 0}, SamplingError, "at least 1"),
        ({"seed": -1}, SamplingError, "seed must be"),
        ({"precision": "int3"}, PlanError, "bf16, fp32"),
    ],
)
def test_bad_settings(tiny: Path, changes: dict[str, object], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        wanted(tiny, **changes)


def test_bad_output_and_model(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"\.jsonl or \.parquet"):
        write_samples(tmp_path / "s.txt", wanted(tiny))
    with pytest.raises(CheckpointError, match="neither a shipped model nor a folder"):
        write_samples(tmp_path / "s.jsonl", wanted(tiny, model="nowhere"))
    assert list(tmp_path.iterdir()) == []


class TestPrompts:
    def test_lines_and_rows(self, tmp_path: Path) -> None:
        (tmp_path / "p.txt").write_text("one\n\ntwo\n")
        (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n{"text": "b"}\n')
        assert read_prompts(str(tmp_path / "p.txt")) == ["one", "two"]
        assert read_prompts(str(tmp_path / "p.jsonl")) == ["a", "b"]

    @pytest.mark.parametrize(
        ("content", "says"),
        [(b"", "holds no prompt"), (b"\xff", "byte 0 is not UTF-8"), (b'{"x": 1}', "row 1"), (b"[]\n", "row 1"), (b"{", "row 1")],
    )
    def test_bad_files(self, tmp_path: Path, content: bytes, says: str) -> None:
        (tmp_path / "p.jsonl").write_bytes(content)
        with pytest.raises(SamplingError, match=says):
            read_prompts(str(tmp_path / "p.jsonl"))

    def test_missing_file(self) -> None:
        with pytest.raises(SamplingError, match="cannot be read"):
            read_prompts("nowhere.txt")
