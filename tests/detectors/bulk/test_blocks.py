"""Files of verdicts by blocks: the same bytes whoever computes, and whatever is killed."""

from __future__ import annotations

import json
import multiprocessing
import random
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.detectors.bulk import inputs as dealing
from staged.detectors.bulk.blocks import write_verdicts
from staged.detectors.bulk.columns import SCHEMA, SEGMENTS, holds_verdicts, is_verdicts
from staged.detectors.bulk.inputs import look_at
from staged.detectors.opening import ExaminerSettings
from staged.detectors.verdicts import judged
from staged.engines.choice import Engine
from staged.errors import ArtifactError, CorpusError, PlanError, ShardDone
from tests.conftest import prose
from tests.engines.drivers import kill_some, started
from tests.studies.commands import fork_workers, wait_until_free

GOLDEN = Path(__file__).parents[2] / "golden" / "2026-11"
SETTINGS = ExaminerSettings(
    str(GOLDEN / "detector"), fpr=0.05, calibration=GOLDEN / "calibration.json"
)


def write_rows(path: Path, count: int) -> Path:
    """Rows of prose of every length, one of which is empty and one null."""
    texts = [prose(i, 1 + i % 9) for i in range(count)]
    texts[3] = ""
    table = pa.table({"id": [f"t{i}" for i in range(count)], "text": [*texts[:-1], None]})
    pq.write_table(table, path, row_group_size=37)
    return path


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of which no text is kept: workers read for themselves."""
    monkeypatch.setattr(dealing, "KEPT_BYTES", 0)
    return write_rows(tmp_path / "rows.parquet", 200)


def test_lines_are_those_of_one_text_after_the_other(rows: Path, tmp_path: Path) -> None:
    """Of the texts of a small file 16 at a time, as always."""
    out = tmp_path / "v.jsonl"
    write_verdicts(out, look_at([str(rows)]), SETTINGS)
    examiner = SETTINGS.open()
    table = pq.read_table(rows).to_pylist()
    texts = [(row["id"], row["text"] or "") for row in table]
    verdicts = [
        verdict
        for first in range(0, len(texts), 16)
        for verdict in judged(examiner, texts[first : first + 16])
    ]
    expected = [json.dumps(verdict.row(), ensure_ascii=False) + "\n" for verdict in verdicts]
    assert out.read_text(encoding="utf-8") == "".join(expected)
    assert {"machine", "not enough evidence"} <= {verdict.verdict for verdict in verdicts}


@pytest.mark.parametrize("segments", [False, True])
def test_a_table_has_the_rows_of_the_lines(rows: Path, tmp_path: Path, segments: bool) -> None:
    lines, table = tmp_path / "v.jsonl", tmp_path / "v.parquet"
    for out in (lines, table):
        write_verdicts(out, look_at([str(rows)]), SETTINGS, segments=segments)
    written = pq.read_table(table)
    assert written.schema.names == [*SCHEMA.names, *SEGMENTS.names * segments]
    assert written.schema.field("p_value").type == pa.float64()
    assert written.to_pylist() == [
        json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()
    ]
    assert written.column("id").to_pylist() == pq.read_table(rows).column("id").to_pylist()


def test_row_groups_are_its_own(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staged.detectors.bulk.blocks.GROUP_ROWS", 60)
    out = tmp_path / "v.parquet"
    write_verdicts(out, look_at([str(rows)]), SETTINGS)
    metadata = pq.read_metadata(out)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [
        60,
        60,
        60,
        20,
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_workers_and_shards_write_what_one_process_writes(
    rows: Path, tmp_path: Path, suffix: str
) -> None:
    outs = [tmp_path / f"{name}{suffix}" for name in ("one", "workers", "shards")]
    seen = list[tuple[int, int]]()
    write_verdicts(outs[0], look_at([str(rows)]), SETTINGS, progress=lambda *at: seen.append(at))
    assert seen[0] == (0, 200)
    assert seen[-1] == (200, 200)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    write_verdicts(outs[1], look_at([str(rows)]), SETTINGS, engine=Engine(workers=2))
    for shard in range(2):
        engine = Engine(workers=1, shard=(shard, 2))
        if shard == 0:
            with pytest.raises(ShardDone, match="6 blocks of other shards"):
                write_verdicts(outs[2], look_at([str(rows)]), SETTINGS, engine=engine)
            continue
        write_verdicts(outs[2], look_at([str(rows)]), SETTINGS, engine=engine)
    assert outs[0].read_bytes() == outs[1].read_bytes() == outs[2].read_bytes()
    assert not list(tmp_path.glob("*.blocks"))


def test_what_is_added_to_a_file_is_judged_beside_what_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of texts that stand as they stood are used; those of others are made."""
    lines = [json.dumps({"text": prose(i, 3)}) + "\n" for i in range(64)]
    path, out = tmp_path / "a.jsonl", tmp_path / "v.jsonl"

    def stop(done: int, total: int) -> None:
        if done == 48:
            raise KeyboardInterrupt

    path.write_text("".join(lines[:48]))
    with pytest.raises(KeyboardInterrupt):
        write_verdicts(out, look_at([str(path)]), SETTINGS, progress=stop)
    lines[20] = json.dumps({"text": "Another."}) + "\n"
    path.write_text("".join(lines))
    kept = {file.name for file in out.with_name("v.jsonl.blocks").glob("*.jsonl")}
    names = [f"{block.name}.jsonl" for block in look_at([str(path)]).blocks]
    assert [name in kept for name in names] == [True, False, True, False]
    write_verdicts(out, look_at([str(path)]), SETTINGS)
    write_verdicts(tmp_path / "w.jsonl", look_at([str(path)]), SETTINGS)
    assert out.read_bytes() == (tmp_path / "w.jsonl").read_bytes()


def test_nothing_is_written_of_a_file_with_a_bad_row(tmp_path: Path) -> None:
    table = {"text": [*(prose(i, 2) for i in range(30)), "a\0b"]}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    with pytest.raises(CorpusError, match=r"rows\.parquet, row 31: character 1 is a NUL"):
        staged.detect_files(tmp_path / "rows.parquet", tmp_path / "v.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_file_of_verdicts_is_known(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    options = {"detector": SETTINGS.detector, "calibration": SETTINGS.calibration}
    assert staged.detect_files(rows, out, **options) == out  # type: ignore[arg-type]
    assert is_verdicts(out)
    assert holds_verdicts(out)
    assert not is_verdicts(rows)
    before = out.read_bytes()
    staged.detect_files(rows, out, fpr=0.2, **options)  # type: ignore[arg-type]
    assert out.read_bytes() != before
    with pytest.raises(ArtifactError, match="was not written by staged"):
        staged.detect_files(rows, write_rows(tmp_path / "mine.parquet", 9), **options)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match=r"ends in \.jsonl or \.parquet"):
        staged.detect_files(rows, tmp_path / "v.csv", **options)  # type: ignore[arg-type]


def test_the_command(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    command = ["detect", str(rows), "--out", str(out), "--workers", "2"]
    command += ["--detector", SETTINGS.detector, "--calibration", str(SETTINGS.calibration)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert pq.read_metadata(out).num_rows == 200
    assert "texts 200/200" in done.stderr


def verdicts(out: Path, rows: Path, engine: Engine, held: Connection) -> None:
    """Verdicts by workers that are forked from this process, and hold what it holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dealing, "KEPT_BYTES", 0)
        fork_workers(patch, multiprocessing.get_context("fork"))
        write_verdicts(out, look_at([str(rows)]), SETTINGS, engine=engine)


def kill_ten_times(
    rows: Path,
    out: Path,
    engine: Engine,
    *,
    workers: Callable[[psutil.Process], list[psutil.Process]] = psutil.Process.children,
    ended: Callable[[], None] = lambda: None,
) -> None:
    """Whoever is killed, the file is that of one process that nobody disturbed."""
    undisturbed = out.with_name(f"undisturbed{out.suffix}")
    write_verdicts(undisturbed, look_at([str(rows)]), SETTINGS)
    folder = out.with_name(f"{out.name}.blocks")
    kill_some(
        lambda held: started(verdicts, out, rows, engine, held),
        lambda: len(list(folder.glob(f"*{out.suffix}"))),
        workers,
        random.Random(11),
        kills=10,
        ended=ended,
    )
    assert out.read_bytes() == undisturbed.read_bytes()
    assert pq.read_table(out).column("id").to_pylist() == [
        *pq.read_table(rows).column("id").to_pylist()
    ]
    names = {path.name for path in out.parent.iterdir()}
    assert names == {rows.name, out.name, undisturbed.name}


def test_ten_kills(tmp_path: Path) -> None:
    rows, out = write_rows(tmp_path / "rows.parquet", 1500), tmp_path / "v.parquet"
    held = out.with_name("v.parquet.blocks")
    kill_ten_times(rows, out, Engine(workers=2), ended=lambda: wait_until_free(held))
