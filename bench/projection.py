"""What WebText's 8 million documents, and the output dataset's 13 × 260,000, would take: counted
from measured rates, and the memory that would be the first to run out.

    python bench/scale.py project            JSON in out/bench/scale-projection.json, of what
                                             `engines` and `detect` left in out/bench, of
                                             docs/results, and of memory that is measured now

A row is a count divided by a rate; nothing is extrapolated but the number of documents. Hours are
of one core, so that a machine's are these divided by its cores, times the efficiency that `detect`
measured for two.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from staged.corpus.build import read_documents
from staged.storage.json_files import read_json, write_json

ROOT = Path(__file__).parents[1]
SPEEDS = ROOT / "docs" / "results" / "evidence" / "detect.json"  # words a second by reader
WEBTEXT = 8_000_000  # documents, "slightly over": Radford et al. 2019
DATASET = (
    13 * 260_000
)  # one set of WebText, and one a model and method: openai/gpt-2-output-dataset
WORDS = 830  # of a document: WebText's 40 GB, at six bytes a word
MEASURED = 20_000  # documents whose memory is measured
BLOCK = 4096  # texts of a large block of detection


def row(what: str, documents: int, hours: float, by: str) -> dict[str, Any]:
    return {"what": what, "documents": documents, "core_hours": hours, "by": by}


def projected(engines: list[dict[str, Any]], detect: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hours of one core, by what was measured."""
    speeds = {speed["reader"]: speed for speed in read_json(SPEEDS)}
    rows = []
    for documents in (WEBTEXT, DATASET):
        for name, reader in (("words alone", "words"), ("all readers", "all")):
            speed = speeds[reader]
            seconds = documents * WORDS / speed["words_per_s"] * speed["threads"]
            by = f"{speed['words_per_s']:,.0f} words a second of {speed['threads']} threads"
            rows.append(row(f"`evidence`, {name}", documents, seconds / 3600, by))
        rate = next(seen["texts_per_s"] for seen in detect if seen["what"] == "rate")
        by = f"{rate:,.0f} texts of 120 words a second of one worker, TF-IDF"
        rows.append(row("reading, TF-IDF, writing", documents, documents / rate / 3600, by))
        handed = next(r for r in engines if r["block"] == "file" and r["engine"] == "local")
        by = f"{handed['blocks_per_s']:,.0f} blocks a second, {BLOCK:,} texts each"
        hours = documents / BLOCK / handed["blocks_per_s"] / 3600
        rows.append(row("handing blocks out, writing them", documents, hours, by))
    return rows


def grown(make: Callable[[], object]) -> float:
    """Bytes by which resident memory grows while the result is held."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    held = make()
    after = psutil.Process().memory_info().rss
    del held
    return float(after - before)


def memory() -> list[dict[str, Any]]:
    """Bytes a document of what holds all documents at once: a study's human text."""
    text = "The ship left the harbour before the storm was over. " * (WORDS // 10)
    rows = [
        {"id": str(i), "text": f"{i} {text}", "label": 0, "source": str(i), "split": "train"}
        for i in range(MEASURED)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "passages.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file)
        rows.clear()
        taken = grown(lambda: read_documents(file)) / MEASURED
    return [
        {
            "what": "a study's human text, held by each stage that reads it",
            "bytes_a_document": taken,
            "documents_in_64_gb": int(64e9 / taken),
        }
    ]


def project(options: argparse.Namespace) -> None:
    folder = options.results
    result = {
        "rates": projected(
            read_json(folder / "scale-engines.json"), read_json(folder / "bulk.json")
        ),
        "memory": memory(),
    }
    print(json.dumps(result, indent=1))
    write_json(options.out or folder / "scale-projection.json", result)


def take_options(part: argparse.ArgumentParser) -> None:
    part.add_argument("--results", type=Path, default=Path("out/bench"))
    part.add_argument("--out", type=Path)
