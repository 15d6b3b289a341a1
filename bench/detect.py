"""Words a second of the default detector, beside the default of before, and how long one text takes
on the command line.

    python bench/detect.py            some minutes on two cores; JSON in out/bench/detect.json
    python bench/detect.py --quick    a few short texts, to see that it works

Each reader runs in a process of its own over the same human texts (passages of `sotu`), several
times in turn; memory is that process's peak. `words` is what needs no language model: lexical
reader and encoder together. `all` is the detector as `staged detect` uses it, which asks the
language model only where these leave it open. `ratio` is to `evidence-2026-11`. `command` is
`staged detect FILE` with one text of 300 words: `cold` the first run of this command, `warm` the
median of the rest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from staged.corpus.embedded import sotu
from staged.corpus.passages import cut, word_counts
from staged.storage.json_files import write_json

BEFORE = "evidence-2026-11"
READERS = ("words", "all", BEFORE)
TIMED = """
import json, resource, sys, time
from staged.threads import use_threads, wait_passively
wait_passively()
use_threads(int(sys.argv[3]))
from staged.detectors.catalog import open_detector
from staged.detectors.kinds.readers.plain import plain
which, repeats = sys.argv[1], int(sys.argv[2])
texts = json.load(sys.stdin)
detector = open_detector(sys.argv[4] if which in ("words", "all") else which)
def words(some):
    lines = [plain(one) for one in some]
    said = detector.lexical.log_odds(lines), detector.encoder.log_odds(lines)
    return detector.combination.alone(*said)
read = words if which == "words" else detector.score
read(texts[:2])
seconds = []
for _ in range(repeats):
    started = time.perf_counter()
    read(texts)
    seconds.append(time.perf_counter() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"seconds": seconds, "peak_memory_mb": peak}))
"""


def passages(count: int, words: int) -> list[str]:
    """So many human texts of about so many words, each of another speech."""
    found: list[str] = []
    for document in sotu():
        found += [
            one.text for one in cut(document, word_counts, budget=words, minimum=words * 2 // 3)[:1]
        ]
    return found[-count:]


def timed(
    reader: str, texts: list[str], *, repeats: int, threads: int, detector: str
) -> dict[str, Any]:
    """Seconds of each repeat and peak memory of one reader, in a process of its own."""
    command = [sys.executable, "-c", TIMED, reader, str(repeats), str(threads), detector]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{reader}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def commanded(
    folder: Path, text: str, *, repeats: int, threads: int, detector: str
) -> dict[str, Any]:
    """Seconds of `staged detect` on one file: the first run, and the median of the others."""
    file = folder / "text.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "staged.cli",
        "detect",
        str(file),
        "--json",
        "--threads",
        str(threads),
        "--detector",
        detector,
    ]
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return {
        "reader": "command",
        "cold_s": seconds[0],
        "warm_s": statistics.median(seconds[1:]),
        "repeats": repeats,
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/bench/detect.json"))
    parser.add_argument(
        "--detector", default="evidence", help="a detector of several readers, by name or folder"
    )
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(argv)
    count, words, repeats = (4, 60, 2) if given.quick else (given.texts, 300, given.repeats)
    turns, again = (1, 1) if given.quick else (2, given.repeats)
    texts = passages(count, words)
    n_words = sum(len(one.split()) for one in texts)
    options = {"threads": given.threads, "detector": given.detector}
    runs: dict[str, list[dict[str, Any]]] = {reader: [] for reader in READERS}
    for _ in range(turns):
        for reader in READERS:
            runs[reader].append(timed(reader, texts, repeats=repeats, **options))
    rows = [row(reader, runs[reader], n_words, len(texts)) for reader in READERS]
    slow = rows[-1]["words_per_s"]
    rows = [one | {"ratio": one["words_per_s"] / slow, "threads": given.threads} for one in rows]
    rows.append(commanded(given.out.parent / "detect", texts[0], repeats=again, **options))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.out, rows)
    table = Table("reader", "words a second [range]", f"to {BEFORE}", "peak memory, MB")
    for one in rows[:-1]:
        low, high = one["words_per_s_range"]
        table.add_row(
            one["reader"],
            f"{one['words_per_s']:,.0f} [{low:,.0f}, {high:,.0f}]",
            f"{one['ratio']:.2f}",
            f"{one['peak_memory_mb']:,}",
        )
    Console().print(table)
    Console().print(
        f"command, one text: cold {rows[-1]['cold_s']:.1f} s, warm {rows[-1]['warm_s']:.1f} s"
    )


def row(reader: str, turns: list[dict[str, Any]], n_words: int, n_texts: int) -> dict[str, Any]:
    """Median and range of all repeats of one reader."""
    speeds = [n_words / seconds for turn in turns for seconds in turn["seconds"]]
    facts = {"reader": reader, "texts": n_texts, "words": n_words, "repeats": len(speeds)}
    facts |= {
        "words_per_s": statistics.median(speeds),
        "words_per_s_range": [min(speeds), max(speeds)],
    }
    return facts | {"peak_memory_mb": max(turn["peak_memory_mb"] for turn in turns)}


if __name__ == "__main__":
    main()
