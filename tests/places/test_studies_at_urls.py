"""Studies in a bucket: the bytes of a local one, whatever dies, whichever machine goes on."""

from __future__ import annotations

import multiprocessing
import os
import re
from pathlib import Path
from typing import Any

import pytest

import staged
from staged.engines import blocks
from staged.errors import PlanError, ShardDone
from staged.pipeline import run
from tests.places.conftest import HERE, Bucket


class Log:
    """What workers compute, whichever process they are; what is named so fails."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self.fails_at = file, ""
        build, make_block = run.build, blocks._make_block

        def built(folder: Path, write: Any, **given: Any) -> bool:
            def written(place: Path) -> None:
                self.add(f"{folder:s}".rpartition("study/")[2])
                write(place)

            return build(folder, written, **given)

        def block_made(folder: Path, job: Any, make: Any, number: int, progress: Any) -> None:
            def made(number: int) -> Any:
                self.add(f"{folder:s}".rpartition("study/")[2] + f" {number}")
                return make(number)

            make_block(folder, job, made, number, progress)

        monkeypatch.setattr(run, "build", built)
        monkeypatch.setattr(blocks, "_make_block", block_made)

    def add(self, what: str) -> None:
        if self.fails_at and re.search(self.fails_at, what):
            raise PlanError("as was asked for")
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(f"{what}\n")

    @property
    def lines(self) -> list[str]:
        return self.file.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(tmp_path / "log", monkeypatch)


def test_a_study_in_a_bucket_is_a_local_one_and_goes_on_anywhere(
    bucket: Bucket, plan: Path, local: dict[str, bytes], log: Log
) -> None:
    log.fails_at = r"samples/.* 4$"
    with pytest.raises(PlanError, match="as was asked for"):
        staged.study(plan, bucket.url("study"), engine=HERE)
    before = log.lines
    assert {line[-2:] for line in before} >= {" 0", " 1", " 2", " 3"}
    bucket.on_another_machine()
    log.fails_at = ""
    study = staged.study(plan, bucket.url("study"), engine=staged.Engine(workers=2))
    made = log.lines
    again = [line for line in before if made.count(line) > 1]
    assert len(again) <= 1  # what a worker was at behind the fourth, when the study ended
    assert len(set(made)) == len(made) - len(again) > len(before)
    assert bucket.files() == local
    assert f"{study.report}" == bucket.url("study/report.html")
    assert study.cells()
    bucket.on_another_machine()
    staged.study(plan, bucket.url("study"), engine=HERE)
    assert log.lines == made
    bucket.delete("study/report.html")
    bucket.on_another_machine()
    staged.write_report(bucket.url("study"))
    assert bucket.files() == local


def work(plan: Path, url: str, cache: Path, shard: int) -> None:
    """A shard on a machine of its own."""
    os.environ["XDG_CACHE_HOME"] = str(cache)
    try:
        staged.study(plan, url, engine=staged.Engine(workers=1, shard=(shard, 2)))
    except ShardDone:
        os._exit(3)


def test_shards_without_a_shared_folder_make_a_study_in_a_bucket(
    bucket: Bucket, plan: Path, local: dict[str, bytes], log: Log, tmp_path: Path
) -> None:
    shards = [
        multiprocessing.get_context("fork").Process(
            target=work, args=(plan, bucket.url("study"), tmp_path / f"cache {shard}", shard)
        )
        for shard in range(2)
    ]
    for shard in shards:
        shard.start()
    for shard in shards:
        shard.join(120)
    assert [shard.exitcode for shard in shards] == [0, 3]
    assert bucket.files() == local
    assert len(set(log.lines)) == len(log.lines)


def test_what_is_not_ours_stays(bucket: Bucket, plan: Path) -> None:
    bucket.put("study/corpus/letter.txt", "to keep")
    with pytest.raises(
        staged.StagedError, match=f"{bucket.url('study/corpus/letter.txt')}: was not"
    ):
        staged.study(plan, bucket.url("study"), engine=HERE)
    assert bucket.get("study/corpus/letter.txt") == b"to keep"
