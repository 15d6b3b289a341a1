"""How far work can be spread, a part a subcommand.

    python bench/scale.py engines            blocks a second of the engines alone, with one worker
                                             and with two: 100,000 blocks that do nothing, 5,000
                                             that write an empty file; JSON on standard output and
                                             in out/bench/scale-engines.json
    python bench/scale.py detect             texts a second of `staged detect --out` with one worker
                                             and with two, and memory at 1,000,000 rows, or --rows;
                                             bench/bulk.py says what is measured
    python bench/scale.py project            what WebText's 8 million documents would take by these,
                                             and what would run out first; bench/projection.py
    python bench/scale.py PART --quick       a few hundred, to see that it works

`nothing` is what an engine takes to hand a number out and to hear of its end; `file` is what a
finished block takes besides: a file that is written under another name, flushed and renamed.
Workers are up before the clock starts; repeats take turns, and the median counts. `ratio_to_one` is
a row's rate to that of its engine's one worker: what does nothing gains little from a second.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bulk
import projection

from staged.engines.blocks import Blocks, Job
from staged.engines.choice import ENGINES, Engine
from staged.engines.contract import Perform, Task, Workers
from staged.engines.scheduling import Work, hand_out
from staged.engines.started import started
from staged.progress import Progress
from staged.storage.json_files import write_json
from staged.storage.pieces import BYTES

WORKERS = (1, 2)


@dataclass(frozen=True)
class Nothing:
    """A task whose numbers do nothing."""

    name: str = "nothing"

    @contextmanager
    def opened(self) -> Iterator[Perform]:
        yield do_nothing


def do_nothing(number: int, progress: Progress) -> None:
    pass


@dataclass(frozen=True)
class Empty(Job[bytes]):
    """Blocks without a byte."""

    count: int

    encoding = BYTES

    @property
    def names(self) -> Sequence[str]:
        return tuple(f"{number:06d}" for number in range(self.count))

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], bytes]]:
        yield lambda number: b""


def measure_engines(counts: dict[str, int], repeats: int) -> list[dict[str, Any]]:
    """A row for each engine, number of workers and kind of block."""
    seconds: dict[tuple[str, int, str], list[float]] = {}
    for _ in range(repeats):
        for name in ENGINES:
            for workers in WORKERS:
                for kind, taken in timed(Engine(name, workers=workers), counts).items():
                    seconds.setdefault((name, workers, kind), []).append(taken)
    rates = {key: counts[key[2]] / statistics.median(all_of) for key, all_of in seconds.items()}
    return [
        {
            "engine": name,
            "workers": workers,
            "block": kind,
            "blocks": counts[kind],
            "blocks_per_s": rates[name, workers, kind],
            "blocks_per_s_range": [counts[kind] / most(all_of) for most in (max, min)],
            "ratio_to_one": rates[name, workers, kind] / rates[name, 1, kind],
            "repeats": len(all_of),
        }
        for (name, workers, kind), all_of in seconds.items()
    ]


def timed(engine: Engine, counts: dict[str, int]) -> dict[str, float]:
    """Seconds that an engine takes for all blocks of each kind."""
    with tempfile.TemporaryDirectory() as folder, started(engine) as workers:
        tasks: dict[str, Task] = {
            "nothing": Nothing(),
            "file": Blocks(Path(folder), Empty(counts["file"])),
        }
        wake(workers)
        taken = {kind: seconds_of(workers, task, counts[kind]) for kind, task in tasks.items()}
        assert len(os.listdir(folder)) == counts["file"]  # noqa: PTH208 (100,000 paths)
    return taken


def wake(workers: Workers) -> None:
    """Let every worker do something once."""
    while not all(map(workers.is_ready, range(workers.count))):
        workers.wait(0.1)
    hand_out(workers, [Work(Nothing("awake"), range(workers.count))])


def seconds_of(workers: Workers, task: Task, count: int) -> float:
    began = time.perf_counter()
    hand_out(workers, [Work(task, range(count))])
    return time.perf_counter() - began


def engines(options: argparse.Namespace) -> None:
    counts = {"nothing": 300, "file": 100} if options.quick else {"nothing": 10**5, "file": 5000}
    rows = measure_engines(counts, options.repeats)
    print(json.dumps(rows, indent=1))
    write_json(options.out or Path("out/bench/scale-engines.json"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="How far work can be spread.")
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("engines", help="blocks a second of the engines alone")
    part.add_argument("--quick", action="store_true", help="a few blocks, to see that it works")
    part.add_argument("--repeats", type=int, default=5)
    part.add_argument("--out", type=Path)
    part.set_defaults(run=engines)
    part = parts.add_parser("detect", help="texts a second of bulk detection, and its memory")
    bulk.take_options(part)
    part.set_defaults(run=bulk.run)
    part = parts.add_parser("project", help="what millions of documents would take, by these")
    projection.take_options(part)
    part.set_defaults(run=projection.project)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
