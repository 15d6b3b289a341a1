"""A detector's samples and numbers by workers and by shards: the bytes of one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import staged
from staged.errors import ShardDone
from staged.training.readers.detector import gather
from staged.training.readers.judging import judged
from staged.training.readers.plan import ReadersSettings


def silent(what: str, done: int, total: int) -> None:
    """Nobody wants to know."""


def read(out: Path, settings: ReadersSettings, engine: staged.Engine) -> np.ndarray:
    examples = gather(out, settings, device="cpu", engine=engine, progress=silent)
    _, numbers = judged(out, examples, settings, device="cpu", engine=engine, progress=silent)
    return numbers


def test_shards_share_generators_and_numbers(settings: ReadersSettings, tmp_path: Path) -> None:
    alone = read(tmp_path / "alone", settings, staged.Engine(workers=1))
    out, shards = tmp_path / "shards", [staged.Engine(workers=1, shard=(i, 2)) for i in (0, 1)]
    for number in (1, 0):  # one generator, of shard 0; then half of the numbers
        with pytest.raises(ShardDone, match="still to come"):
            read(out, settings, shards[number])
    assert np.array_equal(read(out, settings, shards[1]), alone)
    assert np.array_equal(read(out, settings, shards[0]), alone)
    files = sorted(path.relative_to(out) for path in out.rglob("*.npy"))
    assert files == sorted(
        path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone").rglob("*.npy")
    )
