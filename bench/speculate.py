"""Speculative decoding at batch 1: what it gains with the minis, and what 1558M with 124M would gain at the same luck.

    python bench/speculate.py            table, and JSON in out/bench/speculate.json
    python bench/speculate.py --quick    the minis alone, few samples

First: mini-xl, whose weights are real, alone and with smaller minis as drafts, same prompts, taking turns; tokens per second,
and tokens a round of the large model. Second: seconds of one int8 pass of 1558M (one token, packed for one; `ahead` + 1 tokens,
packed for so many) and of 124M, weights random. From these and the minis' tokens a round the gain of 1558M with 124M as draft is
*computed*, not measured: no released weights are at hand.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from staged.artifacts import write_json
from staged.model.checkpoints import shapes
from staged.model.config import RELEASED
from staged.model.fast import PackedGPT2
from staged.samples.decoders import best_precision, load_decoder
from staged.samples.engine import Decoder, generate
from staged.samples.methods import method
from staged.samples.speculative import AHEAD, Pair, speculate

LENGTH = 100


def minis(samples: int, repeats: int) -> list[dict[str, Any]]:
    """mini-xl with and without a draft, on top-k 40 and temperature 1."""
    large, bpe = load_decoder("mini-xl", rows=AHEAD + 1)
    drafts = {name: load_decoder(name, rows=1)[0] for name in ("mini-s", "mini-m")}
    rows = []
    for sampling in ("top-k-40", "temperature-1"):
        wanted = {"length": LENGTH, "end": -1, "seed": 1}
        speeds: dict[str, list[float]] = {name: [] for name in ("", *drafts)}
        rounds = dict.fromkeys(drafts, 0)
        for repeat in range(repeats + 1):  # the first warms up
            for name in speeds:
                started = time.perf_counter()
                for i in range(samples):
                    prompt = [bpe.end_of_text]
                    if not name:
                        generate(large, [prompt], method(sampling), first=i, **wanted)  # type: ignore[arg-type]
                        continue
                    one = speculate(Pair(large, drafts[name]), prompt, method(sampling), sample=i, **wanted)  # type: ignore[arg-type]
                    rounds[name] += one.rounds
                if repeat:
                    speeds[name].append(samples * LENGTH / (time.perf_counter() - started))
        alone = statistics.median(speeds[""])
        for name, speed in speeds.items():
            a_round = (repeats + 1) * samples * LENGTH / rounds[name] if name else 1.0
            row = {"workload": f"mini-xl at batch 1, {sampling}", "draft": name, "precision": best_precision()}
            row |= {"tokens_a_round": a_round}
            row |= {"tokens_per_s": statistics.median(speed), "tokens_per_s_range": [min(speed), max(speed)]}
            rows.append(row | {"ratio_to_plain": statistics.median(speed) / alone, "repeats": repeats})
    return rows


def random_decoder(size: str, rows: int) -> Decoder:
    """A released shape in int8 with random weights, made tensor by tensor."""
    stream, sizes = torch.Generator().manual_seed(1), shapes(RELEASED[size])
    return PackedGPT2(RELEASED[size], lambda key: torch.randn(sizes[key], generator=stream).mul_(0.02), precision="int8", rows=rows)


def seconds(act: Callable[[], object], repeats: int) -> float:
    """Median seconds of one call after one to warm up."""
    act()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


@torch.inference_mode()
def released(repeats: int) -> dict[str, float]:
    """Seconds of the passes that speculation with 1558M and 124M is made of."""
    cost = {}
    for name, size, tokens in (("large", "gpt2-xl", 1), ("large_ahead", "gpt2-xl", AHEAD + 1), ("small", "gpt2", 1)):
        decoder = random_decoder(size, rows=tokens)
        cache = decoder.new_cache(1)
        decoder.next_logits(torch.zeros(1, 64, dtype=torch.int64), cache)

        def one_pass(decoder: Decoder = decoder, cache: Any = cache, tokens: int = tokens) -> None:
            cache.length = 64
            decoder(torch.zeros(1, tokens, dtype=torch.int64), cache)

        cost[name] = seconds(one_pass, repeats)
    return cost


def computed_gain(tokens_a_round: float, cost: dict[str, float]) -> float:
    """Tokens a second with a draft over without."""
    return tokens_a_round * cost["large"] / (cost["large_ahead"] + AHEAD * cost["small"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Speculative decoding at batch 1.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/bench/speculate.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = minis(2 if options.quick else 8, 1 if options.quick else 5)
    table = Table("workload", "draft", "tok/s: median [range]", "ratio to plain", "tokens a round", title=f"{AHEAD} tokens ahead")
    for row in rows:
        low, high = row["tokens_per_s_range"]
        speed = f"{row['tokens_per_s']:,.0f} \\[{low:,.0f}, {high:,.0f}]"
        table.add_row(
            row["workload"], row["draft"] or "none", speed, f"{row['ratio_to_plain']:.2f}", f"{row['tokens_a_round']:.2f}"
        )
    Console().print(table)
    if not options.quick:
        cost = released(7)
        gains = {row["workload"]: computed_gain(row["tokens_a_round"], cost) for row in rows if row["draft"] == "mini-s"}
        rows.append({"workload": "1558M with 124M, int8: seconds a pass; gain computed at mini-s's luck"} | cost | {"gain": gains})
        print(rows[-1])
    write_json(options.out, rows)


if __name__ == "__main__":
    main()
