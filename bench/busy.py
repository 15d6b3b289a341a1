"""A busy machine: how much longer sampling and scoring take while other programs are at work.

    python bench/busy.py            4 × 120 tokens and 8 texts under 124M, alone and beside two busy
                                    processes; out/bench/busy.json
    python bench/busy.py --quick    a tiny shape, to see that it works

Each workload runs in a process of its own, as the command line starts it: threads that wait sleep.
`active` is the same with threads that spin, as PyTorch's do unless told. Runs take turns, alone and
beside the neighbours, which are processes of ours that compute without end at the usual priority.
Weights are random: speed does not depend on them. The goal is 2.5 times alone at most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from staged.storage.json_files import write_json

GOAL = 2.5
WAITS = {"passive": "", "active": "active"}  # what OMP_WAIT_POLICY is before staged looks
BUSY = "while True: pass"
TIMED = """
import sys, time
from staged.threads import use_threads, wait_passively
wait_passively()
use_threads(int(sys.argv[4]))
from staged.samples.decoders import load_decoder
from staged.samples.engine import generate
from staged.samples.methods import method
from staged.model.causal import load_causal
from staged.model.reading.likelihood import Window, score
import numpy as np
kind, folder, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "sample":
    model, bpe = load_decoder(folder, rows=4)
    drawn = method("temperature-1")
    work = lambda length: generate(model, [[0]] * 4, drawn, length=length, end=-1, seed=1)
else:
    model = load_causal(folder)
    texts = [np.arange(size, dtype=np.int32) % 250 for _ in range(8)]
    windows = [Window(i, start=0, end=size - 1, first=1) for i in range(8)]
    work = lambda length: list(score(model, texts, windows, batch=8))
work(2)
started = time.perf_counter()
work(size)
print(time.perf_counter() - started)
"""


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many busy processes, ended whatever happens."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def seconds(kind: str, folder: Path, size: int, *, wait: str, threads: int) -> float:
    """Wall-clock time of one piece of work in a new process, its start and loading left out."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")
    }
    environment |= {"OMP_WAIT_POLICY": WAITS[wait]} if WAITS[wait] else {}
    command = [sys.executable, "-c", TIMED, kind, str(folder), str(size), str(threads)]
    return float(
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    )


def measure(
    folder: Path, sizes: dict[str, int], *, repeats: int, threads: int, others: int
) -> list[dict[str, Any]]:
    """A row for each workload and way of waiting: seconds alone and beside the others, and their
    ratio.
    """
    rows = []
    for kind, size in sizes.items():
        times: dict[tuple[str, int], list[float]] = {
            (wait, busy): [] for wait in WAITS for busy in (0, others)
        }
        for _ in range(repeats):
            for wait, busy in times:
                with neighbours(busy):
                    times[wait, busy].append(
                        seconds(kind, folder, size, wait=wait, threads=threads)
                    )
        for wait in WAITS:
            alone, beside = (statistics.median(times[wait, busy]) for busy in (0, others))
            row = {
                "workload": kind,
                "tokens": size,
                "wait": wait,
                "threads": threads,
                "neighbours": others,
                "repeats": repeats,
            }
            spread = {
                "alone_s_range": span(times[wait, 0]),
                "beside_s_range": span(times[wait, others]),
            }
            rows.append(
                row
                | {"alone_s": alone, "beside_s": beside, "ratio": beside / alone, "goal": GOAL}
                | spread
            )
    return rows


def span(times: list[float]) -> list[float]:
    return [min(times), max(times)]


def table_of(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        title=(
            f"beside {rows[0]['neighbours']} busy processes; the goal is {GOAL} times alone for"
            " threads that sleep"
        )
    )
    for name in ("workload", "threads wait", "alone, s", "beside them, s", "ratio"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row["workload"],
            row["wait"],
            *(f"{row[key]:.2f}" for key in ("alone_s", "beside_s", "ratio")),
        )
    return table


def write_model(folder: Path, *, quick: bool) -> None:
    """Random weights of 124M's shape, or a tiny one, over a mini's vocabulary."""
    import torch

    from staged.model.checkpoints import load_model, save_model
    from staged.model.gpt2.config import GPT2Config
    from staged.model.gpt2.model import GPT2, initialise

    _, bpe = load_model("mini-s")
    shape = {"n_embd": 32, "n_head": 2, "n_layer": 2} if quick else {}
    model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, **shape))
    initialise(model, torch.Generator().manual_seed(1))
    save_model(folder, model, bpe)


def main() -> None:
    parser = argparse.ArgumentParser(description="Sampling and scoring beside busy neighbours.")
    parser.add_argument("--quick", action="store_true", help="a tiny shape, to see that it works")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="as --threads of the commands")
    parser.add_argument("--neighbours", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/bench/busy.json"))
    options = parser.parse_args()
    folder = options.out.parent / "models" / ("busy-quick" if options.quick else "busy")
    write_model(folder, quick=options.quick)
    sizes = {"sample": 12, "score": 32} if options.quick else {"sample": 120, "score": 512}
    rows = measure(
        folder, sizes, repeats=options.repeats, threads=options.threads, others=options.neighbours
    )
    Console().print(table_of(rows))
    write_json(options.out, rows)


if __name__ == "__main__":
    main()
