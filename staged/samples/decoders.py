"""Which decoder generates: the exact model in float32, or the packed one where the processor has what it needs."""

from __future__ import annotations

import torch

from staged.errors import SamplingError
from staged.model.causal import TextTokenizer, is_outside
from staged.model.checkpoints import load_model, model_folder, open_model
from staged.model.fast import PackedGPT2, bf16_is_native, int8_is_native
from staged.model.outside import load_outside
from staged.samples.engine import Decoder


def best_precision() -> str:
    """`bf16` where this processor multiplies it natively, else `fp32`."""
    return "bf16" if bf16_is_native() else "fp32"


def best_dtype() -> torch.dtype:
    """The same as a dtype."""
    return torch.bfloat16 if bf16_is_native() else torch.float32


def load_decoder(name: str, *, precision: str = "", rows: int = 16) -> tuple[Decoder, TextTokenizer]:
    """A model to generate with, and its tokenizer; `path_taken` says which kind it is.

    Args:
        name: as `load_model` takes it.
        precision: `fp32`, `bf16`, `int8`; empty is `best_precision()`.
        rows: how many samples it will compute at once.

    Raises:
        CheckpointError: as `load_model`.
        SamplingError: int8 on a processor without it.
    """
    precision = precision or best_precision()
    folder = model_folder(name)
    if is_outside(folder):
        if precision == "int8":
            raise SamplingError(f"sample: {name} runs through transformers, in bf16 or fp32; int8 is for GPT-2")
        other = load_outside(folder, dtype=torch.float32 if precision == "fp32" else torch.bfloat16)
        return other, other.tokenizer
    if precision == "int8" and not int8_is_native():
        raise SamplingError("sample: this processor has no int8 matrix products that PyTorch knows; use --precision bf16 or fp32")
    if not _is_packed(precision):
        return load_model(name, dtype=torch.float32 if precision == "fp32" else torch.bfloat16)
    config, bpe, stored = open_model(name)
    return PackedGPT2(config, lambda key: stored[key].read(torch.float32), precision=precision, rows=rows), bpe


def path_taken(name: str, precision: str = "") -> str:
    """In words, what `load_decoder` makes of a model and a precision on this processor."""
    precision = precision or best_precision()
    if is_outside(model_folder(name)):
        return f"{precision}, through transformers"
    return f"{precision}, {'packed for oneDNN' if _is_packed(precision) else 'plain PyTorch'}"


def _is_packed(precision: str) -> bool:
    return precision == "int8" or (precision == "bf16" and bf16_is_native())
