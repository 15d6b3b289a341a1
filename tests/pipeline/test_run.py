"""Stages that are blocks: what a run continues, what it reports, and what others do meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from staged.engines.blocks import Blocks, blocks_left
from staged.engines.choice import Engine
from staged.errors import SamplingError
from staged.pipeline import run
from staged.pipeline.run import is_current, run_here, run_stages
from staged.pipeline.stage import Stage, StageBlocks
from staged.places.blocks import claimed, store_of
from staged.progress import silent
from staged.storage.marks import BLOCKS
from staged.storage.stage_folders import begin, partial_of
from tests.engines.jobs import lines
from tests.pipeline.stages import Asked, Squares
from tests.studies.commands import fork_workers

ALONE = Engine(workers=1, shard=(0, 1))  # a worker beside this process
TWO = Engine(workers=2)


@pytest.fixture
def squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Squares:
    fork_workers(monkeypatch)
    return Squares(count=12, log=tmp_path)


def reported(root: Path, stages: Sequence[Stage], engine: Engine = ALONE) -> list[float]:
    shares: list[float] = []
    run_stages(root, stages, engine=engine, report=lambda stage, share: shares.append(share))
    return shares


def test_what_stands_is_continued_and_counted(squares: Squares, tmp_path: Path) -> None:
    root = tmp_path / "root"
    with pytest.raises(SamplingError, match="number 9: cannot be had"):
        run_stages(root, [replace(squares, refused=9)], engine=ALONE)
    store = store_of(partial_of(root / "squares") / BLOCKS)
    left = blocks_left(store, StageBlocks(squares, {}))
    assert 9 in left
    shares = reported(root, [squares])
    assert shares == sorted(shares)
    assert shares[0] > 1 - len(left) / 12
    assert [share for share in shares if share == 1] == [1]
    assert (root / "squares/squares.txt").read_text().split()[-1] == "121"
    assert sorted(map(int, lines(tmp_path / "made"))) == sorted([*range(12), 9])
    assert reported(root, [squares]) == [1]


def test_where_joining_fails_no_block_is_made_again(squares: Squares, tmp_path: Path) -> None:
    with pytest.raises(SamplingError, match="cannot be joined"):
        run_stages(tmp_path, [replace(squares, refuses_to_join=True)], engine=ALONE)
    run_stages(tmp_path, [squares], engine=ALONE)
    assert sorted(map(int, lines(tmp_path / "made"))) == list(range(12))
    assert sorted(path.name for path in (tmp_path / "squares").iterdir()) == [
        "manifest.json",
        "squares.txt",
    ]


def test_a_stage_without_blocks_says_how_far_it_is(squares: Squares, tmp_path: Path) -> None:
    asked = Asked(count=3, log=tmp_path)
    shares: list[float] = []
    watched = run._Run(tmp_path, [asked], ALONE, lambda stage, share: shares.append(share))
    [work] = watched.next()
    watched.moved(work, 0.5)
    assert shares == [0.5]


def test_joining_is_no_step_back(squares: Squares, tmp_path: Path) -> None:
    shares: list[float] = []
    watched = run._Run(tmp_path, [squares], TWO, lambda stage, share: shares.append(share))
    [blocks] = watched.next()
    watched.moved(blocks, 0.9)
    [making] = watched.then(blocks)
    watched.moved(making, 0.1)
    assert shares == [0.9]


def test_a_share_of_a_shard_is_of_all_blocks(squares: Squares, tmp_path: Path) -> None:
    shares: list[float] = []
    third = Engine(workers=1, shard=(1, 3))
    watched = run._Run(tmp_path, [squares], third, lambda stage, share: shares.append(share))
    [work] = watched.next()
    assert len(work.numbers) == 4
    watched.moved(work, 0.75)
    assert shares == [0.25]


def test_a_block_that_others_have_made_and_joined_meanwhile(
    squares: Squares, tmp_path: Path
) -> None:
    """As where a shard is given twice, or a worker was thought dead."""
    folder = begin(tmp_path / "squares", settings=squares.settings, inputs={})
    assert folder
    task = Blocks(claimed(folder), StageBlocks(squares, {}))
    with task.opened() as perform:
        perform(3, silent)
        assert run_here(tmp_path, squares)
        assert not folder.exists()
        perform(4, silent)
    assert lines(tmp_path / "made").count("4") == 1
    assert is_current(tmp_path, squares)
    assert blocks_left(task.folder, task.job) == list(range(12))


def test_a_folder_that_is_not_there_is_no_joined_one(squares: Squares, tmp_path: Path) -> None:
    """As on a machine that does not share it."""
    task = Blocks(tmp_path / "squares.partial" / BLOCKS / "digest", StageBlocks(squares, {}))
    with task.opened() as perform, pytest.raises(FileNotFoundError):
        perform(4, silent)


@pytest.mark.parametrize("moment", ["claimed", "blocks_left"])
def test_blocks_that_vanish_before_they_are_counted(
    moment: str, squares: Squares, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another shard joins them between two looks of this one."""
    look = getattr(run, moment)

    def late(*arguments: Any) -> Any:
        run_here(tmp_path, squares)
        return look(*arguments)

    monkeypatch.setattr(run, moment, late)
    assert reported(tmp_path, [squares]) == [1]
    assert sorted(map(int, lines(tmp_path / "made"))) == list(range(12))
