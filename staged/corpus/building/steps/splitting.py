"""Texts that stay → splits, whole sites each, and documents as all of staged reads them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from staged.corpus.building.results import SplitCounts
from staged.corpus.building.steps.texts import Known
from staged.corpus.splits import deal
from staged.errors import CorpusError
from staged.records import HUMAN

COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("label", pa.int64()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("url", pa.string()),
    ]
)
AT_ONCE = 500  # documents in memory of each split


class Stays:
    """What stays, counted while it is passed: characters and documents of each site, in the order
    of the corpus.
    """

    def __init__(self) -> None:
        self.characters: Counter[str] = Counter()
        self.documents: Counter[str] = Counter()

    def add(self, text: Known) -> None:
        """One more."""
        self.characters[text.site] += text.length
        self.documents[text.site] += 1

    def dealt(self, shares: Mapping[str, float], seed: int) -> dict[str, str]:
        """site → split, as `splits.deal`.

        Raises:
            CorpusError: fewer sites have text left than there are splits.
        """
        splits = [name for name, share in shares.items() if share > 0]
        if len(self.characters) < len(splits):
            sites = ", ".join(self.characters) or "none"
            raise CorpusError(
                f"corpus build: pages of {len(self.characters)} site(s) are left ({sites}) for"
                f" {len(splits)} splits ({', '.join(splits)}), and a site lies in one split: give"
                " pages of more sites, or fewer splits in the plan, such as shares = { train = 1 }"
            )
        return deal(self.characters, shares, seed=seed)

    def counts(self, splits: Mapping[str, str]) -> dict[str, SplitCounts]:
        """split → what is in it."""
        return {
            name: _counted([site for site, split in splits.items() if split == name], self)
            for name in dict.fromkeys(splits.values())
        }


def _counted(sites: Iterable[str], stays: Stays) -> SplitCounts:
    sites = list(sites)
    return SplitCounts(
        sum(stays.documents[site] for site in sites),
        len(sites),
        sum(stays.characters[site] for site in sites),
    )


class SplitWriter(PipelineStep):  # type: ignore[misc]
    """Writes a task's documents, `SPLIT/TASK.parquet`."""

    type, name = "💽 - WRITER", "splits"

    def __init__(self, splits: Path, documents: Path) -> None:
        super().__init__()
        self.splits, self.documents = splits, documents

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Nothing is passed on."""
        splits: dict[str, str] = json.loads(self.splits.read_bytes())
        rows: dict[str, list[dict[str, Any]]] = {}
        with ExitStack() as stack:
            writers: dict[str, pq.ParquetWriter] = {}
            for text in data:
                split = splits[text.metadata["site"]]
                if split not in writers:
                    writers[split] = stack.enter_context(_writer(self.documents / split, rank))
                rows.setdefault(split, []).append(_row(text, split))
                if len(rows[split]) == AT_ONCE:
                    _flush(writers[split], rows.pop(split))
            for split, left in rows.items():
                _flush(writers[split], left)
        yield from ()


def _writer(folder: Path, rank: int) -> pq.ParquetWriter:
    folder.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(folder / f"{rank:05d}.parquet", COLUMNS)


def _flush(writer: pq.ParquetWriter, rows: list[dict[str, Any]]) -> None:
    writer.write_table(pa.Table.from_pylist(rows, schema=COLUMNS))


def _row(text: Any, split: str) -> dict[str, Any]:
    return {
        "id": text.id,
        "text": text.text,
        "label": HUMAN,
        "source": text.metadata["site"],
        "split": split,
        "url": text.metadata["url"],
    }
