"""Engines that bench/decode.py compares: ours and its peers, each as its users call it.

An engine loads a model folder in the hub's layout, or its own conversion of it, which a process of
its own makes beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from staged.model.gpt2.config import GPT2_SIZES, GPT2Config

TOP_K = 40


@dataclass(frozen=True)
class Workload:
    """What is measured: `repeats` generations of `length` new tokens for each batch size."""

    model: str = "124M"
    shape: GPT2Config = field(default_factory=lambda: GPT2_SIZES["gpt2"])
    length: int = 128
    batches: tuple[int, ...] = (1, 16, 64)
    repeats: int = 5
    threads: int = 2
    device: str = "cpu"


QUICK = Workload(
    "quick", GPT2Config(n_vocab=4096, n_ctx=64, n_embd=64, n_head=1, n_layer=2), 16, (1, 4), 2
)


class Engine(Protocol):
    """A loaded model."""

    def generate(self, batch: int, length: int) -> int:
        """Generate exactly `length` tokens in each of `batch` rows; returns how many that were in
        all.
        """

    def logits(self, ids: list[int]) -> Tensor:
        """Float32 (T, V) after each token."""


class Staged:
    """Our engine in one precision."""

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        from staged.samples.decoders import load_decoder
        from staged.samples.methods import method

        self.decoder, self.bpe = load_decoder(
            str(folder), precision=precision, rows=batch, device=work.device
        )
        self.method, self.seed = method(f"top-k-{TOP_K}"), 0

    def generate(self, batch: int, length: int) -> int:
        from staged.samples.engine import generate

        self.seed += 1
        prompts = [[self.bpe.end_of_text]] * batch
        found = generate(self.decoder, prompts, self.method, length=length, end=-1, seed=self.seed)
        return sum(len(one.tokens) for one in found)

    def logits(self, ids: list[int]) -> Tensor:
        cache = self.decoder.new_cache(1)
        return (
            torch.cat([self.decoder.next_logits(self._one(token), cache) for token in ids])
            .float()
            .cpu()
        )

    def _one(self, token: int) -> Tensor:
        return torch.tensor([[token]], device=self.decoder.device)


class Transformers:
    """transformers' `generate`, as its users call it."""

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        import transformers

        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
        self.model = (
            transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=dtype).eval().to(work.device)
        )
        self.end, self.options = work.shape.n_vocab - 1, dict[str, Any]()

    def generate(self, batch: int, length: int) -> int:
        ids = torch.full((batch, 1), self.end, device=self.model.device)
        options = {
            "attention_mask": torch.ones_like(ids),
            "pad_token_id": self.end,
            "eos_token_id": None,
        }
        out = self.model.generate(
            ids, do_sample=True, top_k=TOP_K, max_new_tokens=length, **options, **self.options
        )
        return int(out[:, 1:].numel())

    @torch.inference_mode()
    def logits(self, ids: list[int]) -> Tensor:
        return self.model(torch.tensor([ids], device=self.model.device)).logits[0].float().cpu()


class TransformersStatic(Transformers):
    """The same with its static cache, for which it compiles the step on a GPU."""

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        super().__init__(precision, folder, work, batch)
        self.options = {"cache_implementation": "static"}


class CTranslate2:
    """CTranslate2's Generator on its own conversion of the folder."""

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        import ctranslate2

        place = ctranslate2_folder(precision, folder)
        self.model = ctranslate2.Generator(
            str(place), compute_type=precision, intra_threads=work.threads
        )
        self.tokens = json.loads((place / "vocabulary.json").read_text(encoding="utf-8"))

    def generate(self, batch: int, length: int) -> int:
        limits = {"min_length": length, "max_length": length, "include_prompt_in_result": False}
        found = self.model.generate_batch(
            [[self.tokens[-1]]] * batch, sampling_topk=TOP_K, max_batch_size=batch, **limits
        )
        return sum(len(one.sequences_ids[0]) for one in found)

    def logits(self, ids: list[int]) -> Tensor:
        import numpy as np

        return torch.from_numpy(
            np.array(self.model.forward_batch([[self.tokens[i] for i in ids]]))
        )[0].float()


class LlamaCpp:
    """llama.cpp through llama-cpp-python's low-level calls: all sequences in one batch, one sampler
    a sequence.
    """

    repacked = True

    def __init__(self, precision: str, folder: Path, work: Workload, batch: int) -> None:
        import llama_cpp

        silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        self.api, self.work, self.silent = (
            llama_cpp,
            work,
            silent,
        )  # C keeps no reference to the callback
        place = gguf_file(precision, folder)
        llama_cpp.llama_log_set(silent, None)
        llama_cpp.llama_backend_init()
        wanted = llama_cpp.llama_model_default_params()
        wanted.use_extra_bufts = self.repacked
        self.model = llama_cpp.llama_model_load_from_file(str(place).encode(), wanted)
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.samplers = [self._sampler(row) for row in range(batch)]
        self.context = self._context(batch)

    def _context(self, batch: int) -> Any:
        wanted = self.api.llama_context_default_params()
        wanted.n_ctx, wanted.n_batch, wanted.n_ubatch = (
            batch * (self.work.length + 8),
            max(batch, 64),
            max(batch, 64),
        )
        wanted.n_seq_max, wanted.n_threads, wanted.n_threads_batch = (
            batch,
            self.work.threads,
            self.work.threads,
        )
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
            tokens = [
                self.api.llama_sampler_sample(self.samplers[row], self.context, row) for row in rows
            ]
        return batch * length

    def logits(self, ids: list[int]) -> Tensor:
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        found = []
        for position, token in enumerate(ids):
            self._decode([token], position, [0])
            pointer = self.api.llama_get_logits_ith(self.context, 0)
            found.append(torch.tensor(pointer[: self.work.shape.n_vocab]))
        return torch.stack(found)


class LlamaCppPlain(LlamaCpp):
    """The same without weights repacked for AMX, with which builds of 2026 die
    (github.com/ggml-org/llama.cpp/issues/20824).
    """

    repacked = False


def ctranslate2_folder(precision: str, folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-ct2-{precision}")


def convert_to_ctranslate2(precision: str, folder: Path) -> None:
    import ctranslate2

    place = ctranslate2_folder(precision, folder)
    if not place.is_dir():
        ctranslate2.converters.TransformersConverter(str(folder)).convert(
            str(place), quantization=precision
        )


def gguf_file(precision: str, folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-{precision}.gguf")


def convert_to_gguf(precision: str, folder: Path) -> None:
    from staged.model.convert import convert

    if not gguf_file(precision, folder).is_file():
        convert(str(folder), gguf_file(precision, folder), dtype=precision)


class Entry(NamedTuple):
    """How to load an engine, the module it needs, the devices it is compared on, and the conversion
    it needs.
    """

    load: Any
    precision: str
    module: str
    devices: tuple[str, ...] = ("cpu",)
    convert: Callable[[str, Path], None] | None = None


ENGINES = {
    "staged int8": Entry(Staged, "int8", "staged"),
    "staged bf16": Entry(Staged, "bf16", "staged", ("cpu", "cuda")),
    "staged fp32": Entry(Staged, "fp32", "staged", ("cpu", "cuda")),
    "transformers bf16": Entry(Transformers, "bf16", "transformers", ("cpu", "cuda")),
    "transformers-static bf16": Entry(TransformersStatic, "bf16", "transformers", ("cuda",)),
    "ctranslate2 int8": Entry(CTranslate2, "int8", "ctranslate2", ("cpu",), convert_to_ctranslate2),
    "llama.cpp q8_0": Entry(LlamaCpp, "q8_0", "llama_cpp", ("cpu",), convert_to_gguf),
    "llama.cpp-plain q8_0": Entry(LlamaCppPlain, "q8_0", "llama_cpp", ("cpu",), convert_to_gguf),
}
