"""Training steps of a GPT-2 beside transformers' GPT2LMHeadModel: tokens per second and peak
memory, same weights, same inputs.

    python bench/train.py              124M, 4 × 512 tokens a step, bfloat16 autocast; table, and
                                       JSON in out/bench/train.json
    python bench/train.py --quick      a tiny shape, to see that it works

Each engine lives in its own process and keeps its own model and optimizer. They take turns:
warm-up, then `repeats` times `steps` training steps each while the other waits. A step is forward,
backward, fused AdamW, gradients set to None; dropout is 0. Speed: input tokens over wall-clock
seconds, median and range over the repeats. Memory: the process's highest resident size at the end
less what was resident just before the model was made (Python, the libraries and the inputs are not
counted).
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn

from staged.model.formats.safetensors import read_safetensors
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.model.memory import forget_peak, peak_memory_mb
from staged.storage.json_files import write_json

LossOf = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Workload:
    """What is measured. `steps` make one repeat."""

    model: str = "124M"
    shape: GPT2Config = field(default_factory=GPT2Config)
    batch: int = 4
    length: int = 512
    warmup_steps: int = 2
    steps: int = 5
    repeats: int = 5
    threads: int = 0


QUICK = Workload(
    "quick", GPT2Config(n_vocab=3000, n_ctx=64, n_embd=64, n_head=2, n_layer=2), 2, 64, steps=1
)


def staged_engine(folder: Path, shape: GPT2Config) -> tuple[nn.Module, LossOf]:
    """Our model and the loss that `staged train` computes, as a mean; the last position has no
    target, as in transformers.
    """
    from staged.model.training.data import IGNORED
    from staged.model.training.objectives import CausalLoss

    with torch.device("meta"):
        model = GPT2(shape)
    stored = read_safetensors(folder / "model.safetensors")
    model.load_state_dict(
        {key: tensor.read(torch.float32) for key, tensor in stored.items()}, assign=True
    )
    loss = CausalLoss(model.train(), model.hidden, lambda: model.wte.weight)
    return (
        model,
        lambda ids: loss(ids, F.pad(ids[:, 1:], (0, 1), value=IGNORED)) / ids[:, 1:].numel(),
    )


def transformers_engine(folder: Path, shape: GPT2Config) -> tuple[nn.Module, LossOf]:
    """transformers' model as its users call it."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = transformers.GPT2LMHeadModel.from_pretrained(
        folder, dtype=torch.float32, **no_dropout
    ).train()
    return model, lambda ids: model(input_ids=ids, labels=ids).loss


ENGINES = {"staged": staged_engine, "transformers": transformers_engine}


def worker(pipe: Connection, engine: str, folder: Path, work: Workload) -> None:
    """One engine's process: does as many steps as it is told, answers (seconds, first loss); told
    0, its peak memory.
    """
    if work.threads:
        torch.set_num_threads(work.threads)
    import transformers  # noqa: F401  in both processes, so that neither model pays for imports

    numbers = torch.Generator().manual_seed(1)
    forget_peak()
    before_mb = peak_memory_mb("cpu")
    model, loss_of = ENGINES[engine](folder, work.shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    while steps := pipe.recv():
        batches = torch.randint(
            work.shape.n_vocab, (steps, work.batch, work.length), generator=numbers
        )
        started = time.perf_counter()
        losses = [train_step(loss_of, optimizer, ids) for ids in batches]
        pipe.send((time.perf_counter() - started, losses[0]))
    pipe.send(peak_memory_mb("cpu") - before_mb)


def train_step(loss_of: LossOf, optimizer: torch.optim.Optimizer, ids: Tensor) -> float:
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(ids)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def measure(work: Workload) -> dict[str, dict[str, Any]]:
    """Engine → seconds of each repeat, loss of the first step, peak memory."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, dict[str, Any]] = {name: {"seconds": []} for name in ENGINES}
    with tempfile.TemporaryDirectory() as place:
        write_weights(Path(place), work.shape)
        pipes = {}
        for name in ENGINES:
            pipes[name], far = context.Pipe()
            context.Process(target=worker, args=(far, name, Path(place), work), daemon=True).start()
            far.close()  # so that a worker's death ends the wait for its answer
        for name, pipe in pipes.items():
            found[name]["first_loss"] = ask(pipe, work.warmup_steps)[1]
        for repeat in range(work.repeats):
            for name in list(pipes) if repeat % 2 == 0 else reversed(list(pipes)):
                found[name]["seconds"].append(ask(pipes[name], work.steps)[0])
        for name, pipe in pipes.items():
            found[name]["peak_memory_mb"] = ask(pipe, 0)
    return found


def ask(pipe: Connection, steps: int) -> Any:
    pipe.send(steps)
    return pipe.recv()


def write_weights(folder: Path, shape: GPT2Config) -> None:
    """Random weights that both engines load, as in a model folder (without a tokenizer)."""
    model = GPT2(shape)
    initialise(model, torch.Generator().manual_seed(1))
    write_json(folder / "config.json", shape.to_hub())
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


def rows_of(found: dict[str, dict[str, Any]], work: Workload) -> list[dict[str, Any]]:
    """One object an engine, as written to the JSON file."""
    tokens = work.batch * work.length * work.steps
    speeds = {
        name: sorted(tokens / seconds for seconds in one["seconds"]) for name, one in found.items()
    }
    best = max(statistics.median(speed) for name, speed in speeds.items() if name != "staged")
    return [
        {
            "workload": f"train {work.batch} × {work.length} tokens",
            "model": work.model,
            "batch": work.batch,
            "engine": name,
            "precision": "bf16 autocast",
            "tokens_per_s": statistics.median(speed),
            "tokens_per_s_range": [speed[0], speed[-1]],
            "ratio_to_best_peer": statistics.median(speed) / best,
            "kl_from_fp32": None,
            "peak_memory_mb": found[name]["peak_memory_mb"],
            "first_loss": found[name]["first_loss"],
            "repeats": work.repeats,
        }
        for name, speed in speeds.items()
    ]


def table_of(rows: list[dict[str, Any]], work: Workload) -> Table:
    title = (
        f"{rows[0]['workload']}, {work.model}, {rows[0]['precision']}; {work.repeats} repeats of"
        f" {work.steps} steps"
    )
    table = Table(
        "engine",
        "tok/s: median [range]",
        "ratio",
        "peak memory MB",
        "of peer's",
        "first loss",
        title=title,
    )
    peer_mb = min(row["peak_memory_mb"] for row in rows if row["engine"] != "staged")
    for row in rows:
        low, high = row["tokens_per_s_range"]
        speed = f"{row['tokens_per_s']:,.0f} \\[{low:,.0f}, {high:,.0f}]"
        memory = (f"{row['peak_memory_mb']:,.0f}", f"{row['peak_memory_mb'] / peer_mb:.2f}")
        table.add_row(
            row["engine"],
            speed,
            f"{row['ratio_to_best_peer']:.2f}",
            *memory,
            f"{row['first_loss']:.4f}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Training steps beside transformers'.")
    parser.add_argument("--quick", action="store_true", help="a tiny shape, to see that it works")
    parser.add_argument(
        "--threads", type=int, default=0, help="of each engine; 0 leaves it to PyTorch"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("out/bench/train.json"))
    options = parser.parse_args()
    base = QUICK if options.quick else Workload()
    work = Workload(**vars(base) | {"repeats": options.repeats, "threads": options.threads})
    rows = rows_of(measure(work), work)
    losses = [row["first_loss"] for row in rows]
    if max(losses) - min(losses) > 0.02:
        raise SystemExit(
            f"bench/train.py: the engines do not compute the same: first losses {losses}"
        )
    Console().print(table_of(rows, work))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, rows)


if __name__ == "__main__":
    main()
