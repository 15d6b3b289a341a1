"""A study's folder: human texts first, the other stages by workers, then the results, its manifest
last.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from staged.engines.choice import ALL_CORES, Engine
from staged.errors import ShardDone
from staged.notes import note
from staged.pipeline.run import SECONDS, StageProgress, is_current, run_here, run_stages
from staged.pipeline.stage import Inputs, Stage
from staged.places.files import fetch_files, send_files
from staged.places.stages import at_hand
from staged.storage.forms import holds
from staged.storage.gate import check_construction, check_replaceable, check_stage, start_ledger
from staged.storage.json_files import read_json, write_json
from staged.storage.ledger import LEDGER
from staged.storage.marks import MANIFEST
from staged.storage.stage_folders import fingerprint, is_complete, partial_of
from staged.storage.versions import versions
from staged.storage.writing import disk_errors, locked

# (all stages, the one that moved, its share done in [0, 1])
StudyProgress = Callable[[Sequence[Stage], Stage, float], None]


class Study(ABC):
    """Stages, and the results that are made of them.

    Attributes:
        kind: what its folder is called; one of another kind is refused.
        results: the files that `write` makes.
        earlier: results that another plan of this kind has, and that may stand there.
    """

    kind: str
    earlier: tuple[str, ...] = ()

    @property
    @abstractmethod
    def results(self) -> tuple[str, ...]:
        """The names of the files that `write` makes."""

    @property
    @abstractmethod
    def recorded(self) -> dict[str, Any]:
        """The settings, as the folder's manifest holds them."""

    @property
    @abstractmethod
    def corpora(self) -> Sequence[Stage]:
        """Human texts."""

    @property
    @abstractmethod
    def others(self) -> Sequence[Stage]:
        """The other stages."""

    @abstractmethod
    def check(self, inputs: Inputs) -> None:
        """Look at the human texts: too few are said now, not after an hour of sampling."""

    def is_described(self, root: Path) -> bool:
        """Whether the results say of the study what the plan says now and what determines none of
        their numbers.
        """
        return True

    @abstractmethod
    def write(self, root: Path, inputs: Inputs) -> None:
        """Make the results from the finished stages."""


def carry_out(
    root: Path,
    study: Study,
    *,
    engine: Engine = ALL_CORES,
    report: StudyProgress = lambda stages, stage, share: None,
) -> bool:
    """Make or complete a study's folder.

    Returns:
        True when work was done, False when everything was there.

    Raises:
        StagedError: of any stage; what is finished stays.
        ShardDone: the engine does a share of the work, and the results are another's to write.
    """
    stages = [*study.corpora, *study.others]
    inputs = folders(root, stages)
    shard, _ = engine.shard or (0, 1)
    files = (*study.results, *study.earlier, LEDGER)
    with disk_errors(root), locked(root, shared=engine.shard is not None):
        if shard == 0:
            fetch_files(root, [*files, MANIFEST])
            _claim(root, study, stages)
            send_files(root, [LEDGER])
        worked = _make_corpora(root, study, engine, lambda *moved: report(stages, *moved))
        study.check(inputs)
        stages_made = run_stages(
            root, study.others, engine=engine, report=lambda *moved: report(stages, *moved)
        )
        if shard != 0:
            raise ShardDone(
                f"{root}: shard {engine.said} has done its part; shard 0 writes the results"
            )
        worked |= stages_made > 0
        wanted = fingerprint(study.recorded, at_hand(inputs))
        complete = is_complete(root, wanted) and all(
            (root / name).is_file() for name in study.results
        )
        if complete and not worked and study.is_described(root):
            return False
        (root / MANIFEST).unlink(missing_ok=True)
        study.write(root, inputs)
        write_json(root / MANIFEST, wanted | {"versions": versions()})
        send_files(root, files, last=MANIFEST)
        return True


def _make_corpora(root: Path, study: Study, engine: Engine, report: StageProgress) -> bool:
    """Human texts: shard 0 makes them, others wait for it."""
    if engine.shard is None or engine.shard[0] == 0:
        return sum(run_here(root, corpus, report=report) for corpus in study.corpora) > 0
    missing = [corpus.name for corpus in study.corpora if not is_current(root, corpus)]
    if missing:
        note(f"{root}: shard {engine.said} waits for shard 0, which makes {', '.join(missing)}")
    for corpus in study.corpora:
        while not is_current(root, corpus):
            time.sleep(SECONDS)
        report(corpus, 1.0)
    return False


def folders(root: Path, stages: Sequence[Stage]) -> dict[str, Path]:
    """Where each stage's folder stands."""
    return {stage.name: root / stage.name for stage in stages}


def _claim(root: Path, study: Study, stages: Sequence[Stage]) -> None:
    """Before the long work: nothing stands in the way that is not ours, the folder is marked as
    this kind's, and one of another plan is from here on its way to this one.
    """
    known = holds("settings", "inputs", "versions")
    manifest = root / MANIFEST
    for stage in stages:
        check_construction(partial_of(root / stage.name))
        if not is_complete(root / stage.name):
            check_stage(root / stage.name)
    check_replaceable(manifest, known)
    kept = known(manifest)  # of a version that kept no ledger
    ours = dict.fromkeys((*study.results, *study.earlier))
    adopted = [root / name for name in (*ours, MANIFEST)] if kept else ()
    start_ledger(root, study.kind, adopted=adopted)
    for name in ours:
        check_replaceable(root / name)
    plan = fingerprint(study.recorded, {})["settings"]
    if manifest.is_file() and read_json(manifest).get("settings") != plan:
        manifest.unlink()
