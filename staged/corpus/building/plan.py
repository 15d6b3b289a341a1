"""The plan of `staged corpus build`: where pages stand, what is taken of them, and what hands out
the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from staged.errors import PlanError
from staged.records import SPLITS
from staged.settings import (
    check_each,
    check_listed,
    describing,
    determining,
    from_table,
    read_toml,
)

QUALITY = ("gopher-repetition", "gopher-quality", "c4", "fineweb")
MOST = 0.95  # of a threshold: above it no bands of MinHash are long enough
MINHASH, EXACT = "minhash", "exact"
LOCAL, SLURM, RAY = EXECUTORS = ("local", "slurm", "ray")


@dataclass(frozen=True)
class ExecutorSettings:
    """What hands out the work; nothing that is made depends on it.

    Attributes:
        name: `local`, processes of this machine; `slurm`, array jobs; `ray`, a cluster of Ray.
        tasks: parts of the work at most, files each; what was done is kept part by part.
        workers: parts at work at once; 0 takes one a core with `local`, all with the others.
        memory_gb: of a worker, for Slurm and Ray.
        address: of the Ray cluster; empty starts one on this machine.
        partition: of Slurm.
        time: limit of a Slurm job.
        setup: a shell command that a Slurm job begins with, such as one that activates the Python
            environment.
    """

    name: str = LOCAL
    tasks: int = 64
    workers: int = 0
    memory_gb: int = 2
    address: str = ""
    partition: str = ""
    time: str = "24:00:00"
    setup: str = ""

    def __post_init__(self) -> None:
        check_each(
            (
                (self.name in EXECUTORS, f"name {self.name!r}; known: {', '.join(EXECUTORS)}"),
                (1 <= self.tasks <= 100_000, f"tasks {self.tasks} must be 1 to 100,000"),
                (0 <= self.workers <= 100_000, f"workers {self.workers} must be 0 to 100,000"),
                (self.memory_gb >= 1, f"memory_gb {self.memory_gb} must be 1 or more"),
                (self.name != SLURM or bool(self.partition), "slurm needs a partition"),
            ),
            where="[executor]",
        )


@dataclass(frozen=True)
class BuildSettings:
    """A corpus from pages: which, and what is taken of them.

    Attributes:
        pages: WARC files (.warc, .warc.gz), HTML files, and folders of both; of a folder's page
            without an archive, `HOST/PATH` below the folder is its URL.
        urls: a list of URLs with votes, .tsv (`URL<tab>VOTES`) or .jsonl (`url`, `votes`); pages
            that are not on it are left out. Empty takes all pages.
        minimum_votes: of a listed URL; one listed several times has the most that it is listed
            with.
        hosts_left_out: hosts whose pages are left out, with all below them.
        precision: whether text is extracted with less that is doubtful, and less of what is right.
        timeout_s: seconds that one page's extraction may take.
        languages: ISO 639 codes of languages that are taken, by the likeliest one of a text; none
            takes all.
        quality: filters of texts, in their order, by their published rules: `gopher-repetition`,
            `gopher-quality`, `c4` (which also leaves out lines), `fineweb`.
        duplicates: how near-duplicates are found: `minhash`, for any number of texts, or `exact`,
            which holds all in memory, and takes none for one that is not as similar.
        threshold: Jaccard similarity of 5-word shingles from which two texts are near-duplicates;
            of `minhash` the similarity at which about half of all pairs are found.
        shares: split → fraction of the characters; whole sites only.
        seed: of the draw that deals sites to splits.
        executor: what hands out the work.
        title: what the corpus is called.
        licence: the terms under which it may be used.
    """

    pages: tuple[str, ...]
    urls: str = ""
    minimum_votes: int = 3
    hosts_left_out: tuple[str, ...] = ("wikipedia.org",)
    precision: bool = True
    timeout_s: int = 60
    languages: tuple[str, ...] = ("en",)
    quality: tuple[str, ...] = ("gopher-repetition", "gopher-quality")
    duplicates: str = MINHASH
    threshold: float = 0.75
    shares: dict[str, float] = field(
        default_factory=lambda: {"pretrain": 0.97, "train": 0.01, "valid": 0.01, "test": 0.01}
    )
    seed: int = 1
    executor: ExecutorSettings = field(default_factory=ExecutorSettings)
    title: str = describing()
    licence: str = describing()

    def __post_init__(self) -> None:
        check_listed(self.pages, where="pages")
        for names, known in ((self.quality, QUALITY), (self.languages, ()), (self.shares, SPLITS)):
            if names:
                check_listed(tuple(names), where="quality, languages and shares", known=known)
        check_each(
            (
                (
                    self.duplicates in (MINHASH, EXACT),
                    f"duplicates {self.duplicates!r}; known: {MINHASH}, {EXACT}",
                ),
                (
                    0 < self.threshold <= MOST,
                    f"threshold {self.threshold} must be above 0, at most {MOST}",
                ),
                (self.timeout_s >= 1, f"timeout_s {self.timeout_s} must be 1 or more"),
                (bool(self.shares), "shares must name a split"),
            ),
            where="the plan",
        )

    def recorded(self) -> dict[str, Any]:
        """What determines the corpus, but for its pages, which their content tells."""
        aside = ("pages", "urls", "executor", "timeout_s")
        return {key: value for key, value in determining(self).items() if key not in aside}


def read_build(
    path: Path,
    *,
    pages: tuple[str, ...] = (),
    urls: str = "",
    executor: str = "",
    address: str = "",
    workers: int = 0,
) -> BuildSettings:
    """A plan, with what a command line says in its place.

    Raises:
        PlanError: as `from_table`, or values that cannot be.
    """
    table = read_toml(path)
    table |= {"pages": list(pages)} if pages else {}
    table |= {"urls": urls} if urls else {}
    flags = {"name": executor, "address": address, "workers": workers}
    given = {key: value for key, value in flags.items() if value}
    inner = table.pop("executor", {})
    if not isinstance(inner, dict):
        raise PlanError(f"{path}: executor must be a table of keys and values, not {inner!r}")
    where = f"{path} [executor]"
    settings = from_table(BuildSettings, table, where=str(path))
    return replace(settings, executor=from_table(ExecutorSettings, inner | given, where=where))
