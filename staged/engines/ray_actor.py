"""A worker's side of Ray."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from staged.engines.contract import Ended, Failed, Task
from staged.engines.worker import Worker, settle, told
from staged.errors import ArtifactError, PlanError
from staged.storage.versions import VERSIONED, versions

Outcome = Ended | Failed
BFLOAT16 = "bfloat16"


class Actor:
    """A worker's side of Ray: a process of the cluster.

    Args:
        worker: its number.
        folder: the driver's working folder, from which tasks name what they read and write.
        wanted: the driver's versions of what a result's bytes depend on.
    """

    def __init__(self, worker: int, folder: str, wanted: dict[str, str]) -> None:
        self._number = worker
        self._fault = _enter(folder) or _compare(wanted)
        settle()
        self._worker = Worker()
        self._at: tuple[int, float] | None = None

    def fault(self) -> Exception | None:
        """Why this process cannot work for the driver; None where it can."""
        return self._fault

    def do(self, task: Task, numbers: Sequence[int]) -> list[Outcome]:
        """Do some numbers, up to one that fails."""
        outcomes: list[Outcome] = []
        for number in numbers:
            self._at = (number, 0.0)
            outcomes.append(self._do(task, number))
            self._at = None
            if isinstance(outcomes[-1], Failed):
                break
        return outcomes

    def _do(self, task: Task, number: int) -> Outcome:
        def moved(share: float) -> None:
            self._at = (number, share)

        try:
            return Ended(self._number, number, self._worker.do(task, number, moved))
        except Exception as error:
            return Failed(self._number, number, told(error))

    def at(self) -> tuple[int, float] | None:
        """Asked beside the work: the number that is being done, and the share done."""
        return self._at


def _enter(folder: str) -> Exception | None:
    try:
        os.chdir(folder)
        return None
    except OSError as error:
        return ArtifactError(
            f"{folder}: is not on every machine of the Ray cluster: {error.strerror}; run the"
            " command in a folder that all of them share"
        )


def _compare(wanted: dict[str, str]) -> Exception | None:
    here = versions_here()
    differing = [
        f"{name} {version} ({here.get(name)} there)"
        for name, version in wanted.items()
        if here.get(name) != version and not (name == BFLOAT16 and torch.cuda.is_available())
    ]
    return (
        PlanError(
            f"a machine of the Ray cluster would not give the same bytes: it has not"
            f" {', '.join(differing)}; take machines that are alike"
        )
        if differing
        else None
    )


def versions_here() -> dict[str, str]:
    """What of this machine decides bytes that are said to be the same: libraries, and whether its
    processor multiplies bfloat16 itself, which chooses the precision of what no GPU computes.
    """
    native = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    known = {name: version for name, version in versions().items() if name in VERSIONED}
    return known | {BFLOAT16: "native" if native else "emulated"}
