"""What came of building a corpus: counts, and the page that says what was left out."""

from __future__ import annotations

from dataclasses import dataclass

from staged.corpus.building.addresses import UrlCounts
from staged.pages.figures import counted
from staged.pages.markdown import table

COUNTS, PAGE, LEFT_OUT, DOCUMENTS = "counts.json", "left_out.md", "left_out.jsonl", "documents"


@dataclass(frozen=True)
class StepCounts:
    """A step: how many came to it, how many it left out, and of these how many for which reason,
    the most frequent first.
    """

    name: str
    entered: int
    left_out: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class SplitCounts:
    """A split: documents, sites, characters."""

    documents: int
    sites: int
    characters: int


@dataclass(frozen=True)
class BuildCounts:
    """What a corpus was made of.

    Attributes:
        found: files and records by kind.
        other_files: that stood there and are no pages.
        urls: of the list; None where all pages are taken.
        steps: in their order.
        lines: left out of texts that stay, by the reason that C4's filter has.
        pairs_found: similarity → the probability that two texts as similar count as
            near-duplicates; of the exact index empty.
        splits: name → what is in it.
    """

    found: dict[str, int]
    other_files: int
    urls: UrlCounts | None
    steps: tuple[StepCounts, ...]
    lines: dict[str, int]
    pairs_found: dict[str, float]
    splits: dict[str, SplitCounts]

    @property
    def documents(self) -> int:
        """In all splits."""
        return sum(split.documents for split in self.splits.values())


def page_of(counts: BuildCounts, title: str) -> str:
    """The page, Markdown: what was there, what each step left out, what came of it."""
    parts = [f"# {title or 'A corpus'}: what is in it, and what was left out", ""]
    parts += ["## What stood there", "", *_found(counts), ""]
    parts += ["## What was left out", "", *_steps(counts), *_reasons(counts)]
    if counts.lines:
        rows = [[name, f"{number:,}"] for name, number in counts.lines.items()]
        parts += ["## Lines left out of documents", "", *table(["why", "lines"], rows)]
    if counts.pairs_found:
        parts += ["## How sure it is that near-duplicates are gone", "", *_sureness(counts)]
    return "\n".join([*parts, "## What came of it", "", *_splits(counts)])


def _found(counts: BuildCounts) -> list[str]:
    lines = [f"* {name}: {number:,}" for name, number in sorted(counts.found.items())]
    lines += [f"* {counted(counts.other_files, 'other file')}, which are no pages"]
    if counts.urls is not None:
        urls = counts.urls
        lines += [
            f"* {counted(urls.rows, 'row')} in the list of URLs, {urls.few_votes:,} with too few"
            f" votes; the others are of {counted(urls.pages, 'page')}, of which {urls.missing:,}"
            " do not stand in the files"
        ]
    return lines


def _steps(counts: BuildCounts) -> list[str]:
    rows = [
        [step.name, f"{step.entered:,}", f"{step.left_out:,}", f"{step.entered - step.left_out:,}"]
        for step in counts.steps
    ]
    return table(["step", "came", "left out", "stayed"], rows)


def _reasons(counts: BuildCounts) -> list[str]:
    rows = [
        [step.name, reason, f"{number:,}"]
        for step in counts.steps
        for reason, number in step.reasons.items()
    ]
    head = f"Each page that was left out has its row in `{LEFT_OUT}`."
    return [head, "", *(table(["step", "why", "pages"], rows) if rows else [])]


def _sureness(counts: BuildCounts) -> list[str]:
    rows = [[name, f"{number:.4f}"] for name, number in counts.pairs_found.items()]
    head = (
        "MinHash errs: the probability that two texts count as near-duplicates, by the Jaccard"
        " similarity of their 5-word shingles."
    )
    return [head, "", *table(["similarity", "probability"], rows)]


def _splits(counts: BuildCounts) -> list[str]:
    rows = [
        [name, f"{split.documents:,}", f"{split.sites:,}", f"{split.characters:,}"]
        for name, split in counts.splits.items()
    ]
    return table(["split", "documents", "sites", "characters"], rows)
