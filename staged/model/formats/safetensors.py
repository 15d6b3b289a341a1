"""The safetensors format: its header read with every rule checked, and a file written tensor by
tensor.

    8 bytes little-endian N · N bytes of JSON: name → {dtype, shape, data_offsets} · the data,
    without gaps

Source: https://github.com/huggingface/safetensors, README, "Format". The library reads and writes
whole files or maps them; this module exists to read each tensor straight into its target
(docs/decisions/006-formats.md). Both write the same bytes.
"""

from __future__ import annotations

import errno
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from staged.errors import CheckpointError
from staged.model.formats.file_tensor import StoredTensor, refuse_foreign
from staged.storage.writing import replacing

HEADER_LIMIT = 100_000_000  # bytes, the library's own limit
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "C64": 8,
}


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """What one file holds; no data is read.

    Raises:
        CheckpointError: not a safetensors file, truncated, or with a damaged header.
    """
    size = refuse_foreign(path)
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = file.read(length) if length <= min(size - 8, HEADER_LIMIT) else b""
    return parse_header(start + header, size, path)


def parse_header(data: bytes, size: int, path: Path) -> dict[str, StoredTensor]:
    """Name → tensor from the first bytes of a file.

    Args:
        data: the length and the header, or fewer bytes where the file ends early.
        size: of the whole file in bytes.

    Raises:
        CheckpointError: as `read_safetensors`.
    """
    first = 8 + _header_length(data, size, path)  # byte of the tensors
    found: dict[str, StoredTensor] = {}
    end = 0
    for name, one in sorted(
        _entries(data[8:first], path).items(), key=lambda item: _begin(item[0], item[1], path)
    ):
        begin, end = _place(name, one, end, path)
        if first + end > size:
            raise CheckpointError(
                f"{path}: not a readable safetensors file, or truncated: it ends before tensor"
                f" {name!r} does"
            )
        shape, kind = tuple(one["shape"]), one["dtype"]
        found[name] = StoredTensor(path, name, first + begin, shape, DTYPES.get(kind), kind=kind)
    if first + end != size:
        raise CheckpointError(
            f"{path}: its header describes {first + end} bytes but the file has {size}; get it"
            " again"
        )
    return found


def _header_length(data: bytes, size: int, path: Path) -> int:
    """Bytes of the header, all of which are there."""
    length: int = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if length < 2 or length > HEADER_LIMIT:
        raise CheckpointError(
            f"{path}: not a readable safetensors file: its first 8 bytes give no header length; get"
            " it again"
        )
    if 8 + length > min(size, len(data)):
        raise CheckpointError(
            f"{path}: not a readable safetensors file, or truncated: it ends inside its header; get"
            " it again"
        )
    return length


def _entries(header: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a name stands twice")
        return table

    try:
        entries = json.loads(header.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file: damaged header: {error}; get it again"
        ) from None
    if not isinstance(entries, dict):
        raise CheckpointError(
            f"{path}: not a readable safetensors file: its header is not a JSON object"
        )
    entries.pop("__metadata__", None)
    return entries


def _begin(name: str, entry: Any, path: Path) -> tuple[int, int]:
    """The two offsets, after the entry's form was checked."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(n) is int and 0 <= n < 2**63 for n in (*shape, begin, end))
        if (
            whole
            and dtype in BYTES
            and type(shape) is list
            and len(shape) <= 8
            and end - begin == math.prod(shape) * BYTES[dtype]
        ):
            return begin, end
    except (KeyError, TypeError, ValueError):
        pass
    raise CheckpointError(
        f"{path}: damaged header: tensor {name!r} has no valid dtype, shape and data_offsets; get"
        " it again"
    )


def _place(name: str, entry: Any, expected: int, path: Path) -> tuple[int, int]:
    begin, end = entry["data_offsets"]
    if begin != expected:
        raise CheckpointError(
            f"{path}: damaged header: tensor {name!r} begins at {begin} where {expected} is due;"
            " get it again"
        )
    return begin, end


def write_safetensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: torch.dtype,
    read: Callable[[str], Tensor],
) -> None:
    """Write a whole file or nothing, holding one tensor at a time; the bytes are those the library
    would write.

    Args:
        shapes: name → axes' lengths.
        dtype: of every tensor.
        read: gives one tensor by name; called once each, in the order of names.
    """
    text = _header(shapes, dtype)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(shapes):
            file.write(
                read(name)
                .detach()
                .to("cpu", dtype)
                .contiguous()
                .view(-1)
                .view(torch.uint8)
                .numpy()
                .data
            )


def _header(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> bytes:
    """The header of tensors of one type, in the order of their names, filled up to 8 bytes."""
    code = next(code for code, known in DTYPES.items() if known == dtype)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(shapes):
        begin, end = end, end + math.prod(shapes[name]) * dtype.itemsize
        header[name] = {"dtype": code, "shape": list(shapes[name]), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % 8)


@contextmanager
def library_disk_errors() -> Iterator[None]:
    """Where the library writes a file: a full disk, which it reports as an error of its own, is an
    OSError.
    """
    try:
        yield
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error)) from None
