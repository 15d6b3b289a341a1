"""Speculative decoding at batch 1: what it gains with the minis, and what 1558M with 124M would
gain at the same luck.

    python bench/speculate.py            table, and JSON in out/bench/speculate.json
    python bench/speculate.py --quick    the minis alone, few samples

First: mini-xl, whose weights are real, alone and with smaller minis as drafts, same prompts, taking
turns; tokens per second, and tokens a round of the large model. Second: seconds a token of 1558M
alone and seconds a round of 1558M with 124M as draft, in int8, weights random, taking turns,
drawing included, in several processes. From these and the minis' tokens a round the gain of 1558M
is *computed*, not measured: no released weights are at hand.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from staged.model.devices import best_precision
from staged.model.gpt2.config import GPT2_SIZES
from staged.model.gpt2.packed import PackedGPT2
from staged.model.gpt2.weights import shapes
from staged.samples.decoders import load_decoder
from staged.samples.engine import Decoder, generate
from staged.samples.methods import method
from staged.samples.rows import Options
from staged.samples.speculative import AHEAD, Pair, Run, speculate
from staged.storage.json_files import write_json
from staged.streams import uniforms

LENGTH = 100
ROUNDS = 12
PROCESSES, REPEATS = 5, 3
SAMPLINGS = ("top-k-40", "temperature-1")


def minis(samples: int, repeats: int) -> list[dict[str, Any]]:
    """mini-xl with and without a draft, on top-k 40 and temperature 1."""
    large, bpe = load_decoder("mini-xl", rows=AHEAD + 1)
    drafts = {name: load_decoder(name, rows=1)[0] for name in ("mini-s", "mini-m")}
    rows = []
    for sampling in SAMPLINGS:
        wanted = {"length": LENGTH, "end": -1, "seed": 1}
        speeds: dict[str, list[float]] = {name: [] for name in ("", *drafts)}
        rounds = dict.fromkeys(drafts, 0)
        for repeat in range(repeats + 1):  # the first warms up
            for name in speeds:
                started = time.perf_counter()
                for i in range(repeat * samples, (repeat + 1) * samples):
                    prompt = [bpe.end_of_text]
                    if not name:
                        generate(large, [prompt], method(sampling), first=i, **wanted)  # type: ignore[arg-type]
                        continue
                    one = speculate(
                        Pair(large, drafts[name]), prompt, method(sampling), sample=i, **wanted
                    )  # type: ignore[arg-type]
                    rounds[name] += one.rounds
                if repeat:
                    speeds[name].append(samples * LENGTH / (time.perf_counter() - started))
        alone = statistics.median(speeds[""])
        for name, speed in speeds.items():
            a_round = (repeats + 1) * samples * LENGTH / rounds[name] if name else 1.0
            row: dict[str, Any] = {
                "workload": f"mini-xl at batch 1, {sampling}",
                "sampling": sampling,
                "draft": name,
                "precision": best_precision(),
            }
            row |= {"tokens_a_round": a_round}
            row |= {
                "tokens_per_s": statistics.median(speed),
                "tokens_per_s_range": [min(speed), max(speed)],
            }
            rows.append(
                row | {"ratio_to_plain": statistics.median(speed) / alone, "repeats": repeats}
            )
    return rows


def random_decoder(size: str, rows: int) -> Decoder:
    """A released shape in int8 with random weights, made tensor by tensor."""
    stream, sizes = torch.Generator().manual_seed(1), shapes(GPT2_SIZES[size])
    return PackedGPT2(
        GPT2_SIZES[size],
        lambda key: torch.randn(sizes[key], generator=stream).mul_(0.02),
        precision="int8",
        rows=rows,
    )


@torch.inference_mode()
def seconds(threads: int) -> dict[str, list[tuple[float, float, float]]]:
    """By method: (seconds a token of 1558M alone, seconds a round of 1558M with 124M, guesses kept
    a round), `REPEATS` times.
    """
    torch.set_num_threads(threads)
    alone, pair = (
        random_decoder("gpt2-xl", 1),
        Pair(random_decoder("gpt2-xl", AHEAD + 1), random_decoder("gpt2", 1)),
    )
    prompt = list(range(64))
    found: dict[str, list[tuple[float, float, float]]] = {sampling: [] for sampling in SAMPLINGS}
    for sampling in SAMPLINGS:
        for repeat in range(REPEATS + 1):  # the first warms up
            times: list[float] = []
            watch = Options(watch=lambda row, token, times=times: times.append(time.perf_counter()))  # type: ignore[misc]
            generate(
                alone, [prompt], method(sampling), length=ROUNDS + 1, end=-1, seed=1, options=watch
            )
            u = uniforms(1, repeat, 1 + (ROUNDS + 1) * (2 * AHEAD + 1)).tolist()
            run = Run(pair, prompt, method(sampling), u, len(prompt) + (ROUNDS + 1) * (AHEAD + 1))
            run.round(AHEAD)  # reads the prompt
            started = time.perf_counter()
            for _ in range(ROUNDS):
                run.round(AHEAD)
            a_round = (time.perf_counter() - started) / ROUNDS
            if repeat:
                found[sampling].append(
                    ((times[-1] - times[0]) / ROUNDS, a_round, run.kept / (ROUNDS + 1))
                )
    return found


def released(threads: int, luck: dict[str, float]) -> list[dict[str, Any]]:
    """1558M alone and with 124M as draft, in `PROCESSES` processes: where the system puts 1.6 GB
    decides how fast they are read.

    Args:
        luck: tokens a round by method.
    """
    found: dict[str, list[tuple[float, float, float]]] = {sampling: [] for sampling in SAMPLINGS}
    for _ in range(PROCESSES):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            for sampling, some in pool.apply(seconds, [threads]).items():
                found[sampling] += some
    rows = []
    for sampling, measured in found.items():
        tokens, rounds, kept = zip(*measured, strict=True)
        row: dict[str, Any] = {
            "workload": f"1558M at batch 1, {sampling}",
            "sampling": sampling,
            "draft": "124M",
        }
        row |= {
            "precision": "int8",
            "repeats": len(measured),
            "processes": PROCESSES,
            "tokens_a_round": luck[sampling],
        }
        for name, times in (("token", tokens), ("round", rounds)):
            row |= {
                f"seconds_a_{name}": statistics.median(times),
                f"seconds_a_{name}_range": [min(times), max(times)],
            }
        gains = [
            luck[sampling] * token / a_round for token, a_round in zip(tokens, rounds, strict=True)
        ]
        row |= {
            "computed_gain": statistics.median(gains),
            "computed_gain_range": [min(gains), max(gains)],
        }
        rows.append(row | {"kept_a_round_here": statistics.mean(kept)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Speculative decoding at batch 1.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/bench/speculate.json"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    rows = minis(2 if options.quick else 8, 1 if options.quick else 5)
    table = Table(
        "workload",
        "draft",
        "tok/s: median [range]",
        "ratio to plain",
        "tokens a round",
        title=f"{AHEAD} tokens ahead",
    )
    for row in rows:
        low, high = row["tokens_per_s_range"]
        speed = f"{row['tokens_per_s']:,.0f} \\[{low:,.0f}, {high:,.0f}]"
        table.add_row(
            row["workload"],
            row["draft"] or "none",
            speed,
            f"{row['ratio_to_plain']:.2f}",
            f"{row['tokens_a_round']:.2f}",
        )
    Console().print(table)
    luck = {row["sampling"]: row["tokens_a_round"] for row in rows if row["draft"] == "mini-s"}
    for row in [] if options.quick else released(options.threads, luck):
        print(row)
        rows.append(row)
    write_json(options.out, rows)


if __name__ == "__main__":
    main()
