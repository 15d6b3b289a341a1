"""Bulk detection: texts a second with one worker and with two, and memory up to 10⁷ rows.

    python bench/bulk.py                    JSON in out/bench/bulk.json; ten minutes on two cores
    python bench/bulk.py --quick            a few thousand rows, to see that it works
    python bench/bulk.py --rows 10000000    memory at as many rows

The rows are made: sentences of twelve words and, for the rates, passages of some 120, judged by a
TF-IDF detector that is trained and calibrated on the spot, so that it is the machinery that is
measured: any other detector takes longer. Memory is the resident set of the command and of its
largest worker, looked at twice a second; `growth` is the most that was seen after the first tenth
of the rows, or after a million, to what stood there then.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from staged.detectors.calibration.calibration import fit_calibration
from staged.detectors.identity import known_by
from staged.detectors.kinds.tfidf import train_tfidf
from staged.detectors.names import parse_name
from staged.records import HUMAN, MACHINE, Document
from staged.storage.json_files import write_json
from staged.threads import processors

NOUNS = "window garden ladder engine market bridge orchard letter winter captain kettle meadow"
VERBS = "opens paints keeps follows counts repairs carries measures remembers sells finds mends"
GROUP_ROWS = 50_000  # of the file that is read
MILLION = 1_000_000


def sentences(seed: int, count: int, nouns: str = NOUNS) -> str:
    """So many sentences of twelve words, others for each seed."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        a, b = draw.sample(nouns.split(), 2)
        lines.append(
            f"The {a} {draw.choice(VERBS.split())} the {b} near the old mill"
            f" {draw.randint(2, 999)} times."
        )
    return " ".join(lines)


def write_rows(path: Path, rows: int, *, count: int) -> None:
    """A Parquet file of so many texts of so many sentences each; of a thousand texts, over and over
    with other numbers, since their words do not matter.
    """
    texts = [sentences(seed, count) for seed in range(1000)]
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, GROUP_ROWS):
            numbers = range(first, min(first + GROUP_ROWS, rows))
            columns = [[f"row-{n}" for n in numbers], [f"{texts[n % 1000]} {n}" for n in numbers]]
            writer.write_table(pa.table(columns, schema=schema))


def write_detector(folder: Path) -> None:
    """A TF-IDF detector with its calibration, trained on sentences against such of fewer nouns."""
    few = " ".join(NOUNS.split()[:4])
    documents = [
        Document(f"{label}{i}", sentences(i, 10, nouns), label, f"{label}{i}", "train")
        for label, nouns in ((HUMAN, NOUNS), (MACHINE, few))
        for i in range(100)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    detector = train_tfidf(documents, documents)
    detector.save(folder)
    texts = [sentences(seed, 4 + seed % 40) for seed in range(1000, 1800)]
    human = [
        (score, len(text.split())) for score, text in zip(detector.score(texts), texts, strict=True)
    ]
    known = known_by(parse_name(str(folder)))
    fit_calibration("tfidf", human, known_by=known).save(folder / "calibration.json")


@dataclass(frozen=True)
class Seen:
    """A look at the command at work: seconds since it began, texts that were judged, and resident
    megabytes of the command and of its largest worker.
    """

    at_s: float
    texts: int
    driver_mb: float
    worker_mb: float


def watched(command: list[str], blocks: Path) -> list[Seen]:
    """Run a command, and look at it twice a second."""
    started, seen = time.monotonic(), list[Seen]()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        try:
            driver = process.memory_info().rss / 2**20
            workers = [child.memory_info().rss / 2**20 for child in process.children()]
        except psutil.NoSuchProcess:
            continue
        done = _texts_in(blocks)
        seen.append(Seen(time.monotonic() - started, done, driver, max(workers, default=0.0)))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(process.stderr.read().decode())
    return seen


def _texts_in(blocks: Path) -> int:
    """How many texts the finished blocks hold, near enough: the largest first number."""
    names = (file.name for file in blocks.iterdir()) if blocks.is_dir() else iter(())
    firsts = (int(match[1]) for match in map(re.compile(r"(\d+)-").match, names) if match)
    return max(firsts, default=0)


def detect(texts: Path, out: Path, detector: Path, *, workers: int) -> list[Seen]:
    """`staged detect` of a file."""
    command = [sys.executable, "-m", "staged.cli", "detect", str(texts), "--out", str(out)]
    command += ["--detector", str(detector), "--workers", str(workers), "--threads", "1"]
    return watched(command, out.with_name(f"{out.name}.blocks"))


def memory(folder: Path, *, rows: int, workers: int) -> dict[str, Any]:
    """Resident memory while so many short rows are judged."""
    texts, out = folder / "rows.parquet", folder / "scores.parquet"
    write_rows(texts, rows, count=1)
    seen = detect(texts, out, folder / "detector", workers=workers)
    assert pq.read_metadata(out).num_rows == rows
    flat_from = min(MILLION, rows // 10)
    facts: dict[str, Any] = {"what": "memory", "rows": rows, "workers": workers}
    facts |= {"seconds": seen[-1].at_s, "texts_per_s": rows / seen[-1].at_s}
    for name in ("driver_mb", "worker_mb"):
        facts |= growth([(look.texts, getattr(look, name)) for look in seen], flat_from, name)
    return facts


def growth(looks: list[tuple[int, float]], flat_from: int, name: str) -> dict[str, float]:
    """Megabytes when so many texts were judged, the most from then on, and their ratio."""
    later = [size for texts, size in looks if texts >= flat_from]
    peak = max(later[3:] or later)
    # while blocks are handed out: the median of the first looks there
    then = statistics.median(later[:10])
    return {f"{name}_then": then, f"{name}_most": peak, f"{name}_growth": peak / then}


def rates(folder: Path, *, rows: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Texts a second with one worker and with as many as there are cores, in turn; what a start
    takes is in it.
    """
    texts = folder / "passages.parquet"
    write_rows(texts, rows, count=10)
    counts = sorted({1, min(2, processors())})
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    for turn in range(repeats):
        for count in counts:
            out = folder / f"scores-{count}-{turn}.jsonl"
            seconds[count].append(detect(texts, out, folder / "detector", workers=count)[-1].at_s)
    one = statistics.median(seconds[1])
    for count in counts:
        now = statistics.median(seconds[count])
        facts = {"what": "rate", "rows": rows, "workers": count, "repeats": repeats}
        yield facts | {"texts_per_s": rows / now, "efficiency": one / now / count}


def measure(folder: Path, *, rows: int, rated: int, repeats: int) -> list[dict[str, Any]]:
    """All rows of the benchmark; what it works with stands in a folder."""
    if not (folder / "detector" / "calibration.json").is_file():
        write_detector(folder / "detector")
    workers = min(2, processors())
    return [
        *rates(folder, rows=rated, repeats=repeats),
        memory(folder, rows=rows, workers=workers),
    ]


def take_options(parser: argparse.ArgumentParser) -> None:
    """What the benchmark can be told, here and as a part of bench/scale.py."""
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, default=MILLION, help="of which memory is looked at")
    parser.add_argument("--rated", type=int, default=50_000, help="passages of which rates are")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few rows, to see that it works")


def run(given: argparse.Namespace) -> None:
    """Measure, write, show."""
    rows, rated, repeats = (given.rows, given.rated, given.repeats)
    if given.quick:
        rows, rated, repeats = 5000, 500, 1
    out = given.out or Path("out/bench/bulk.json")
    folder = out.parent / "bulk"
    folder.mkdir(parents=True, exist_ok=True)
    measured = measure(folder, rows=rows, rated=rated, repeats=repeats)
    write_json(out, measured)
    show(measured)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    take_options(parser)
    run(parser.parse_args())


def show(measured: list[dict[str, Any]]) -> None:
    *rated, memory = measured
    table = Table("workers", "texts a second", "efficiency")
    for row in rated:
        table.add_row(str(row["workers"]), f"{row['texts_per_s']:,.0f}", f"{row['efficiency']:.2f}")
    Console().print(table)
    Console().print(
        f"{memory['rows']:,} rows: {memory['texts_per_s']:,.0f} a second; megabytes of the command"
        f" {memory['driver_mb_then']:,.0f}, at most {memory['driver_mb_most']:,.0f}; of a worker"
        f" {memory['worker_mb_then']:,.0f}, at most {memory['worker_mb_most']:,.0f}"
    )


if __name__ == "__main__":
    main()
