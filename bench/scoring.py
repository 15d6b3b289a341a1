"""Zero-shot scoring beside transformers' ordinary forward pass: documents per second and peak
memory, same weights, same texts.

    python bench/scoring.py            gpt2's shape, 32 texts of 512 tokens; table, and JSON in
                                       out/bench/scoring.json
    python bench/scoring.py --quick    a tiny shape, to see that it works

Every engine computes Fast-DetectGPT with the scorer as its own reference. The peer is what its
authors' code does: one forward pass over the batch, log-softmax of all logits in float32, and sums
over the vocabulary. Weights are random: speed does not depend on them. Every engine lives in its
own process; they take turns, one whole batch each, after one batch to warm up. Speed is texts over
wall-clock seconds, median and range. Memory is the process's highest resident size while it scores,
above what was resident just before its first batch (Python, the libraries and the weights are not
counted).
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file

from staged.model.gpt2.config import GPT2_SIZES, GPT2Config
from staged.model.memory import forget_peak, peak_memory_mb
from staged.storage.json_files import write_json

Score = Callable[[list[list[int]]], list[float]]


@dataclass(frozen=True)
class Workload:
    """What is measured: `repeats` batches of `batch` texts of `length` tokens."""

    model: str = "124M"
    shape: GPT2Config = field(default_factory=lambda: GPT2_SIZES["gpt2"])
    batch: int = 32
    length: int = 512
    repeats: int = 5
    threads: int = 2


QUICK = Workload("quick", GPT2Config(n_vocab=3000, n_ctx=64, n_embd=64, n_head=2, n_layer=2), 4, 64)


def staged_engine(folder: Path, shape: GPT2Config, dtype: torch.dtype) -> Score:
    """Our token statistics and the score made of them."""
    from staged.detectors.kinds.zero_shot import fast_detectgpt
    from staged.model.causal import CausalLM
    from staged.model.formats.safetensors import read_safetensors
    from staged.model.gpt2.model import GPT2
    from staged.model.reading.token_statistics import token_statistics

    with torch.device("meta"):
        model = GPT2(shape)
    stored = read_safetensors(folder / "model.safetensors")
    model.load_state_dict({key: tensor.read(dtype) for key, tensor in stored.items()}, assign=True)
    model.eval().requires_grad_(False)
    scorer = CausalLM("random", None, shape.n_ctx, model.hidden, model.wte.weight)  # type: ignore[arg-type]  # texts are ids
    return lambda ids: [fast_detectgpt(one) for one in token_statistics(scorer, ids)]


def transformers_engine(folder: Path, shape: GPT2Config, dtype: torch.dtype) -> Score:
    """transformers' model as its users call it, and fast-detect-gpt's
    `get_sampling_discrepancy_analytic`.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=dtype).eval()

    @torch.no_grad()
    def score(ids: list[list[int]]) -> list[float]:
        tokens_BT = torch.tensor(ids)
        logits_BTV = model(input_ids=tokens_BT).logits[:, :-1].float()
        log_p_BTV = torch.log_softmax(logits_BTV, dim=-1)
        p_BTV = torch.softmax(logits_BTV, dim=-1)
        likelihood_BT = log_p_BTV.gather(-1, tokens_BT[:, 1:, None])[..., 0]
        mean_BT = (p_BTV * log_p_BTV).sum(-1)
        variance_BT = (p_BTV * log_p_BTV.square()).sum(-1) - mean_BT.square()
        return ((likelihood_BT.sum(1) - mean_BT.sum(1)) / variance_BT.sum(1).sqrt()).tolist()

    return score


ENGINES: dict[str, Callable[[Path, GPT2Config, torch.dtype], Score]] = {
    "staged": staged_engine,
    "transformers": transformers_engine,
}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
NAMES = [f"{engine} {precision}" for precision in PRECISIONS for engine in ENGINES]


def worker(pipe: Connection, name: str, folder: Path, work: Workload) -> None:
    """One engine's process: scores the batch each time it is asked and answers (seconds, scores);
    at the end its peak memory.
    """
    torch.set_num_threads(work.threads)
    engine, precision = name.split()
    score = ENGINES[engine](folder, work.shape, PRECISIONS[precision])
    ids = torch.randint(
        work.shape.n_vocab, (work.batch, work.length), generator=torch.Generator().manual_seed(2)
    ).tolist()
    score(
        [one[:2] for one in ids[:2]]
    )  # what is loaded at the first call is no part of the batch's memory
    forget_peak()
    before_mb = peak_memory_mb("cpu")
    pipe.send("ready")
    while pipe.recv():
        started = time.perf_counter()
        scores = score(ids)
        pipe.send((time.perf_counter() - started, scores))
    pipe.send(peak_memory_mb("cpu") - before_mb)


def measure(work: Workload, folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Engine → documents per second of each repeat, scores, peak memory."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, dict[str, Any]] = {name: {"speeds": []} for name in names}
    pipes = {}
    for name in names:
        pipes[name], far = context.Pipe()
        context.Process(target=worker, args=(far, name, folder, work), daemon=True).start()
        far.close()  # so that a process's death ends the wait for its answer
        pipes[name].recv()  # loaded one after the other
    for repeat in range(work.repeats + 1):  # the first warms up
        for name in names if repeat % 2 else names[::-1]:
            pipes[name].send(True)
            seconds, found[name]["scores"] = pipes[name].recv()
            if repeat:
                found[name]["speeds"].append(work.batch / seconds)
    for name, pipe in pipes.items():
        pipe.send(False)
        found[name]["peak_memory_mb"] = pipe.recv()
    return found


def rows_of(found: dict[str, dict[str, Any]], work: Workload) -> list[dict[str, Any]]:
    """One object an engine, as written to the JSON file; ratios are to the peer of the same
    precision, and to the best of all.
    """
    medians = {name: statistics.median(one["speeds"]) for name, one in found.items()}
    peers = {name: speed for name, speed in medians.items() if not name.startswith("staged")}
    rows = []
    for name, one in found.items():
        engine, precision = name.split()
        same = f"transformers {precision}"
        row: dict[str, Any] = {
            "workload": f"fast-detectgpt, {work.batch} × {work.length} tokens",
            "model": work.model,
        }
        row |= {
            "batch": work.batch,
            "engine": engine,
            "precision": precision,
            "documents_per_s": medians[name],
        }
        row |= {"documents_per_s_range": [min(one["speeds"]), max(one["speeds"])]}
        row |= {"tokens_per_s": medians[name] * work.length}
        row |= {"ratio_to_best_peer": medians[name] / max(peers.values()) if peers else None}
        row |= {"ratio_to_same_precision": medians[name] / peers[same] if same in peers else None}
        row |= {"peak_memory_mb": one["peak_memory_mb"]}
        row |= {
            "memory_to_same_precision": (
                one["peak_memory_mb"] / found[same]["peak_memory_mb"] if same in found else None
            )
        }
        rows.append(row | {"score": statistics.mean(one["scores"]), "repeats": len(one["speeds"])})
    return rows


def table_of(rows: list[dict[str, Any]], work: Workload) -> Table:
    title = (
        f"{work.model}, {rows[0]['workload']}, {work.threads} threads; {work.repeats} repeats; its"
        " own: the peer in its precision"
    )
    table = Table(title=title)
    for column in (
        "engine",
        "texts/s: median [range]",
        "to best peer",
        "to its own",
        "peak MB",
        "of its own's",
    ):
        table.add_column(column, no_wrap=column == "engine")
    for row in rows:
        low, high = row["documents_per_s_range"]
        ratios = [
            "–" if row[key] is None else f"{row[key]:.2f}"
            for key in ("ratio_to_best_peer", "ratio_to_same_precision")
        ]
        memory = (
            "–"
            if row["memory_to_same_precision"] is None
            else f"{row['memory_to_same_precision']:.2f}"
        )
        speed = f"{row['documents_per_s']:.3g} \\[{low:.3g}, {high:.3g}]"
        peak = f"{row['peak_memory_mb']:,.0f}"
        table.add_row(f"{row['engine']} {row['precision']}", speed, *ratios, peak, memory)
    return table


def write_weights(folder: Path, shape: GPT2Config) -> None:
    """Random weights that both engines load, as in a model folder (without a tokenizer)."""
    from staged.model.gpt2.model import GPT2, initialise

    folder.mkdir(parents=True, exist_ok=True)
    model = GPT2(shape)
    initialise(model, torch.Generator().manual_seed(1))
    write_json(folder / "config.json", shape.to_hub())
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


def check(found: dict[str, dict[str, Any]]) -> None:
    """Every engine of one precision must have computed the same scores."""
    for precision, tolerance in (("fp32", 1e-3), ("bf16", 0.1)):
        scores = [
            torch.tensor(one["scores"]) for name, one in found.items() if name.endswith(precision)
        ]
        if len(scores) == 2 and float((scores[0] - scores[1]).abs().max()) > tolerance:
            raise SystemExit(
                f"bench/scoring.py: the engines in {precision} do not compute the same scores:"
                f" {scores}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="Zero-shot scoring beside transformers'.")
    parser.add_argument("--quick", action="store_true", help="a tiny shape, to see that it works")
    parser.add_argument(
        "--engine", action="append", choices=NAMES, help="only these; may be given several times"
    )
    parser.add_argument("--batch", type=int, help="texts; default 32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of each engine")
    parser.add_argument("--out", type=Path, default=Path("out/bench/scoring.json"))
    options = parser.parse_args()
    changed = {"repeats": options.repeats, "threads": options.threads} | (
        {"batch": options.batch} if options.batch else {}
    )
    work = Workload(**vars(QUICK if options.quick else Workload()) | changed)
    folder = options.out.parent / "models" / f"{work.model}-scoring"
    write_weights(folder, work.shape)
    found = measure(work, folder, options.engine or NAMES)
    check(found)
    rows = rows_of(found, work)
    Console().print(table_of(rows, work))
    write_json(options.out, rows)


if __name__ == "__main__":
    main()
