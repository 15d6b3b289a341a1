"""Training steps of a RoBERTa classifier beside a plain loop over transformers' model: texts per
second and peak memory, same shape, same texts, random weights.

    python bench/encoder_step.py --device cuda    RoBERTa-large, 24 × 128 tokens a step, bfloat16
                                                  autocast; table, and JSON in out/bench
    python bench/encoder_step.py --quick          a tiny shape, to see that it works

Ours is what a study calls, `train_roberta`: crops drawn, tokens put into batches and sent, forward,
backward, fused Adam. The peer is the loop of transformers' own guides: a batch of texts through the
tokenizer, cut at its end, autocast, Adam. One engine after the other does a whole call: a warm-up,
then `repeats` times `steps` steps. Dropout is the model's usual 0.1. The clock is read when the
device has finished. Memory: the most that PyTorch held on a GPU, from before the model was loaded;
null on a processor.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from staged.model.checkpoints import open_model
from staged.model.devices import best_precision, chosen_device
from staged.model.training.encoder import encoder_tokenizer
from staged.records import HUMAN, MACHINE, Document
from staged.storage.json_files import write_json
from staged.training.roberta import RobertaSettings, train_roberta

LEARNING_RATE = 2e-5
CONTEXT = 512


@dataclass(frozen=True)
class Workload:
    """What is measured. `steps` make one repeat."""

    model: str = "RoBERTa-large"
    layers: int = 24
    width: int = 1024
    heads: int = 16
    vocabulary: int = 50265
    batch: int = 24
    length: int = 128
    warmup_steps: int = 10
    steps: int = 20
    repeats: int = 5
    micro_batch: int = 0

    @property
    def all_steps(self) -> int:
        return self.warmup_steps + self.steps * self.repeats


QUICK = Workload("quick", 1, 32, 2, 5000, batch=4, length=16, warmup_steps=1, steps=1, repeats=5)
Clock = Callable[[int], None]  # told how many steps are done


def encoder_step(device: str, work: Workload = Workload()) -> list[dict[str, Any]]:
    """A row an engine, as written to the JSON file.

    Args:
        device: `cpu` or `cuda`.
    """
    measured = {}
    with tempfile.TemporaryDirectory() as place:
        base = write_base(Path(place) / "base", work)
        texts = make_texts(base, work)
        for name, engine in ENGINES.items():
            with peak_memory(device) as memory:
                times: list[float] = []
                engine(base, texts, work, device, clock(times, device, work))
            measured[name] = (times, memory)
    return rows_of(measured, work, device)


def write_base(folder: Path, work: Workload) -> Path:
    """An encoder with random weights and a tokenizer, as in a model folder."""
    from transformers import RobertaConfig, RobertaForMaskedLM

    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=work.vocabulary,
        hidden_size=work.width,
        num_hidden_layers=work.layers,
        num_attention_heads=work.heads,
        intermediate_size=4 * work.width,
        max_position_embeddings=CONTEXT + 2,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    RobertaForMaskedLM(config).save_pretrained(folder)
    encoder_tokenizer(open_model("mini-s")[1], CONTEXT).save_pretrained(folder)
    return folder


def make_texts(base: Path, work: Workload) -> list[Document]:
    """Enough for all steps, each longer than what is read of it, human and machine in turn."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    count, numbers = work.all_steps * work.batch, torch.Generator().manual_seed(2)
    ids = torch.randint(5, len(tokenizer), (count, 2 * work.length), generator=numbers)
    texts = tokenizer.batch_decode(ids)
    return [
        Document(str(i), text, MACHINE if i % 2 else HUMAN, str(i), "train")
        for i, text in enumerate(texts)
    ]


def clock(times: list[float], device: str, work: Workload) -> Clock:
    """Keeps the moment at which each repeat begins or ends on the device."""

    def told(done: int) -> None:
        if done >= work.warmup_steps and (done - work.warmup_steps) % work.steps == 0:
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter())

    return told


@contextmanager
def peak_memory(device: str) -> Iterator[list[float]]:
    """Receives the most that PyTorch held on the GPU, in MB; nothing on a processor."""
    peak: list[float] = []
    if device == "cuda":
        gc.collect()  # what the engine before has left
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield peak
    if device == "cuda":
        peak.append(torch.cuda.max_memory_allocated() / 1e6)


def staged_engine(
    base: Path, texts: list[Document], work: Workload, device: str, told: Clock
) -> None:
    """An epoch as a study trains it; its validation, of one batch, comes after the last step."""
    settings = RobertaSettings(
        str(base),
        learning_rate=LEARNING_RATE,
        epochs=1,
        batch=work.batch,
        max_tokens=work.length,
        micro_batch=work.micro_batch,
    )
    with tempfile.TemporaryDirectory() as place:
        train_roberta(
            texts,
            texts[: work.batch],
            settings,
            checkpoint=Path(place) / "checkpoint.pt",
            device=device,
            progress=lambda done, _: told(done),
        )


def transformers_engine(
    base: Path, texts: list[Document], work: Workload, device: str, told: Clock
) -> None:
    """The loop as transformers' users write it."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    model = model.float().to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    is_bf16 = best_precision(device) == "bf16"
    for step in range(work.all_steps):
        part = texts[step * work.batch : (step + 1) * work.batch]
        batch = tokenizer(
            [document.text for document in part],
            truncation=True,
            max_length=work.length + 2,
            padding=True,
            return_tensors="pt",
        ).to(device)
        labels = torch.tensor([document.label for document in part], device=device)
        with torch.autocast(device, torch.bfloat16, enabled=is_bf16):
            loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        told(step + 1)


ENGINES = {"staged": staged_engine, "transformers": transformers_engine}


def rows_of(
    measured: dict[str, tuple[list[float], list[float]]], work: Workload, device: str
) -> list[dict[str, Any]]:
    """One object an engine; speeds are of texts and of their tokens, marks not counted."""
    texts, speeds = work.steps * work.batch, {}
    for name, (times, _) in measured.items():
        seconds = (after - before for before, after in pairwise(times))
        speeds[name] = sorted(texts / one for one in seconds)
    peer = statistics.median(speeds["transformers"])
    return [
        {
            "workload": f"train {work.batch} × {work.length} tokens",
            "model": work.model,
            "batch": work.batch,
            "engine": name,
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "precision": f"{best_precision(device)} autocast",
            "documents_per_s": statistics.median(speed),
            "documents_per_s_range": [speed[0], speed[-1]],
            "tokens_per_s": statistics.median(speed) * work.length,
            "ms_per_step": 1000 * work.batch / statistics.median(speed),
            "ratio_to_best_peer": statistics.median(speed) / peer,
            "kl_from_fp32": None,
            "peak_memory_mb": next(iter(measured[name][1]), None),
            "repeats": len(speed),
        }
        for name, speed in speeds.items()
    ]


def table_of(rows: list[dict[str, Any]]) -> Table:
    first = rows[0]
    title = f"{first['workload']}, {first['model']}, {first['precision']}, {first['device']}"
    names = ("engine", "texts/s: median [range]", "ms a step", "ratio", "peak memory MB")
    table = Table(*names, title=title)
    for row in rows:
        low, high = row["documents_per_s_range"]
        memory = row["peak_memory_mb"]
        table.add_row(
            row["engine"],
            f"{row['documents_per_s']:,.1f} \\[{low:,.1f}, {high:,.1f}]",
            f"{row['ms_per_step']:.1f}",
            f"{row['ratio_to_best_peer']:.2f}",
            "–" if memory is None else f"{memory:,.0f}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Steps of an encoder beside transformers'.")
    parser.add_argument("--quick", action="store_true", help="a tiny shape, to see that it works")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--out", type=Path, default=Path("out/bench/encoder_step.json"))
    options = parser.parse_args()
    work = QUICK if options.quick else Workload()
    rows = encoder_step(chosen_device(options.device), work)
    Console().print(table_of(rows))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, rows)


if __name__ == "__main__":
    main()
