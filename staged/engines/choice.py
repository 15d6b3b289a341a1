"""Which engine computes, as a user says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from staged.errors import PlanError, ShardDone
from staged.pages.figures import counted
from staged.settings import nearest

__all__ = ["ALL_CORES", "ENGINES", "HERE", "Engine", "parse_shard"]

ENGINES = ("local", "ray")
MOST_WORKERS = 4096


@dataclass(frozen=True)
class Engine:
    """Where and by how many processes a job's blocks are computed; no byte of a result depends on
    it.

    Attributes:
        name: `local`, processes of this machine, or `ray`, a cluster's.
        address: of a Ray cluster to which this machine belongs: `auto`, or HOST:PORT where there
            are several; empty starts one on this machine.
        workers: processes, one thread each; 0 takes one a GPU where there are some, else one a
            core.
        shard: (i, N): of each job do every N-th block, beginning with the i-th; whoever finds all
            blocks done joins them. None does all.

    Raises:
        PlanError: one of them cannot be.
    """

    name: str = "local"
    address: str = ""
    workers: int = 0
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise PlanError(f"engine {self.name!r}; {nearest(self.name, ENGINES)}")
        if self.address and self.name != "ray":
            raise PlanError(f"--address {self.address} is of --engine ray; give that, or leave it")
        if self.address and not re.fullmatch(r"auto|[^\s/]+:\d{1,5}", self.address):
            raise PlanError(
                f"--address {self.address}: give auto, or HOST:PORT of a Ray cluster to which this"
                " machine belongs"
            )
        if not 0 <= self.workers <= MOST_WORKERS:
            raise PlanError(
                f"the number of workers must be 0 to {MOST_WORKERS:,}, not {self.workers}"
            )
        if isinstance(self.shard, str):
            raise PlanError(f"shard {self.shard!r}: give a pair of numbers, such as (0, 4)")
        if self.shard and not 0 <= self.shard[0] < self.shard[1]:
            raise PlanError(_no_shard(self.said))

    @property
    def is_here(self) -> bool:
        """Whether this process does the work itself, and all of it."""
        return self.name == "local" and self.workers == 1 and self.shard is None

    def own(self, numbers: Sequence[int], *, first: int = 0) -> list[int]:
        """Those of the numbers that are this shard's.

        Args:
            first: the shard of number 0.
        """
        if self.shard is None:
            return list(numbers)
        shard, shards = self.shard
        return [number for number in numbers if (number + first) % shards == shard]

    def check_shares(self, out: Path, missing: int) -> None:
        """Whether all shards have done theirs.

        Raises:
            ShardDone: some have not.
        """
        if self.shard and missing:
            raise ShardDone(
                f"{out}: shard {self.said} has done its part; {counted(missing, 'block')} of other"
                " shards are still to come: the last shard to end writes the result, and one that"
                " was interrupted is given again"
            )

    @property
    def whole(self) -> Engine:
        """The same for a piece of work that is one shard's alone."""
        return replace(self, shard=None)

    @property
    def said(self) -> str:
        """The shard, as it was asked for."""
        return "/".join(map(str, self.shard or ()))


HERE = Engine(workers=1)
ALL_CORES = Engine()


def parse_shard(text: str) -> tuple[int, int] | None:
    """i and N of `i/N`; None of nothing.

    Raises:
        PlanError: it is not of that form.
    """
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if match is None or int(match[1]) >= int(match[2]):
        raise PlanError(_no_shard(text))
    return int(match[1]), int(match[2])


def _no_shard(text: str) -> str:
    return f"--shard {text}: give i/N with i from 0 to N - 1, such as 0/4"
