"""Texts between two pieces of work: a Parquet file a task, and beside it what is to be known of
each without reading it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.parquet import ParquetWriter

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("id", pa.string()),
        ("metadata", pa.struct([("url", pa.string()), ("site", pa.string())])),
    ]
)


@dataclass(frozen=True)
class Known:
    """What is known of a text without reading it; its length in characters."""

    id: str
    url: str
    site: str
    length: int


class TextsWriter(PipelineStep):  # type: ignore[misc]
    """Writes texts, and passes them on."""

    type, name = "💽 - WRITER", "texts"

    def __init__(self, texts: Path, known: Path) -> None:
        super().__init__()
        self.writer = ParquetWriter(str(texts), schema=SCHEMA, max_file_size=-1, batch_size=100)
        self.known = known

    def run(
        self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """The texts of a task."""
        self.known.mkdir(parents=True, exist_ok=True)
        with self.writer as writer, open(self.known / f"{rank:05d}.jsonl", "w") as known:
            for document in data:
                facts = document.metadata
                document.metadata = {"url": facts["url"], "site": facts["site"]}
                writer.write(document, rank)
                values = (document.id, facts["url"], facts["site"], len(document.text))
                known.write(json.dumps(values) + "\n")
                yield document


class TextsReader(PipelineStep):  # type: ignore[misc]
    """Reads a task's texts, in their order."""

    type, name = "📖 - READER", "texts"

    def __init__(self, texts: Path) -> None:
        super().__init__()
        self.texts = texts

    def run(
        self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Texts, a hundred in memory."""
        file = self.texts / f"{rank:05d}.parquet"
        if file.is_file():
            for batch in pq.ParquetFile(file).iter_batches(batch_size=100):
                yield from (Document(**row) for row in batch.to_pylist())


def known_texts(folder: Path) -> Iterator[list[Known]]:
    """What is known of each task's texts, task by task."""
    for file in sorted(folder.glob("*.jsonl")):
        with open(file) as lines:
            yield [Known(*json.loads(line)) for line in lines]
