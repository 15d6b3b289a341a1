"""Random kills of drivers and workers, and shards side by side: the bytes are those of one process
that nobody disturbed.
"""

from __future__ import annotations

import random
from pathlib import Path

import psutil

from staged.engines.choice import Engine
from staged.samples.dataset import SampleSettings, read_samples, write_samples
from staged.samples.methods import method
from tests.engines.drivers import Written, kill_some, samples, started, study, written
from tests.studies.commands import wait_until_free


def wanted(model: Path) -> SampleSettings:
    return SampleSettings(str(model), method("top-k-40"), count=240, length=24, batch=4)


def blocks_in(out: Path) -> int:
    return len(list(out.with_name(f"{out.name}.blocks").glob("*.jsonl")))


def test_ten_kills_of_samples(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    write_samples(tmp_path / "undisturbed.jsonl", wanted(tiny))
    kill_some(
        lambda held: started(samples, out, wanted(tiny), Engine(workers=2), held),
        lambda: blocks_in(out),
        psutil.Process.children,
        random.Random(5),
        kills=10,
        ended=lambda: wait_until_free(tmp_path / "s.jsonl.blocks"),
    )
    assert out.read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()
    assert [row["id"] for row in read_samples(out)] == list(range(240))
    assert {path.name for path in tmp_path.iterdir()} == {"s.jsonl", "undisturbed.jsonl"}


def test_two_shards_at_once_make_the_study_of_one_process(
    plan: Path, finished: Written, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    shards = [started(study, plan, out, Engine(workers=1, shard=(i, 2))) for i in range(2)]
    for shard in shards:
        shard.join()
    assert [shard.exitcode for shard in shards] == [0, 0]
    assert written(out) == finished


def test_a_shard_of_a_study_that_was_killed_is_given_again(
    plan: Path, finished: Written, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    other = started(study, plan, out, Engine(workers=1, shard=(1, 2)))
    for number in (1, 3):
        first = started(study, plan, out, Engine(workers=1, shard=(0, 2)))
        while first.is_alive() and len(list(out.glob("**/manifest.json"))) < number:
            first.join(0.01)
        first.kill()
        first.join()
    assert other.is_alive()
    study(plan, out, Engine(workers=1, shard=(0, 2)))
    other.join()
    assert other.exitcode == 0
    assert written(out) == finished
