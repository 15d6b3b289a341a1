"""OpenAI's TensorFlow checkpoints, read without TensorFlow.

    checkpoint                        text: the name of the newest checkpoint in the folder
    model.ckpt.index                  a LevelDB table: variable → type, shape, shard, offset, size,
                                      CRC-32C
    model.ckpt.data-00000-of-00001    the variables' bytes

An index is read whole (tens of kilobytes), by `tensor_index.py`.
"""

from __future__ import annotations

import math
import re
from pathlib import Path, PureWindowsPath

import torch

from staged.errors import CheckpointError
from staged.model.formats.file_tensor import StoredTensor, refuse_foreign
from staged.model.formats.tensor_index import Entry, read_index

INDEX_LIMIT = 2**20  # bytes; GPT-2's largest index has 580 entries
FLOAT = 1  # DT_FLOAT


def checkpoint_prefix(folder: Path) -> Path | None:
    """The common start of the checkpoint's file names, as the file `checkpoint` says or the only
    `.index` does; None without.

    Raises:
        CheckpointError: the file `checkpoint` is not one, or names a checkpoint that is not in the
            folder.
    """
    record = folder / "checkpoint"
    if record.is_file():
        refuse_foreign(record)
        with open(record, "rb") as file:
            text = file.read(2**16).decode("utf-8-sig", errors="replace")
        match = re.search(r'^\s*model_checkpoint_path:\s*"([^"\n]+)"', text, re.MULTILINE)
        if not match:
            raise CheckpointError(
                f"{record}: names no checkpoint; it must hold a line model_checkpoint_path:"
                ' "model.ckpt"'
            )
        named = [folder / PureWindowsPath(path).name for path in (_unescaped(match[1]), match[1])]
        for prefix in named:
            if Path(f"{prefix}.index").is_file():
                return prefix
        raise CheckpointError(
            f"{named[0]}.index: no such file, but {record} names it; the checkpoint is not complete"
        )
    indexes = sorted(folder.glob("*.index"))
    return indexes[0].with_suffix("") if len(indexes) == 1 else None


def _unescaped(text: str) -> str:
    """A string of a protocol buffer's text format, whose backslashes stand twice and other bytes in
    octal.

    TensorFlow stores the path of the machine that it ran on, which may have been one of Windows.
    """

    def byte(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 8) % 256]) if len(match[1]) == 3 else match[1]

    return re.sub(rb"\\([0-7]{3}|.)", byte, text.encode()).decode(errors="replace")


def shard_files(prefix: Path) -> list[Path]:
    """The checkpoint's index and every data file beside it."""
    return [Path(f"{prefix}.index"), *sorted(prefix.parent.glob(f"{prefix.name}.data-*-of-*"))]


def read_tensorflow(prefix: Path) -> dict[str, StoredTensor]:
    """GPT-2's variables by the names of the hub's layout, the leading 1 of projections dropped; no
    data is read.

    Variables of other names (a step counter, an optimizer's state) are left out.

    Raises:
        CheckpointError: a damaged index, a shard that is missing or too short, a variable of
            another type.
    """
    index = Path(f"{prefix}.index")
    size = refuse_foreign(index)
    if size > INDEX_LIMIT:
        raise CheckpointError(
            f"{index}: {size} bytes is too large for the index of a GPT-2; give the folder of a"
            " GPT-2"
        )
    shards, entries = read_index(index.read_bytes(), index)
    sizes: dict[int, int] = {}
    tensors = {}
    for name, entry in entries.items():
        hub = hub_name(name)
        if hub is not None:
            path = Path(f"{prefix}.data-{entry.shard:05d}-of-{shards:05d}")
            if entry.shard not in sizes:
                sizes[entry.shard] = refuse_foreign(path)
            tensors[hub] = _located(name, entry, path, sizes[entry.shard])
    if not tensors:
        raise CheckpointError(
            f"{index}: holds no variable of a GPT-2, such as 'model/wte'; give the folder of a"
            " GPT-2"
        )
    return tensors


def _located(name: str, entry: Entry, path: Path, size: int) -> StoredTensor:
    if entry.sliced:
        raise CheckpointError(
            f"{path}: variable {name!r} is stored in slices, which a GPT-2 checkpoint never is"
        )
    if entry.dtype != FLOAT:
        raise CheckpointError(
            f"{path}: variable {name!r} has TensorFlow's type {entry.dtype}; only 1, float32, is"
            " read"
        )
    if entry.size_bytes != 4 * math.prod(entry.shape):
        raise CheckpointError(
            f"{path}: variable {name!r} of shape {list(entry.shape)} takes {entry.size_bytes}"
            " bytes; damaged index"
        )
    if entry.offset + entry.size_bytes > size:
        raise CheckpointError(
            f"{path}: truncated: it ends before variable {name!r} does; download it again"
        )
    shape = entry.shape[1:] if len(entry.shape) == 3 and entry.shape[0] == 1 else entry.shape
    return StoredTensor(path, name, entry.offset, shape, torch.float32, entry.crc32c)


def hub_name(variable: str) -> str | None:
    """`model/h3/attn/c_attn/w` → `h.3.attn.c_attn.weight`; None for what is no GPT-2's weight."""
    match = re.fullmatch(
        r"model/(wte|wpe|(?:h(\d{1,4})/(ln_[12]|(?:attn|mlp)/c_\w+)|ln_f)/([gbw]))", variable
    )
    if match is None:
        return None
    whole, layer, part, kind = match.groups()
    if kind is None:
        return f"{whole}.weight"
    place = f"h.{int(layer)}.{part.replace('/', '.')}" if layer is not None else "ln_f"
    return f"{place}.{'bias' if kind == 'b' else 'weight'}"
