"""Runs a study's stages by an engine: each when what it needs is there, none twice.

A stage that is a list of blocks is many workers' work, then one's, who joins them; any other is
one's. Every worker computes on one thread, so results don't depend on how many there are.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from staged.engines.blocks import Blocks, blocks_left
from staged.engines.choice import Engine
from staged.engines.contract import Perform
from staged.engines.scheduling import Work, hand_out
from staged.engines.started import started
from staged.notes import note
from staged.pipeline.stage import SplitStage, Stage, StageBlocks
from staged.places.blocks import claimed, clear, store_of
from staged.places.mirror import url_of
from staged.places.stages import agree, at_hand, check_free, publish, stands_at_url
from staged.progress import Progress
from staged.storage.marks import BLOCKS
from staged.storage.stage_folders import begin, build, fingerprint, is_complete, partial_of

# (stage, share done in [0, 1]); 1.0 comes exactly once a stage
StageProgress = Callable[[Stage, float], None]
SECONDS = 1.0  # between two looks at what other shards have made
IDLE_SECONDS = 10.0  # until it is said for what a shard waits that has nothing to do


def run_stages(
    root: Path,
    stages: Sequence[Stage],
    *,
    engine: Engine,
    report: StageProgress = lambda stage, share: None,
) -> int:
    """Make every stage's folder below `root` that is not already complete and current.

    Args:
        stages: those that can be made at the same time are begun in this order; what they read and
            is not among them is complete.

    Returns:
        How many stages had work to do here.

    Raises:
        StagedError: the first stage that fails; what is finished stays, and the next call continues
            from it.
        ArtifactError: worker processes died, as when memory runs out.
    """
    run = _Run(root, stages, engine, report)
    works = run.next()
    if works or run.waiting:
        with started(engine) as workers:
            hand_out(workers, works, then=run.then, report=run.moved, others=run.looked)
    return run.worked


def is_current(root: Path, stage: Stage) -> bool:
    """Whether a stage's folder is there, of these settings and inputs."""
    folder = root / stage.name
    if not (is_complete(folder) or stands_at_url(folder)):
        return False
    wanted = fingerprint(stage.settings, at_hand(stage.inputs(root)))
    agree(folder, wanted)
    return is_complete(folder, wanted)


def run_here(
    root: Path, stage: Stage, *, report: StageProgress = lambda stage, share: None
) -> bool:
    """Make one stage's folder in this process; True when there was work to do."""
    worked = _make(root, stage, lambda done, total: report(stage, min(done / total, 0.99)))
    report(stage, 1.0)
    return worked


def _make(root: Path, stage: Stage, progress: Progress, *, patient: bool = False) -> bool:
    if url_of(root) and is_current(root, stage):
        return False
    inputs = at_hand(stage.inputs(root))
    check_free(root / stage.name)
    worked = build(
        root / stage.name,
        lambda folder: stage.write(folder, inputs, progress),
        settings=stage.settings,
        inputs=inputs,
        patient=patient,
    )
    publish(root / stage.name)
    return worked


@dataclass(frozen=True)
class Making:
    """A `Task`: a stage's folder, of which number 0 is all; a split stage's blocks are joined."""

    root: Path
    stage: Stage

    @property
    def name(self) -> str:
        return self.stage.name

    @contextmanager
    def opened(self) -> Iterator[Perform]:
        def perform(number: int, progress: Progress) -> None:
            # whoever else is at it is another shard, or a worker of a driver that has died
            _make(self.root, self.stage, progress, patient=True)

        yield perform


def _shard(stage: Stage) -> int:
    """Whose number 0 is, so that the shards share what cannot be split."""
    return zlib.crc32(stage.name.encode())


class _Run:
    """Which stages can be made, and what of them is this process's to do."""

    def __init__(
        self, root: Path, stages: Sequence[Stage], engine: Engine, report: StageProgress
    ) -> None:
        self.worked = 0
        self._root, self._engine, self._report = root, engine, report
        self._stages = {stage.name: stage for stage in stages}
        self._places = {name: place for place, name in enumerate(self._stages)}
        self._order = TopologicalSorter(
            {stage.name: [need.name for need in stage.needs] for stage in stages}
        )
        self._order.prepare()
        self.waiting: dict[str, Stage] = {}  # for other shards
        self._ahead: dict[str, float] = {}  # of a split stage the share that was there before
        self._looked = self._active = time.monotonic()
        self._is_noted = False

    def next(self) -> list[Work]:
        """What can be done now; stages that are complete and current are reported, and what waited
        for them is looked at in turn.
        """
        works = []
        while names := self._order.get_ready():
            for name in sorted(names, key=lambda name: self._places.get(name, -1)):
                stage = self._stages.get(name)
                if stage is not None and not is_current(self._root, stage):
                    works += self._works(stage)
                else:
                    self._done(name)
        return works

    def _done(self, name: str) -> None:
        self._order.done(name)
        self.waiting.pop(name, None)
        if name in self._stages:
            self._report(self._stages[name], 1.0)

    def _works(self, stage: Stage) -> list[Work]:
        """What of a stage is to be done here before all else."""
        if not isinstance(stage, SplitStage) or not stage.blocks:
            return self._whole(stage)
        inputs = at_hand(stage.inputs(self._root))
        check_free(self._root / stage.name)
        folder = begin(self._root / stage.name, settings=stage.settings, inputs=inputs)
        if folder is None:
            return self._whole(stage)
        try:
            task = Blocks(claimed(folder), StageBlocks(stage, inputs))
        except FileNotFoundError:  # another shard has just joined them
            return self._whole(stage)
        left = blocks_left(task.folder, task.job)
        if not task.folder.is_dir():  # the same
            return self._whole(stage)
        if url_of(self._root) and is_current(self._root, stage):  # the same, at a URL
            clear(partial_of(self._root / stage.name))
            self._done(stage.name)
            return []
        self._ahead[stage.name] = 1 - len(left) / len(stage.blocks)
        return [Work(task, self._engine.own(left, first=_shard(stage)), stage)]

    def _whole(self, stage: Stage) -> list[Work]:
        """A stage that is made, or joined, by one; another shard's is waited for."""
        if self._engine.own([0], first=_shard(stage)):
            return [Work(Making(self._root, stage), (0,), stage)]
        self.waiting[stage.name] = stage
        return []

    def then(self, work: Work) -> list[Work]:
        """What can begin now that this has ended."""
        self._active = time.monotonic()
        stage = work.about
        assert isinstance(stage, Stage)
        if isinstance(work.task, Making):
            self.worked += 1
            self._done(stage.name)
            return self.next()
        if self._is_split(stage):
            self.waiting[stage.name] = stage
            return []
        return self._whole(stage)

    def _is_split(self, stage: Stage) -> bool:
        """Whether blocks of a stage are still other shards' work."""
        folder = partial_of(self._root / stage.name) / BLOCKS
        if self._engine.shard is None or not isinstance(stage, SplitStage):
            return False
        return bool(blocks_left(store_of(folder), StageBlocks(stage, {})))

    def looked(self) -> list[Work] | None:
        """What other shards have made possible; None where none is waited for."""
        if not self.waiting:
            return None
        if time.monotonic() - self._looked < SECONDS:
            return []
        self._looked = time.monotonic()
        self._note_waiting()
        works = []
        for stage in list(self.waiting.values()):
            if is_current(self._root, stage):
                self._done(stage.name)
                works += self.next()
            elif not self._is_split(stage) and (joined := self._whole(stage)):
                del self.waiting[stage.name]
                works += joined
        return works

    def _note_waiting(self) -> None:
        """Say once for what this shard waits, when it has had nothing to do for a while."""
        if self._is_noted or time.monotonic() - self._active < IDLE_SECONDS:
            return
        self._is_noted = True
        names = list(self.waiting)
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        note(
            f"{self._root}: shard {self._engine.said} waits for other shards, which have still to"
            f" do their part of {', '.join(names[:3])}{more}"
        )

    def moved(self, work: Work, share: float) -> None:
        """Report how far a stage is; not while its blocks are joined."""
        self._active = time.monotonic()
        stage = work.about
        assert isinstance(stage, Stage)
        if not (isinstance(stage, SplitStage) and stage.blocks):
            self._report(stage, share)
        elif isinstance(work.task, Blocks):
            own = len(work.numbers) / len(stage.blocks)
            self._report(stage, min(self._ahead[stage.name] + own * share, 0.99))
