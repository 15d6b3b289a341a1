"""Sample files: the schema, and the same bytes after any kill."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from staged.errors import CheckpointError, CorpusError, PlanError, SamplingError, StagedError
from staged.model.bpe import BPE
from staged.samples.columns import SCHEMA
from staged.samples.dataset import (
    FORMATS,
    SampleSettings,
    read_samples,
    sample,
    speak,
    write_samples,
)
from staged.samples.methods import method
from staged.samples.prompts import how_many, read_prompts


def wanted(tiny: Path, **changes: object) -> SampleSettings:
    base: dict[str, object] = {
        "model": str(tiny),
        "method": method("nucleus"),
        "count": 10,
        "length": 12,
        "batch": 4,
    }
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


ASKED = {
    "stop": ("e", "🎈"),
    "repetition_penalty": 1.2,
    "logprobs": True,
    "context": "slide",
    "length": 200,
    "prompts": ("A", ""),
}


def test_logprobs_are_the_same_in_both_formats(tiny: Path, tmp_path: Path) -> None:
    for suffix in FORMATS:
        write_samples(tmp_path / f"s{suffix}", wanted(tiny, **ASKED))
    rows = read_samples(tmp_path / "s.jsonl")
    assert read_samples(tmp_path / "s.parquet") == rows
    assert list(rows[0]) == [*SCHEMA.names, "tokens", "logprobs"]
    rows += sample(
        wanted(
            tiny,
            logprobs=True,
            method=method("temperature-1"),
            count=64,
            batch=64,
            length=120,
            precision="fp32",
        )
    )
    assert {row["ended"] for row in rows} == {True, False}
    for row in rows:
        assert len(row["tokens"]) == len(row["logprobs"]) == row["length"] + row["ended"]
        assert max(row["logprobs"]) <= 0


def test_rows_say_why_they_ended(tiny: Path, bpe: BPE, tmp_path: Path) -> None:
    write_samples(tmp_path / "s.jsonl", wanted(tiny, **ASKED | {"count": 120, "precision": "fp32"}))
    rows = read_samples(tmp_path / "s.jsonl")
    assert "stop" in {row["reason"] for row in rows}
    for row in rows:
        assert row["ended"] == (row["reason"] == "end")
        assert "e" not in row["text"]
        whole = bpe.decode(row["tokens"][: row["length"]])
        assert row["stopped"] == ("e" if row["reason"] == "stop" else None)
        assert whole.startswith(row["text"] + (row["stopped"] or ""))


def test_context_is_never_left_silently(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(SamplingError, match="--context"):
        write_samples(tmp_path / "s.jsonl", wanted(tiny, length=500))
    with pytest.raises(SamplingError, match="--context"):
        next(sample(wanted(tiny, length=500)))
    assert list(tmp_path.iterdir()) == []
    long = {"length": 500, "count": 16, "batch": 16, "precision": "fp32"}
    stopped = list(sample(wanted(tiny, context="stop", **long)))
    assert {row["reason"] for row in stopped} <= {"end", "context"}
    assert {(row["length"], row["slides"]) for row in stopped if row["reason"] == "context"} == {
        (128, 0)
    }
    slid = list(sample(wanted(tiny, context="slide", **long)))
    assert {row["reason"] for row in slid} <= {"end", "length"}
    for before, after in zip(stopped, slid, strict=True):
        assert after["text"].startswith(before["text"].rstrip("\ufffd"))
        assert (after["slides"] > 0) == (after["length"] + after["ended"] > 128)
    assert any(row["slides"] > 1 for row in slid)


def test_prompts_go_round(tiny: Path, tmp_path: Path) -> None:
    write_samples(tmp_path / "s.jsonl", wanted(tiny, prompts=("The river", "A bridge")))
    assert [row["prompt"] for row in read_samples(tmp_path / "s.jsonl")][:3] == [
        "The river",
        "A bridge",
        "The river",
    ]
    two = sample(wanted(tiny, prompts=("The river", "A bridge"), per_prompt=2, count=5))
    assert [row["prompt"] for row in two] == [
        "The river",
        "The river",
        "A bridge",
        "A bridge",
        "The river",
    ]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("changes", [{}, ASKED], ids=["plain", "asked"])
def test_interrupted_it_continues_and_ends_with_the_same_bytes(
    tiny: Path, tmp_path: Path, changes: dict[str, object], suffix: str
) -> None:
    whole, broken = tmp_path / f"whole{suffix}", tmp_path / f"broken{suffix}"
    write_samples(whole, wanted(tiny, **changes))

    class InterruptError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise InterruptError

    with pytest.raises(InterruptError):
        write_samples(broken, wanted(tiny, **changes), progress=stop)
    block = tmp_path / f"broken{suffix}.blocks" / "000000000.jsonl"
    finished = block.stat().st_mtime_ns
    assert not broken.exists()
    with pytest.raises(InterruptError):
        write_samples(broken, wanted(tiny, **changes), progress=stop)
    assert block.stat().st_mtime_ns == finished
    write_samples(broken, wanted(tiny, **changes))
    assert broken.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"stop": ("e",)},
        {"repetition_penalty": 1.5},
        {"logprobs": True},
        {"context": "slide"},
        {"method": method("nucleus+released")},
        {"per_prompt": 2, "prompts": ("A", "B")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_changed_settings_never_reuse_old_blocks(
    tiny: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(tmp_path / "s.jsonl", wanted(tiny, prompts=("A", "B")), progress=stop)
    block = tmp_path / "s.jsonl.blocks" / "000000000.jsonl"
    before = block.stat().st_ino, block.stat().st_mtime_ns
    with pytest.raises(KeyboardInterrupt):
        write_samples(
            tmp_path / "s.jsonl", wanted(tiny, **{"prompts": ("A", "B")} | changes), progress=stop
        )
    assert before != (block.stat().st_ino, block.stat().st_mtime_ns)
    write_samples(tmp_path / "s.jsonl", wanted(tiny, **{"prompts": ("A", "B")} | changes))
    write_samples(tmp_path / "t.jsonl", wanted(tiny, **{"prompts": ("A", "B")} | changes))
    assert (tmp_path / "s.jsonl").read_bytes() == (tmp_path / "t.jsonl").read_bytes()


def test_sigkill_at_random_moments(tiny: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "staged.cli",
        "sample",
        str(tiny),
        "-n",
        "400",
        "--length",
        "60",
        "--batch",
        "8",
    ]
    reference, out = tmp_path / "reference.jsonl", tmp_path / "s.jsonl"
    subprocess.run([*command, "--out", str(reference)], check=True, capture_output=True)
    blocks, stream = tmp_path / "s.jsonl.blocks", random.Random(5)
    kills = 0
    for finished in sorted(stream.sample(range(45), 4)):  # of 50 blocks
        process = subprocess.Popen(
            [*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(list(blocks.glob("*.jsonl"))) < finished:
            time.sleep(0.01)
        time.sleep(stream.uniform(0, 0.1))
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
        ({"precision": "int3"}, PlanError, "fp32, bf16, int8"),
        ({"batch": 0}, SamplingError, "batch must be at least 1"),
        ({"per_prompt": 0}, SamplingError, "a prompt must be at least 1"),
        ({"stop": ("x", "")}, SamplingError, "stop string is empty"),
        ({"repetition_penalty": 0.0}, SamplingError, "can be 0.001 to 1000, not 0"),
        ({"repetition_penalty": -1.5}, SamplingError, "can be 0.001 to 1000, not -1.5"),
        ({"repetition_penalty": float("nan")}, SamplingError, "can be 0.001 to 1000, not nan"),
        ({"context": "slid"}, PlanError, "did you mean 'slide'"),
        ({"prompts": ("fine", "x\udc80")}, SamplingError, "prompt 2: .*UTF-8"),
    ],
)
def test_bad_settings(
    tiny: Path, changes: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        wanted(tiny, **changes)


def test_bad_output_and_model(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"\.jsonl or \.parquet"):
        write_samples(tmp_path / "s.txt", wanted(tiny))
    with pytest.raises(CheckpointError, match="neither a shipped model nor a folder"):
        write_samples(tmp_path / "s.jsonl", wanted(tiny, model="nowhere"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", [(), ("e",), ("🎈", ", ")], ids=["none", "one", "two"])
def test_spoken_pieces_are_the_prompt_and_the_rows_text(tiny: Path, stop: tuple[str, ...]) -> None:
    for seed in range(10):
        settings = wanted(tiny, count=1, seed=seed, prompts=("The river",), stop=stop, length=40)
        pieces: list[str] = []
        row = speak(settings, pieces.append)
        assert "".join(pieces) == "The river" + row["text"]
        assert row == next(sample(settings))
        assert row["length"] < 10 or sum(map(bool, pieces)) > 4
    with pytest.raises(SamplingError, match="not 2"):
        speak(wanted(tiny, count=2), pieces.append)


class TestPrompts:
    def test_lines_and_rows(self, tmp_path: Path) -> None:
        (tmp_path / "p.txt").write_text("one\n\ntwo\n")
        (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n{"text": "b"}\n')
        assert read_prompts(str(tmp_path / "p.txt")) == ["one", "two"]
        assert read_prompts(str(tmp_path / "p.jsonl")) == ["a", "b"]

    def test_a_mark_and_line_ends_of_windows_are_no_part_of_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = b"\xef\xbb\xbfone\r\ntw\xc3\xb3\r\n"
        (tmp_path / "p.txt").write_bytes(content)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert read_prompts(str(tmp_path / "p.txt")) == read_prompts("-") == ["one", "twó"]

    def test_how_many(self) -> None:
        assert [
            how_many(None, None, ()),
            how_many(None, None, ("a", "b")),
            how_many(5, None, ("a",)),
        ] == [1, 2, 5]
        assert how_many(None, 3, ("a", "b")) == 6
        with pytest.raises(PlanError, match="not both"):
            how_many(2, 2, ("a",))
        with pytest.raises(PlanError, match="needs --prompt"):
            how_many(None, 2, ())

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "holds no prompt"),
            (b"\xff", "byte 0 is not UTF-8"),
            (b'{"x": 1}', "row 1: no"),
            (b"[]\n", "line 1: must"),
            (b"{", "line 1: not"),
        ],
    )
    def test_bad_files(self, tmp_path: Path, content: bytes, says: str) -> None:
        (tmp_path / "p.jsonl").write_bytes(content)
        with pytest.raises(StagedError, match=says):
            read_prompts(str(tmp_path / "p.jsonl"))

    def test_missing_file(self) -> None:
        with pytest.raises(CorpusError, match=r"nowhere.txt: cannot be read"):
            read_prompts("nowhere.txt")
