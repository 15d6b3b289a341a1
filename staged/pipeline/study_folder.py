"""A study's folder: human texts first, the other stages by workers, then the results, its manifest
last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from staged.pipeline.run import run_here, run_stages
from staged.pipeline.stage import Stage
from staged.storage.gate import (
    MANIFEST,
    check_construction,
    check_replaceable,
    check_stage,
    holds,
    start_ledger,
)
from staged.storage.json_files import read_json, write_json
from staged.storage.stage_folders import fingerprint, is_complete, partial_of
from staged.storage.versions import versions
from staged.storage.writing import disk_errors, locked

# (all stages, the one that moved, its share done in [0, 1])
Report = Callable[[Sequence[Stage], Stage, float], None]


def carry_out(
    root: Path,
    recorded: Mapping[str, Any],
    corpora: Sequence[Stage],
    others: Sequence[Stage],
    *,
    kind: str,
    check: Callable[[], None],
    write: Callable[[], None],
    results: Sequence[str],
    earlier: Sequence[str] = (),
    workers: int = 1,
    report: Report = lambda stages, stage, share: None,
) -> bool:
    """Make or complete a study's folder: human texts here, the other stages by workers, then the
    results.

    Args:
        recorded: the settings, as the folder's manifest holds them.
        kind: what the folder is called; one of another kind is refused.
        check: looks at the human texts: too few are said now, not after an hour of sampling.
        write: makes the files named by `results` from the finished stages.
        earlier: results that another plan of this kind has, and that may stand here.

    Returns:
        True when work was done, False when everything was there.

    Raises:
        StagedError: of any stage; what is finished stays.
    """
    stages = [*corpora, *others]
    with disk_errors(root), locked(root):
        manifest = root / MANIFEST
        _claim(root, kind, stages, (*results, *earlier))
        if (
            manifest.is_file()
            and read_json(manifest).get("settings") != fingerprint(recorded, {})["settings"]
        ):
            manifest.unlink()  # of another plan: from here on the folder is on its way to this one
        worked = False
        for corpus in corpora:
            worked |= run_here(
                root, corpus, report=lambda stage, share: report(stages, stage, share)
            )
        check()
        done = {corpus.name for corpus in corpora}
        worked |= (
            run_stages(
                root,
                others,
                done=done,
                workers=workers,
                report=lambda *moved: report(stages, *moved),
            )
            > 0
        )
        wanted = fingerprint(recorded, {stage.name: root / stage.name for stage in stages})
        if (
            not worked
            and is_complete(root, wanted)
            and all((root / name).is_file() for name in results)
        ):
            return False
        manifest.unlink(missing_ok=True)
        write()
        write_json(manifest, wanted | {"versions": versions()})
        return True


def _claim(root: Path, kind: str, stages: Sequence[Stage], results: Sequence[str]) -> None:
    """Before the long work: nothing stands in the way that is not ours, and the folder is marked as
    this kind's.
    """
    known = holds("settings", "inputs", "versions")
    for stage in stages:
        check_construction(partial_of(root / stage.name))
        if not is_complete(root / stage.name):
            check_stage(root / stage.name)
    check_replaceable(root / MANIFEST, known)
    kept = known(root / MANIFEST)  # of a version that kept no ledger
    ours = dict.fromkeys(results)
    start_ledger(root, kind, adopted=[root / name for name in (*ours, MANIFEST)] if kept else ())
    for name in ours:
        check_replaceable(root / name)
