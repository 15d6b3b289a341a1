"""Verbs that make a corpus: of pages, and of rows without their repeats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from staged.progress import NamedProgress
from staged.verbs.given import names_of

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no library
    from staged.corpus.building.results import BuildCounts
    from staged.corpus.repeats.dedup import Deduplicated

__all__ = ["build_corpus", "dedup_corpus"]

THRESHOLD = 0.75


def build_corpus(
    plan: str | Path = "webtext",
    out: str | Path = "out/corpus",
    *,
    pages: str | Path | Sequence[str | Path] = (),
    urls: str | Path = "",
    executor: str = "",
    address: str = "",
    workers: int = 0,
    progress: NamedProgress = lambda what, done, total: None,
) -> BuildCounts:
    """Build a corpus from pages that you have, like WebText; nothing is downloaded. Killed and
    called again, it continues.

    Args:
        plan: a TOML file, or the name of one that ships.
        out: receives documents, what was left out, and counts.
        pages: WARC files, HTML files and folders of both, instead of the plan's.
        urls: a list of URLs with votes, instead of the plan's.
        executor: `local`, `slurm` or `ray`, instead of the plan's.
        address: of a Ray cluster.
        workers: parts at work at once; 0 as the plan says.
        progress: called with (what is done, how much of it, all of it).

    Raises:
        PlanError: of the plan, or an executor that is not there.
        CorpusError: pages that cannot be read, or none that stays.
        ArtifactError: the place cannot be written.

    Example:
        >>> import staged
        >>> counts = staged.build_corpus(pages="crawl", out="out/corpus")  # doctest: +SKIP
        >>> {name: split.documents for name, split in counts.splits.items()}  # doctest: +SKIP
    """
    from staged.corpus.building.libraries import check_libraries
    from staged.corpus.building.plan import read_build
    from staged.plans.shipped import find_plan

    settings = read_build(
        find_plan(plan, command="corpus build"),
        pages=tuple(names_of(pages)),
        urls=str(urls),
        executor=executor,
        address=address,
        workers=workers,
    )
    check_libraries()
    from staged.corpus.building.build import build_corpus as build

    return build(settings, Path(out), progress)


def dedup_corpus(
    files: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    threshold: float = THRESHOLD,
    progress: NamedProgress = lambda what, done, total: None,
) -> Deduplicated:
    """Write rows without those that repeat an earlier one, word for word or nearly, in memory that
    does not grow with the texts. Killed and called again, it continues.

    Args:
        files: rows (.jsonl, .ndjson, .parquet), texts, or folders of both, in their order.
        out: a file of rows; `OUT.removed` lists the others, `OUT.dedup` counts.
        threshold: Jaccard similarity of 5-word shingles from which two rows repeat one another.
        progress: called with (what is done, how much of it, all of it).

    Raises:
        PlanError: a threshold that is none, or a place that is read.
        CorpusError: files that cannot be read.
        ArtifactError: the place cannot be written.

    Example:
        >>> import staged
        >>> result = staged.dedup_corpus("rows.jsonl", "unique.jsonl")  # doctest: +SKIP
        >>> result.rows - result.kept  # doctest: +SKIP
    """
    from staged.corpus.repeats.dedup import deduplicate

    return deduplicate(names_of(files), Path(out), threshold=threshold, progress=progress)
