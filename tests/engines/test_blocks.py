"""A file's blocks: made once, whole or not at all, by one command or by several shards."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from staged.engines.blocks import Blocks, blocks_left, computed, hand_out_blocks, write_block
from staged.engines.choice import Engine, parse_shard
from staged.errors import PlanError, SamplingError, ShardDone
from staged.storage.marks import TEMPORARY, mark_construction
from staged.storage.pieces import gathered_pieces, shared_pieces
from tests.engines.jobs import PIECES, Squares, lines, squares, told, write
from tests.engines.test_local import wait_until
from tests.studies.commands import FORKED, fork_workers, wait_until_free


def test_what_is_there_is_read_and_the_rest_made_in_order(tmp_path: Path) -> None:
    folder, job = tmp_path / "blocks", Squares(tmp_path)
    folder.mkdir()
    (folder / "000003.json").write_text("-1")
    wanted = [-1 if value == 9 else value for value in squares()]
    assert blocks_left(folder, job) == [0, 1, 2, *range(4, 12)]
    assert list(computed(folder, job)) == wanted
    assert lines(tmp_path / "made") == [str(n) for n in range(12) if n != 3]
    assert list(computed(folder, job)) == wanted
    assert len(lines(tmp_path / "opened")) == 1  # where all is there nothing is loaded
    assert list(computed(None, job)) == squares()


def test_what_a_failure_leaves_is_continued(tmp_path: Path) -> None:
    with pytest.raises(SamplingError):
        write(tmp_path / "out.txt", Squares(tmp_path, refused=7))
    assert write(tmp_path / "out.txt", Squares(tmp_path)) == squares()
    assert lines(tmp_path / "made").count("6") == 1
    assert not (tmp_path / "out.txt.blocks").exists()


def test_blocks_of_something_else_are_not_taken(tmp_path: Path) -> None:
    with pytest.raises(SamplingError):
        write(tmp_path / "out.txt", Squares(tmp_path, refused=7))
    assert write(tmp_path / "out.txt", Squares(tmp_path, 5)) == squares(5)
    assert lines(tmp_path / "made").count("0") == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_what_killed_writers_left_goes_with_the_blocks(workers: int, tmp_path: Path) -> None:
    folder = tmp_path / "out.txt.blocks"
    folder.mkdir()
    mark_construction(folder, {"count": 12})
    (folder / f".000003.json.0123456789abcdef{TEMPORARY}").write_text("4")
    assert write(tmp_path / "out.txt", Squares(tmp_path), Engine(workers=workers)) == squares()
    assert not folder.exists()


def test_writers_of_the_same_block_do_not_meet(tmp_path: Path) -> None:
    data, gate = b"x" * 2**20, threading.Barrier(8)
    seen: set[bytes] = set()

    def write_it() -> None:
        gate.wait()
        for _ in range(10):
            write_block(tmp_path / "0.bin", data)
            seen.add((tmp_path / "0.bin").read_bytes())

    threads = [threading.Thread(target=write_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {data}
    assert [path.name for path in tmp_path.iterdir()] == ["0.bin"]


def test_a_block_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "0.bin").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_block(tmp_path / "0.bin", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["0.bin"]


def test_a_number_given_twice_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "blocks"
    folder.mkdir()
    with Blocks(folder, Squares(tmp_path)).opened() as perform:
        for number in (4, 4, 2, 4):
            perform(number, lambda done, total: None)
    assert lines(tmp_path / "made") == ["4", "2"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_shards_in_any_order_and_the_last_writes_the_file(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    out, job = tmp_path / "out.txt", Squares(tmp_path, 11)
    for shard in order[:-1]:
        with pytest.raises(ShardDone, match=rf"shard {shard}/3 has done its part; \d+ blocks of o"):
            write(out, job, Engine(workers=1, shard=(shard, 3)))
        assert not out.exists()
    assert write(out, job, Engine(workers=1, shard=(order[-1], 3))) == squares(11)
    assert sorted(map(int, lines(tmp_path / "made"))) == list(range(11))
    assert not (tmp_path / "out.txt.blocks").exists()


def sharded(out: Path, shard: int, shards: int, held: Connection | None = None) -> None:
    """A shard, in a process of its own; `ended` says how."""
    with pytest.MonkeyPatch.context() as patch:
        fork_workers(patch, multiprocessing.get_context("fork"))
        job = Squares(out.parent, 60, seconds=0.01)
        try:
            write(out, job, Engine(workers=1, shard=(shard, shards)))
            told(out.parent / "ended", "wrote")
        except ShardDone:
            told(out.parent / "ended", "done")


def test_shards_at_once(tmp_path: Path) -> None:
    processes = [FORKED.Process(target=sharded, args=(tmp_path / "o.txt", i, 3)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(lines(tmp_path / "ended")) == ["done", "done", "wrote"]
    assert [int(line) for line in lines(tmp_path / "o.txt")] == squares(60)
    assert sorted(map(int, lines(tmp_path / "made"))) == list(range(60))
    assert not (tmp_path / "o.txt.blocks").exists()


def test_a_shard_that_comes_later_does_not_wait_for_those_at_work(tmp_path: Path) -> None:
    out = tmp_path / "o.txt"

    def later(count: int) -> threading.Thread:
        thread = threading.Thread(target=enter, args=(count,), daemon=True)
        thread.start()
        return thread

    def enter(count: int) -> None:
        with shared_pieces(out, {"count": count}, pieces=PIECES) as folder:
            told(tmp_path / "entered", f"{count} {len(list(folder.glob(PIECES)))}")

    with shared_pieces(out, {"count": 12}, pieces=PIECES) as folder:
        (folder / "000000.json").write_text("0")
        later(12).join(30)
        assert lines(tmp_path / "entered") == ["12", "1"]
        other = later(5)  # whose pieces are not these
        other.join(0.3)
        assert other.is_alive()
        assert (folder / "000000.json").is_file()
    other.join(30)
    assert lines(tmp_path / "entered") == ["12", "1", "5", "0"]


def test_what_others_have_begun_meanwhile_is_not_joined(tmp_path: Path) -> None:
    out = tmp_path / "o.txt"
    for wanted in ({"count": 5}, {"count": 12}):
        with shared_pieces(out, wanted, pieces=PIECES):
            pass
    with gathered_pieces(out, {"count": 5}, pieces=PIECES) as whole:
        assert whole is None
    with gathered_pieces(out, {"count": 12}, pieces=PIECES) as whole:
        assert whole == tmp_path / "o.txt.blocks"
    assert not (tmp_path / "o.txt.blocks").exists()


def test_a_shard_that_was_killed_is_given_again(tmp_path: Path) -> None:
    out = tmp_path / "o.txt"
    released, held = FORKED.Pipe(duplex=False)
    process = FORKED.Process(target=sharded, args=(out, 0, 2, held))
    process.start()
    held.close()
    wait_until(lambda: len(lines(tmp_path / "made")) > 3)
    process.kill()
    process.join()
    assert released.poll(30)
    wait_until_free(tmp_path / "o.txt.blocks")
    sharded(out, 1, 2)
    assert lines(tmp_path / "ended") == ["done"]
    sharded(out, 0, 2)
    assert lines(tmp_path / "ended") == ["done", "wrote"]
    assert [int(line) for line in lines(out)] == squares(60)
    assert len(lines(tmp_path / "made")) <= 61


def test_a_shard_without_a_block_leaves_nothing(tmp_path: Path) -> None:
    out, job = tmp_path / "out.txt", Squares(tmp_path, 2)
    with pytest.raises(ShardDone):
        write(out, job, Engine(shard=(0, 3)))
    assert write(out, job, Engine(shard=(1, 3))) == squares(2)
    with pytest.raises(ShardDone, match="none of the blocks is shard 2/3's"):
        write(out, job, Engine(shard=(2, 3)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "opened", "out.txt"]


def test_progress_counts_what_was_there(tmp_path: Path) -> None:
    folder, moves = tmp_path / "blocks", list[tuple[int, int]]()
    folder.mkdir()
    for number in range(4):
        (folder / f"{number:06d}.json").write_text("0")
    hand_out_blocks(
        folder,
        Squares(tmp_path, 8),
        Engine(workers=2),
        lambda done, total: moves.append((done, total)),
    )
    assert moves == sorted(moves)
    assert moves[0][0] >= 4
    assert moves[-1] == (8, 8)


@pytest.mark.parametrize("text", ["1", "1/1", "2/2", "-1/2", "a/b", "1/2/3", "0/0"])
def test_no_shard(text: str) -> None:
    with pytest.raises(PlanError, match="give i/N with i from 0 to N - 1"):
        parse_shard(text)


def test_an_engines_shard_is_a_pair() -> None:
    with pytest.raises(PlanError, match=r"such as \(0, 4\)"):
        Engine(shard="0/2")  # type: ignore[arg-type]


def test_every_block_is_one_shards() -> None:
    shards = [Engine(shard=parse_shard(f"{i}/7")).own(range(100), first=3) for i in range(7)]
    assert sorted(number for shard in shards for number in shard) == list(range(100))
    assert {len(shard) for shard in shards} == {14, 15}
