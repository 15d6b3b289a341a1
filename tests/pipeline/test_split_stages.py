"""A stage's blocks in a folder that several processes share, and a plan that was changed meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from staged.engines.blocks import Blocks, blocks_left
from staged.pipeline.run import run_here
from staged.pipeline.stage import Inputs, SplitStage, StageBlocks
from staged.places.blocks import claimed
from staged.progress import silent
from staged.storage.stage_folders import begin


@dataclass(frozen=True, kw_only=True)
class Repeated(SplitStage):
    """A letter, once, twice, thrice."""

    letter: str

    @property
    def name(self) -> str:
        return "repeated"

    @property
    def blocks(self) -> tuple[str, ...]:
        return ("1.json", "2.json", "3.json")

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], str]]:
        yield lambda number: self.letter * (number + 1)

    def join(self, folder: Path, values: Iterator[str], inputs: Inputs) -> None:
        (folder / "all.txt").write_text("".join(values))


def begun(root: Path, stage: Repeated) -> Blocks[str]:
    folder = begin(root / stage.name, settings=stage.settings, inputs={})
    assert folder
    return Blocks(claimed(folder), StageBlocks(stage, {}))


def test_who_is_still_at_a_former_plan_puts_no_block_into_the_new_one(tmp_path: Path) -> None:
    former = begun(tmp_path, Repeated(letter="a"))
    with former.opened() as perform:
        perform(0, silent)
        assert blocks_left(former.folder, former.job) == [1, 2]
        current = begun(tmp_path, Repeated(letter="b"))
        with pytest.raises(FileNotFoundError):
            perform(1, silent)
    assert blocks_left(current.folder, current.job) == [0, 1, 2]
    assert run_here(tmp_path, Repeated(letter="b"))
    assert (tmp_path / "repeated" / "all.txt").read_text() == "bbbbbb"
    assert sorted(path.name for path in (tmp_path / "repeated").iterdir()) == [
        "all.txt",
        "manifest.json",
    ]


def test_blocks_that_others_have_joined_meanwhile_are_none(tmp_path: Path) -> None:
    task = begun(tmp_path, Repeated(letter="a"))
    shutil.rmtree(task.folder)
    assert blocks_left(task.folder, task.job) == [0, 1, 2]


def test_a_worker_whose_stage_was_joined_meanwhile_has_nothing_to_do(tmp_path: Path) -> None:
    stage = Repeated(letter="a")
    task = begun(tmp_path, stage)
    with task.opened() as perform:
        perform(0, silent)
        assert run_here(tmp_path, stage)
        perform(1, silent)
    assert not task.folder.exists()
