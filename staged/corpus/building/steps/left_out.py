"""Whatever is left out, as rows: which page, by which step, and why; a writer of datatrove's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from datatrove.data import Document
from datatrove.pipeline.writers.disk_base import DiskWriter


class LeftOut(DiskWriter):  # type: ignore[misc]
    """Writes a row for each document that a step leaves out, `STEP/RANK.jsonl`."""

    default_output_filename = "${rank}.jsonl"
    name = "left out"

    def __init__(self, folder: Path, step: str) -> None:
        super().__init__(str(folder / step), compression=None, adapter=_row)
        self.step = step

    def _write(self, document: dict[str, Any], file_handler: IO[str], filename: str) -> None:
        file_handler.write(json.dumps(document) + "\n")

    def leave_out(self, document: Document, rank: int, reason: str) -> None:
        """One document, and why."""
        document.metadata["filter_reason"] = reason
        self.write(document, rank)


def _row(writer: LeftOut, document: Document) -> dict[str, Any]:
    facts = document.metadata
    return {
        "id": document.id,
        "url": facts.get("url", ""),
        "step": writer.step,
        "reason": facts.get("filter_reason", ""),
    }


def rows_in(folder: Path, step: str) -> Iterator[dict[str, Any]]:
    """The rows of a step, in the order of the documents."""
    for file in sorted((folder / step).glob("*.jsonl")):
        with open(file, encoding="utf-8") as lines:
            yield from map(json.loads, lines)
