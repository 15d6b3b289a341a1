"""A stage's blocks, made by themselves."""

from __future__ import annotations

from pathlib import Path

from staged.engines.blocks import Blocks, blocks_left
from staged.pipeline.stage import Inputs, SplitStage, StageBlocks
from staged.places.blocks import claimed
from staged.progress import silent
from staged.storage.marks import BLOCKS


def check_made_backwards(stage: SplitStage, root: Path, inputs: Inputs, folder: Path) -> None:
    """The last block first, by several openings of the stage, and joined: the bytes are those of
    the finished stage below `root`.
    """
    blocks = folder / BLOCKS
    blocks.mkdir(parents=True)
    task = Blocks(claimed(blocks), StageBlocks(stage, inputs))
    assert len(set(stage.blocks)) == len(stage.blocks) > 0
    numbers = range(len(stage.blocks) - 1, -1, -1)
    for first in (0, 1):
        with task.opened() as perform:
            for number in numbers[first::2]:
                perform(number, silent)
    assert blocks_left(task.folder, task.job) == []
    stage.write(folder, inputs, silent)
    written = sorted(path for path in folder.iterdir() if path != blocks)
    assert written
    for path in written:
        assert path.read_bytes() == (root / stage.name / path.name).read_bytes(), path
