"""Writes TensorFlow index tables, well-formed or not; the reader's tests and the fuzzing stand on
it.
"""

from __future__ import annotations

import struct

import google_crc32c

from staged.model.formats.file_tensor import masked
from staged.model.formats.tensor_index import MAGIC


def varint(value: int) -> bytes:
    groups = b""
    while value > 0x7F:
        groups, value = groups + bytes([value & 0x7F | 0x80]), value >> 7
    return groups + bytes([value])


def sealed(content: bytes, kind: int = 0) -> bytes:
    block = content + bytes([kind])
    return block + struct.pack("<I", masked(google_crc32c.value(block)))


def block_of(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Entries with shared beginnings, one restart point at the first."""
    content, previous = b"", b""
    for key, value in pairs:
        shared = next(
            (i for i, (a, b) in enumerate(zip(key, previous, strict=False)) if a != b),
            min(len(key), len(previous)),
        )
        content += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        previous = key
    return content + struct.pack("<II", 0, 1)


def table_of(pairs: list[tuple[bytes, bytes]], *, per_block: int, kind: int = 0) -> bytes:
    """A table as LevelDB's builder writes it, with few entries in a block."""
    data, handles = b"", []
    for first in range(0, len(pairs), per_block):
        part = block_of(pairs[first : first + per_block])
        handles.append(
            (
                pairs[min(first + per_block, len(pairs)) - 1][0],
                varint(len(data)) + varint(len(part)),
            )
        )
        data += sealed(part, kind)
    return closed(data, block_of(handles))


def closed(data: bytes, index: bytes) -> bytes:
    """Data blocks, an empty meta index, the index, and the footer that says where they are."""
    meta = block_of([])
    ends = (
        varint(len(data))
        + varint(len(meta))
        + varint(len(data) + len(meta) + 5)
        + varint(len(index))
    )
    return data + sealed(meta) + sealed(index) + ends.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(dtype: int = 1, shape: tuple[int, ...] = (2, 3), size: int = 24, **more: int) -> bytes:
    dims = b"".join(field(2, field(1, n)) for n in shape)
    rest = b"".join(
        field(number, more[name]) for name, number in (("shard", 3), ("offset", 4)) if name in more
    )
    return (
        field(1, dtype)
        + field(2, dims)
        + rest
        + field(5, size)
        + varint(6 << 3 | 5)
        + struct.pack("<I", 0)
    )


HEADER = (b"", field(1, 1) + field(3, field(1, 1)))
