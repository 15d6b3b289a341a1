"""A corpus from pages, like WebText: `staged corpus build`.

DIR/documents/SPLIT/TASK.parquet   documents, as every command reads them
DIR/left_out.jsonl                 a row for each page, URL or file that was left out
DIR/left_out.md, counts.json       what each step left out, and what came of it
DIR.partial/work/                  while it works, or after a kill: what is done so far
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupFilter

from staged.corpus.building.addresses import UrlCounts, listed_urls, url_key, voted_keys
from staged.corpus.building.executors import Work, carry_out, check_slurm, cluster
from staged.corpus.building.inputs import Input, find_inputs, inputs_digest
from staged.corpus.building.plan import EXACT, SLURM, BuildSettings
from staged.corpus.building.results import (
    COUNTS,
    DOCUMENTS,
    LEFT_OUT,
    PAGE,
    BuildCounts,
    StepCounts,
    page_of,
)
from staged.corpus.building.steps import near
from staged.corpus.building.steps.left_out import rows_in
from staged.corpus.building.steps.pages import STEP, Pages
from staged.corpus.building.steps.sieves import sieves, steps_of
from staged.corpus.building.steps.splitting import SplitWriter, Stays
from staged.corpus.building.steps.texts import TextsReader, TextsWriter, known_texts
from staged.errors import CorpusError
from staged.progress import NamedProgress
from staged.storage.records import read_record, write_record
from staged.storage.stage_folders import build

NEAR, OTHER_FILES, URLS_MISSING = "near-duplicates", "files", "urls missing"
TOLD = (0.5, 0.6, 0.7, 0.8, 0.9)  # similarities of which the page says how sure MinHash is


def build_corpus(settings: BuildSettings, out: Path, progress: NamedProgress) -> BuildCounts:
    """Build a corpus into a folder; killed and called again, it continues, and a finished one is
    only read.

    Raises:
        CorpusError: pages that cannot be read, a task that failed, or nothing that stays.
        PlanError: the executor is not there.
        ArtifactError: something that is not ours stands in the place.
    """
    inputs, others = find_inputs(settings.pages)
    files = {"urls": Path(settings.urls)} if settings.urls else {}
    wanted = settings.recorded() | {"pages": inputs_digest(inputs), "files": len(inputs)}
    for path in files.values():
        next(listed_urls(path), None)
    if settings.executor.name == SLURM:
        check_slurm(settings.executor)
    building = Building(settings, inputs, others, progress)
    build(out, building.write, settings={"corpus": wanted}, inputs=files)
    return read_record(out / COUNTS, BuildCounts)


class Building:
    """One build: what is asked for, and what is done in a folder under construction."""

    def __init__(
        self,
        settings: BuildSettings,
        inputs: list[Input],
        others: list[str],
        progress: NamedProgress,
    ) -> None:
        self.settings, self.inputs, self.others = settings, inputs, others
        self.progress = progress
        self.tasks = min(len(inputs), settings.executor.tasks)

    def write(self, folder: Path) -> None:
        """Fill the folder; what a kill left there is continued."""
        work = (folder / "work").absolute()
        if not (folder / COUNTS).is_file():
            work.mkdir(exist_ok=True)
            with cluster(self.settings.executor):
                self._write(folder, work)
        shutil.rmtree(work, ignore_errors=True)

    def _write(self, folder: Path, work: Path) -> None:
        urls = self._prepare(work)
        self._take_texts(work)
        self._find_repeats(work)
        stays = self._leave_out(folder, work)
        splits = self._deal(stays)
        (work / "splits.json").write_text(json.dumps(splits))
        self._work("documents", self._splitting(folder, work), self.tasks, work)
        counts = self._counts(folder, work, urls, stays, splits)
        (folder / PAGE).write_text(page_of(counts, self.settings.title), encoding="utf-8")
        write_record(folder / COUNTS, counts)

    def _work(self, name: str, steps: list[PipelineStep], tasks: int, work: Path) -> None:
        piece = Work(name, steps, tasks, work / "logs" / name.replace(" ", "-"))
        carry_out(
            piece, self.settings.executor, lambda done, total: self.progress(name, done, total)
        )

    def _prepare(self, work: Path) -> tuple[int, int]:
        """Write what tasks read: the files' names, and the keys of URLs with votes enough.

        The number of tasks is part of what is done: with another number all is done again.

        Returns:
            The list's rows, and those with too few votes.
        """
        asked = json.dumps({"tasks": self.tasks, "inputs": [[i.name, i.path] for i in self.inputs]})
        if not (work / "asked.json").is_file() or (work / "asked.json").read_text() != asked:
            shutil.rmtree(work)
            work.mkdir()
            (work / "asked.json").write_text(asked)
        pairs = [[item.name, item.path] for item in self.inputs]
        (work / "inputs.json").write_text(json.dumps(pairs))
        if not self.settings.urls:
            return 0, 0
        keys, rows, few = voted_keys(Path(self.settings.urls), self.settings.minimum_votes)
        np.save(work / "urls.npy", keys)
        return rows, few

    def _take_texts(self, work: Path) -> None:
        left_out = work / "left_out"
        steps: list[PipelineStep] = [
            Pages(work / "inputs.json", left_out, work / "pages"),
            *sieves(self.settings, work, left_out),
            TextsWriter(work / "texts", work / "known"),
        ]
        if self.settings.duplicates != EXACT:
            steps.append(near.Signatures(work / "signatures", self.settings.threshold))
        self._work("texts", steps, self.tasks, work)

    def _find_repeats(self, work: Path) -> None:
        threshold, sizes = self.settings.threshold, work / "sizes.npy"
        lengths = [len(texts) for texts in known_texts(work / "known")]
        np.save(sizes, np.cumsum([0, *lengths], dtype=np.int64))
        if not sum(lengths):
            raise CorpusError(f"nothing stays of {len(self.inputs):,} files: {self._why(work)}")
        step: PipelineStep
        if self.settings.duplicates == EXACT:
            step = near.ExactlyFirstKept(work / "texts", sizes, work / "removed", threshold)
        else:
            pairs = near.pairs(work / "signatures", work / "pairs", threshold)
            buckets = near.minhash(threshold).num_buckets
            self._work("pairs of texts", [pairs], buckets, work)
            step = near.FirstKept(work / "pairs", sizes, work / "removed")
        self._work("clusters", [step], 1, work)

    def _why(self, work: Path) -> str:
        """What each step left out, for an error."""
        names = [STEP, *steps_of(self.settings)]
        left = {name: sum(1 for _ in rows_in(work / "left_out", name)) for name in names}
        return "left out were " + ", ".join(
            f"{number:,} by {name}" for name, number in left.items() if number
        )

    def _leave_out(self, folder: Path, work: Path) -> Stays:
        """Write the rows of what was left out, and count what stays."""
        stays = Stays()
        with open(folder / LEFT_OUT, "w", encoding="utf-8") as file:
            for row in self._left_out(work, stays):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        return stays

    def _left_out(self, work: Path, stays: Stays) -> Iterator[dict[str, Any]]:
        for name in self.others:
            yield {"id": name, "url": "", "step": OTHER_FILES, "reason": "neither page nor archive"}
        if self.settings.urls:
            yield from self._missing(work)
        for name in (STEP, *steps_of(self.settings)):
            yield from rows_in(work / "left_out", name)
        yield from self._repeats(work, stays)

    def _missing(self, work: Path) -> Iterator[dict[str, Any]]:
        """Listed URLs with votes enough whose page does not stand in the files, each once."""
        met = [np.load(file) for file in sorted((work / "met").glob("*.npy"))]
        known = np.unique(np.concatenate([np.zeros(0, dtype=np.uint64), *met]))
        missing = set(np.setdiff1d(np.load(work / "urls.npy"), known).tolist())
        for url, votes in listed_urls(Path(self.settings.urls)):
            if votes >= self.settings.minimum_votes and (key := url_key(url)) in missing:
                missing.remove(key)
                yield {
                    "id": "",
                    "url": url,
                    "step": URLS_MISSING,
                    "reason": "its page is not there",
                }

    def _repeats(self, work: Path, stays: Stays) -> Iterator[dict[str, Any]]:
        """Near-duplicates, each with the document that it repeats; the others are counted."""
        removed = dict(near.removed_texts(work / "removed"))
        firsts = dict.fromkeys(removed.values(), "")
        number = 0
        for texts in known_texts(work / "known"):
            for text in texts:
                if number in firsts:
                    firsts[number] = text.id
                if number in removed:
                    first = firsts[removed[number]]
                    row = {"id": text.id, "url": text.url, "step": NEAR, "reason": "repeats"}
                    yield row | {"repeats": first}
                else:
                    stays.add(text)
                number += 1

    def _deal(self, stays: Stays) -> dict[str, str]:
        return stays.dealt(self.settings.shares, self.settings.seed)

    def _splitting(self, folder: Path, work: Path) -> list[PipelineStep]:
        return [
            TextsReader(work / "texts"),
            MinhashDedupFilter(str(work / "removed"), lines_to_buffer=1000),
            SplitWriter(work / "splits.json", (folder / DOCUMENTS).absolute()),
        ]

    def _counts(
        self,
        folder: Path,
        work: Path,
        urls: tuple[int, int],
        stays: Stays,
        splits: dict[str, str],
    ) -> BuildCounts:
        found = _summed(json.loads(file.read_bytes()) for file in (work / "pages").glob("*.json"))
        reasons = _reasons(folder / LEFT_OUT)
        pages, steps = found.pop("pages", 0), []
        for name in (STEP, *steps_of(self.settings), NEAR):
            left = reasons.get(name, Counter())
            steps.append(StepCounts(name, pages, left.total(), dict(left.most_common())))
            pages -= left.total()
        return BuildCounts(
            found=dict(sorted(found.items())),
            other_files=len(self.others),
            urls=self._url_counts(work, urls, reasons) if self.settings.urls else None,
            steps=tuple(steps),
            lines=_lines(work / "logs" / "texts" / "stats"),
            pairs_found=self._pairs_found(),
            splits=stays.counts(splits),
        )

    def _url_counts(
        self, work: Path, urls: tuple[int, int], reasons: dict[str, Counter[str]]
    ) -> UrlCounts:
        pages = len(np.load(work / "urls.npy", mmap_mode="r"))
        return UrlCounts(*urls, pages, reasons.get(URLS_MISSING, Counter()).total())

    def _pairs_found(self) -> dict[str, float]:
        if self.settings.duplicates == EXACT:
            return {}
        threshold = self.settings.threshold
        return {f"{told:g}": round(near.pair_found(told, threshold), 6) for told in TOLD}


def _summed(parts: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total


def _reasons(path: Path) -> dict[str, Counter[str]]:
    """step → reason → rows."""
    reasons: dict[str, Counter[str]] = {}
    with open(path, encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            reasons.setdefault(row["step"], Counter())[row["reason"]] += 1
    return reasons


def _lines(stats: Path) -> dict[str, int]:
    """Lines that C4's filter left out, by its own names, as datatrove counts them."""
    total: Counter[str] = Counter()
    for file in stats.glob("*.json"):
        for step in json.loads(file.read_bytes()):
            for name, value in step["stats"].items():
                if name.startswith("line-filter-"):
                    number = value["total"] if isinstance(value, dict) else value
                    total[name.removeprefix("line-filter-")] += int(number)
    return dict(total.most_common())
