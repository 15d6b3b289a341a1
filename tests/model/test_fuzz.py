"""Headers changed at random: every reader refuses in a sentence or finds tensors inside the file;
never a crash or a hang.

A failing number is the seed of its mutation: `mutated(seed)` of the class gives the bytes again.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file, save

from staged.errors import CheckpointError
from staged.model.formats.file_tensor import StoredTensor
from staged.model.formats.safetensors import parse_header
from staged.model.formats.tensorflow import read_tensorflow
from tests.model.leveldb import HEADER, block_of, closed, entry, sealed, table_of, varint

GOLDEN = Path(__file__).parents[1] / "golden" / "tensorflow" / "one"
EXTREMES = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**48,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
QUICK, FULL = range(3_000), range(60_000)  # of each format


def changed(stream: random.Random, data: bytes) -> bytes:
    """One to four changes: bits, bytes, numbers at the edge of a type, pieces left out, put twice,
    moved, or cut off.
    """
    out = bytearray(data)
    for _ in range(stream.randint(1, 4)):
        at, other = (stream.randrange(len(out) + 1) for _ in range(2))
        piece = out[at : at + stream.randint(1, 32)]
        kind = stream.randrange(8)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << stream.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = stream.randrange(256)
        elif kind == 2:
            out[at : at + 8] = stream.choice(EXTREMES).to_bytes(8, "little")[: len(out) - at]
        elif kind == 3:
            number = varint(stream.choice(EXTREMES))
            out[at : at + stream.choice((0, len(number)))] = number
        elif kind == 4:
            del out[at : at + len(piece)]
        elif kind == 5:
            out[other:other] = piece
        elif kind == 6:
            out[at:at] = str(stream.choice((*EXTREMES, -1, 1e300, "\\ud800", "[" * 3000))).encode()
        elif stream.random() < 0.3:
            del out[at:]
    return bytes(out)


def index_of(stream: random.Random) -> bytes:
    """A TensorFlow index with a change at some depth; below the surface, with checksums that hold
    again.
    """
    golden = (GOLDEN / "model.ckpt.index").read_bytes()
    depth = stream.randrange(4)
    if depth == 0:
        return changed(stream, golden)
    if depth == 1:  # in the data block that TensorFlow wrote
        content = changed(stream, golden[: golden.index(b"\0\0\0\0\1\0\0\0\0") + 8])
        return closed(sealed(content), block_of([(b"n", varint(0) + varint(len(content)))]))
    names = [b"model/h0/ln_1/b", b"model/h0/ln_1/g", b"model/wte"]
    if depth == 2:  # in an entry
        entries = [
            (name, changed(stream, entry(offset=stream.choice(EXTREMES[:12]), shard=0)))
            for name in names
        ]
        return table_of([HEADER, *entries], per_block=stream.randint(1, 4))
    block = block_of([HEADER, *((name, entry()) for name in names)])
    return closed(
        sealed(block), changed(stream, block_of([(b"n", varint(0) + varint(len(block)))]))
    )


def refused_or_inside(
    seed: int, read: Callable[[], dict[str, StoredTensor]], size: Callable[[Path], int]
) -> bool:
    """Whether the reader refused; else everything it found lies inside its file."""
    try:
        found = read()
    except CheckpointError as error:
        str(error).encode("utf-8")  # a sentence that can be printed
        return True
    except Exception as error:
        raise AssertionError(
            f"seed {seed}: {type(error).__name__} instead of CheckpointError"
        ) from error
    for tensor in found.values():
        assert tensor.offset >= 0, seed
        assert tensor.offset + tensor.size_bytes <= size(tensor.path), seed
    return False


def fuzz_tensorflow(folder: Path, seeds: range) -> int:
    shutil.copytree(GOLDEN, folder)
    index, refused = folder / "model.ckpt.index", 0
    for seed in seeds:
        index.write_bytes(index_of(random.Random(seed)))
        refused += refused_or_inside(
            seed, lambda: read_tensorflow(folder / "model.ckpt"), lambda path: path.stat().st_size
        )
    return refused


def fuzz_safetensors(tiny: Path, seeds: range) -> int:
    few = {
        key: tensor for key, tensor in load_file(tiny / "model.safetensors").items() if "ln_" in key
    }
    data = save(few, metadata={"format": "pt"})
    length = 8 + int.from_bytes(data[:8], "little")
    refused = 0
    for seed in seeds:
        stream = random.Random(seed)
        header = changed(stream, data[8:length])
        holds = stream.random() < 0.8  # most have a length that holds
        start = len(header) if holds else stream.choice(EXTREMES)
        whole = start.to_bytes(8, "little") + header
        size = len(whole) + len(data) - length
        parse = partial(parse_header, whole, size, Path("f"))
        refused += refused_or_inside(seed, parse, lambda _, size=size: size)
    return refused


def test_tensorflow_index(tmp_path: Path) -> None:
    assert (
        0.5 * len(QUICK) < fuzz_tensorflow(tmp_path / "m", QUICK) < len(QUICK)
    )  # both answers occur


def test_safetensors_header(tiny: Path) -> None:
    assert 0.5 * len(QUICK) < fuzz_safetensors(tiny, QUICK) < len(QUICK)


@pytest.mark.slow
def test_tensorflow_index_at_length(tmp_path: Path) -> None:
    assert 0.5 * len(FULL) < fuzz_tensorflow(tmp_path / "m", FULL) < len(FULL)


@pytest.mark.slow
def test_safetensors_header_at_length(tiny: Path) -> None:
    assert 0.5 * len(FULL) < fuzz_safetensors(tiny, FULL) < len(FULL)
