"""Export to GGUF, the file that llama.cpp loads: architecture `gpt2`, tokenizer included. Needs the
extra `[gguf]`.

Names, the transposed projections and the metadata are those of llama.cpp's convert_hf_to_gguf.py,
class GPT2Model. Vectors and the positions stay float32 as there; q8_0 stores 32 weights in 34
bytes.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from staged.errors import CheckpointError, PlanError
from staged.model.bpe import BPE
from staged.model.formats.file_tensor import AnyTensor
from staged.model.gpt2.config import END_OF_TEXT, GPT2Config
from staged.storage.writing import replacing

TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "q8_0": "Q8_0"}
FILE_TYPES = {"F32": "ALL_F32", "F16": "MOSTLY_F16", "BF16": "MOSTLY_BF16", "Q8_0": "MOSTLY_Q8_0"}
MADE_OF = "staged.made_of"  # the metadata's key of our own mark
NAMES = {
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """`h.3.attn.c_attn.weight` → `blk.3.attn_qkv.weight`."""
    part, kind = name.rsplit(".", 1)
    if part.startswith("h."):
        _, layer, part = part.split(".", 2)
        return f"blk.{layer}.{NAMES[part]}.{kind}"
    return f"{NAMES[part]}.{kind}"


def gguf_mark(path: Path) -> str:
    """What `write_gguf` marked a file with; empty for a file of others or that is no GGUF file."""
    gguf = _library()
    try:
        field = gguf.GGUFReader(path).get_field(MADE_OF)
    except (OSError, ValueError, IndexError, KeyError):  # how the library meets other bytes
        return ""
    return str(field.contents()) if field else ""


def write_gguf(
    path: Path,
    config: GPT2Config,
    bpe: BPE,
    weights: dict[str, AnyTensor],
    *,
    dtype: str,
    mark: str,
    progress: Any,
) -> None:
    """Write a whole file or nothing, holding one tensor at a time.

    Args:
        weights: as `open_weights` gives them.
        dtype: a key of TYPES.
        mark: names what it is made of; `gguf_mark` reads it back.
        progress: called with (tensors written, tensors).

    Raises:
        PlanError: the extra `[gguf]` is not installed, or this type is not one of GGUF's.
        CheckpointError: a tensor cannot be read, or its rows do not fit the type.
    """
    if dtype not in TYPES:
        raise PlanError(f"--dtype {dtype!r}: GGUF files are written as {', '.join(TYPES)}")
    gguf = _library()
    with replacing(path) as temporary, closing(gguf.GGUFWriter(temporary, "gpt2")) as writer:
        _describe(writer, gguf, config, bpe, name=path.stem, kind=TYPES[dtype])
        writer.add_string(MADE_OF, mark)
        kinds = {
            name: _kind(gguf, name, tensor.shape, TYPES[dtype]) for name, tensor in weights.items()
        }
        for name, tensor in weights.items():
            _announce(writer, gguf, name, tensor, kinds[name])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for number, (name, tensor) in enumerate(weights.items(), 1):
            writer.write_tensor_data(
                gguf.quants.quantize(_array(name, tensor.read(torch.float32)), kinds[name])
            )
            progress(number, len(weights))


def _library() -> Any:
    try:
        import gguf
    except ImportError:
        raise PlanError("GGUF files need the package gguf: pip install 'staged[gguf]'") from None
    return gguf


def _describe(
    writer: Any, gguf: Any, config: GPT2Config, bpe: BPE, *, name: str, kind: str
) -> None:
    """The metadata: shape and tokenizer."""
    writer.add_name(name)
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_ctx)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType[FILE_TYPES[kind]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    vocabulary, merges = bpe.merges()
    # the end of text comes last
    tokens = [*sorted(vocabulary.keys() - {END_OF_TEXT}, key=vocabulary.__getitem__), END_OF_TEXT]
    ordinary, special = int(gguf.TokenType.NORMAL), int(gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [special if i == bpe.end_of_text else ordinary for i in range(bpe.n_vocab)]
    )
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(bpe.end_of_text)
    writer.add_eos_token_id(bpe.end_of_text)
    writer.add_add_bos_token(False)


def _kind(gguf: Any, name: str, shape: tuple[int, ...], wanted: str) -> Any:
    """The type of one tensor; rows are along its input axis, which is the first of a projection."""
    if len(shape) == 1 or name == "wpe.weight":
        return gguf.GGMLQuantizationType.F32
    rows = shape[0] if name.startswith("h.") else shape[1]
    if wanted == "Q8_0" and rows % 32:
        raise CheckpointError(
            f"tensor {name!r}: rows of {rows} weights do not fit q8_0, which takes multiples of 32;"
            " use float16"
        )
    return gguf.GGMLQuantizationType[wanted]


def _announce(writer: Any, gguf: Any, name: str, tensor: AnyTensor, kind: Any) -> None:
    shape = tuple(reversed(tensor.shape)) if _is_projection(name, tensor.shape) else tensor.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    n_bytes = int(np.prod(shape)) // block * size
    if kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
        writer.add_tensor_info(
            gguf_name(name), shape, np.dtype(np.float32 if size == 4 else np.float16), n_bytes
        )
    else:
        held = gguf.quant_shape_to_byte_shape(shape, kind)
        writer.add_tensor_info(gguf_name(name), held, np.dtype(np.uint8), n_bytes, raw_dtype=kind)


def _is_projection(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and name.startswith("h.")


def _array(name: str, tensor: Tensor) -> Any:
    """(out, in) as llama.cpp multiplies; ours is (in, out)."""
    return (
        (tensor.t() if _is_projection(name, tuple(tensor.shape)) else tensor).contiguous().numpy()
    )
