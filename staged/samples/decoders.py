"""Which decoder generates: the exact model in float32, the packed one for a CPU, or the one of
fixed places for a GPU.
"""

from __future__ import annotations

import torch

from staged.errors import SamplingError
from staged.model.causal import TextTokenizer, is_outside
from staged.model.checkpoints import load_model, model_folder, open_model
from staged.model.devices import best_precision, chosen_device
from staged.model.gpt2.cuda_graph import StaticGPT2
from staged.model.gpt2.packed import PackedGPT2
from staged.model.gpt2.packed_linear import bf16_is_native, int8_is_native
from staged.model.transformers_lm import load_outside
from staged.samples.engine import Decoder


def load_decoder(
    name: str, *, precision: str = "", rows: int = 16, device: str = "cpu"
) -> tuple[Decoder, TextTokenizer]:
    """A model to generate with, and its tokenizer; `path_taken` says which kind it is.

    Args:
        name: as `model_folder` takes it, of any family.
        precision: `fp32`, `bf16`, `int8`; empty is `best_precision()`.
        rows: how many samples it will compute at once.
        device: as `chosen_device` takes it.

    Raises:
        CheckpointError: as `load_model` and `load_outside`.
        PlanError, SamplingError: as `chosen_device`; int8 on a processor without it.
    """
    device = chosen_device(device, precision)
    precision = precision or best_precision(device)
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    folder = model_folder(name)
    if is_outside(folder):
        if precision == "int8":
            raise SamplingError(
                f"sample: {name} runs through transformers, in bf16 or fp32; int8 is for GPT-2"
            )
        other = load_outside(folder, dtype=dtype, device=device)
        return other, other.tokenizer
    if device == "cuda":
        model, bpe = load_model(name, dtype=dtype)
        return StaticGPT2(model.to(device)), bpe
    if precision == "int8" and not int8_is_native():
        raise SamplingError(
            "sample: this processor has no int8 matrix products that PyTorch knows; use --precision"
            " bf16 or fp32"
        )
    if not _is_packed(precision):
        return load_model(name, dtype=dtype)
    config, bpe, stored = open_model(name)
    return (
        PackedGPT2(
            config, lambda key: stored[key].read(torch.float32), precision=precision, rows=rows
        ),
        bpe,
    )


def path_taken(name: str, precision: str = "", device: str = "cpu") -> str:
    """In words, what `load_decoder` makes of a model, a precision and a device here."""
    device = chosen_device(device, precision)
    precision = precision or best_precision(device)
    if is_outside(model_folder(name)):
        return f"{precision}, through transformers"
    if device == "cuda":
        return f"{precision}, CUDA graphs on {torch.cuda.get_device_name()}"
    return f"{precision}, {'packed for oneDNN' if _is_packed(precision) else 'plain PyTorch'}"


def _is_packed(precision: str) -> bool:
    return precision == "int8" or (precision == "bf16" and bf16_is_native())
