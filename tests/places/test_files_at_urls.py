"""Files in a bucket: what is written there is as a local file, what is read as it is now."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import staged
from staged.cli import app, main
from staged.engines.choice import Engine
from staged.errors import ArtifactError, PlanError, ShardDone
from staged.places import objects
from staged.places.mirror import place
from staged.samples.dataset import SampleBlocks, SampleSettings, read_samples, write_samples
from staged.samples.methods import method
from tests.places.conftest import Bucket


def settings(tiny: Path, seed: int = 1) -> SampleSettings:
    return SampleSettings(str(tiny), method("nucleus"), 12, 8, seed=seed, batch=4)


@pytest.fixture
def local(tiny: Path, tmp_path: Path) -> bytes:
    """What the file is where it is a local one."""
    write_samples(tmp_path / "local.jsonl", settings(tiny))
    return (tmp_path / "local.jsonl").read_bytes()


def run(*arguments: str) -> str:
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ended.exit_code == 0, ended.stderr
    return ended.stdout


def test_samples_in_a_bucket_are_those_of_a_local_file(
    bucket: Bucket, tiny: Path, local: bytes
) -> None:
    said = run(
        *("sample", str(tiny), "--method", "nucleus", "-n", "12", "--length", "8"),
        *("--batch", "4", "--out", bucket.url("runs/x.jsonl")),
    )
    assert bucket.all() == {"runs/x.jsonl": local}
    assert bucket.url("runs/x.jsonl") in said


class Counted:
    """How many blocks are made; one of them can fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_at: int = -1) -> None:
        self.made: list[int] = []
        by = SampleBlocks.by

        def counted(job: SampleBlocks, writer: object) -> object:
            make = by(job, writer)  # type: ignore[arg-type]

            def made(number: int) -> bytes:
                if number == fails_at:
                    raise KeyboardInterrupt
                self.made.append(number)
                return make(number)

            return made

        monkeypatch.setattr(SampleBlocks, "by", counted)


def interrupted(out: Path, tiny: Path, seed: int = 1) -> None:
    """Begin, and end before the last block."""
    with pytest.MonkeyPatch.context() as patch:
        counted = Counted(patch, fails_at=2)
        with pytest.raises(KeyboardInterrupt):
            write_samples(out, settings(tiny, seed))
        assert counted.made == [0, 1]


def test_another_machine_continues_with_the_blocks_that_are_there(
    bucket: Bucket, tiny: Path, local: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(place(bucket.url("x.jsonl")), tiny)
    assert len(bucket.keys()) == 3  # the mark and two blocks
    bucket.on_another_machine()
    counted = Counted(monkeypatch)
    write_samples(bucket.url("x.jsonl"), settings(tiny))
    assert counted.made == [2]
    assert bucket.all() == {"x.jsonl": local}


def test_blocks_of_other_settings_are_not_taken_for_these(
    bucket: Bucket, tiny: Path, local: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(place(bucket.url("x.jsonl")), tiny, seed=2)
    counted = Counted(monkeypatch)
    write_samples(bucket.url("x.jsonl"), settings(tiny))
    assert counted.made == [0, 1, 2]
    assert bucket.all() == {"x.jsonl": local}


def test_shards_on_two_machines_share_a_bucket(bucket: Bucket, tiny: Path, local: bytes) -> None:
    def shard(number: int) -> None:
        bucket.on_another_machine()
        engine = Engine(workers=1, shard=(number, 2))
        write_samples(bucket.url("x.jsonl"), settings(tiny), engine=engine)

    with pytest.raises(ShardDone, match="1 block of other shards"):
        shard(0)
    shard(1)
    assert bucket.all() == {"x.jsonl": local}


def test_only_a_file_of_ours_is_replaced(bucket: Bucket, tiny: Path, local: bytes) -> None:
    bucket.put("x.jsonl", '{"a letter": "to keep"}\n')
    with pytest.raises(ArtifactError, match=f"{bucket.url('x.jsonl')}: was not written by staged"):
        write_samples(bucket.url("x.jsonl"), settings(tiny))
    assert bucket.all() == {"x.jsonl": b'{"a letter": "to keep"}\n'}
    bucket.put("x.jsonl", local)
    write_samples(bucket.url("x.jsonl"), settings(tiny, seed=2))
    assert bucket.get("x.jsonl") != local


def test_objects_without_a_mark_are_no_blocks(bucket: Bucket, tiny: Path) -> None:
    bucket.put("x.jsonl.blocks/letter.txt", "to keep")
    with pytest.raises(ArtifactError, match=r"holds letter\.txt, and is no work in progress"):
        write_samples(bucket.url("x.jsonl"), settings(tiny))
    assert bucket.all() == {"x.jsonl.blocks/letter.txt": b"to keep"}


def test_prompts_are_read_as_they_are_now(bucket: Bucket, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    for prompt in ("The river", "A garden"):
        bucket.put("prompts.txt", prompt)
        run(
            *("sample", str(tiny), "--prompts", bucket.url("prompts.txt")),
            *("--length", "2", "--out", str(out)),
        )
        assert [row["prompt"] for row in read_samples(out)] == [prompt]


def test_a_file_that_is_read_is_not_written(
    bucket: Bucket, tiny: Path, local: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("x.jsonl", local)
    place_twice = bucket.url("x.jsonl")
    with pytest.raises(PlanError, match="is read here and would be replaced"):
        run("sample", str(tiny), "--prompts", place_twice, "--out", place_twice)


def test_texts_of_a_bucket_are_judged(bucket: Bucket, tiny: Path) -> None:
    bucket.put("texts/a.jsonl", '{"id": "a", "text": "Too short."}\n')
    bucket.put("texts/b.txt", "Too short, too.")
    said = run("detect", bucket.url("texts"), "--detector", f"lrr@{tiny}", "--json")
    ids = [json.loads(line)["id"] for line in said.splitlines()]
    assert ids == ["a", bucket.url("texts/b.txt")]
    bucket.delete("texts/b.txt")
    said = run("detect", bucket.url("texts"), "--detector", f"lrr@{tiny}", "--json")
    assert len(said.splitlines()) == 1


def test_shards_on_two_machines_judge_a_table_in_a_bucket(
    bucket: Bucket, tiny: Path, tmp_path: Path
) -> None:
    rows = [{"id": f"t{number}", "text": f"Too short {number}."} for number in range(40)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "texts.parquet")
    bucket.put("texts.parquet", (tmp_path / "texts.parquet").read_bytes())
    detector = f"lrr@{tiny}"
    staged.detect_files(tmp_path / "texts.parquet", tmp_path / "local.parquet", detector=detector)

    def shard(number: int) -> None:
        bucket.on_another_machine()
        staged.detect_files(
            bucket.url("texts.parquet"),
            bucket.url("verdicts.parquet"),
            detector=detector,
            engine=Engine(workers=1, shard=(number, 2)),
        )

    with pytest.raises(ShardDone, match="1 block of other shards"):
        shard(0)
    shard(1)
    assert bucket.keys() == {"texts.parquet", "verdicts.parquet"}
    assert bucket.get("verdicts.parquet") == (tmp_path / "local.parquet").read_bytes()


def test_a_calibration_in_a_bucket_judges(
    bucket: Bucket, tiny: Path, human_folder: Path, tmp_path: Path
) -> None:
    detector = ("--detector", f"lrr@{tiny}")
    for file in sorted(human_folder.iterdir())[:6]:
        bucket.put(f"human/{file.name}", file.read_bytes())
    said = run(
        "calibrate", "--human", bucket.url("human"), *detector, "--out", bucket.url("c.json")
    )
    assert bucket.url("c.json") in said
    assert {key for key in bucket.all() if key.startswith("c")} == {"c.json"}
    (tmp_path / "text.txt").write_text("Too short.")
    bucket.on_another_machine()
    run("detect", str(tmp_path / "text.txt"), *detector, "--calibration", bucket.url("c.json"))


def test_commands_that_write_to_local_places_alone_say_so(bucket: Bucket) -> None:
    with pytest.raises(PlanError, match="staged bias writes to local places alone"):
        run("bias", "mini-s", "--out", bucket.url("bias"))


def test_what_is_wrong_is_one_sentence(
    bucket: Bucket,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(url: str) -> str:
        command = ["staged", "sample", str(tiny), "--length", "2", "--out", url]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        (sentence,) = capsys.readouterr().err.splitlines()
        return sentence

    assert "bucket does not exist" in refused("s3://no-such-bucket/x.jsonl")
    assert "pip install 'gcsfs'" in refused("gs://bucket/x.jsonl")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3")
    assert "pip install 'staged[s3]'" in refused(bucket.url("x.jsonl"))


def test_a_store_that_does_not_answer_is_one_sentence(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ArtifactError, match=r"s3://bucket/x: cannot be reached: Could not connect"):
        objects.read("s3://bucket/x")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket//x",
        "s3://bucket/../x",
        "s3://",
        "foo://bucket/x",
        "foo:/x",  # what a Path makes of two slashes
        "https://host/x",
        "file:///x",
    ],
)
def test_a_place_that_no_file_can_stand_for_is_refused(url: str) -> None:
    with pytest.raises(PlanError, match="place"):
        place(url)


@pytest.mark.parametrize("name", ["folder/x", "C:/x", "foo:/x"])
def test_all_else_is_local(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foo:").mkdir()
    monkeypatch.chdir(tmp_path)
    assert place(name) == Path(name)
    assert type(place(name)) is type(Path())
