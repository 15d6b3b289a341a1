"""TensorFlow's index of a checkpoint, from its bytes: a LevelDB table of protocol buffers.

Sources: TensorFlow's core/util/tensor_bundle/tensor_bundle.{h,cc},
core/protobuf/tensor_bundle.proto, and its copy of LevelDB's table,
core/lib/io/{format,block,table}.cc. Every read is checked against the index's end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from staged.errors import CheckpointError
from staged.model.formats.file_tensor import masked

MAGIC = 0xDB4775248B80FB57
FOOTER = 48  # bytes: two block handles padded to 40, and the magic number
TRAILER = 5  # bytes after each block: its compression and its checksum
NAME_LIMIT = 1000  # bytes


class _DamagedError(Exception):
    """What is wrong, without the file's name."""


@dataclass(frozen=True)
class Entry:
    """One variable in the index: BundleEntryProto."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size_bytes: int
    crc32c: int
    sliced: bool


def read_index(data: bytes, path: Path) -> tuple[int, dict[str, Entry]]:
    """Number of shards, and variable → entry, of an index file's bytes.

    Raises:
        CheckpointError: damaged, truncated, compressed, or not such a table.
    """
    try:
        table = dict(_table(data))
        if b"" not in table:
            raise _DamagedError("it has no header entry")
        shards = _header(table.pop(b""))
        entries = {
            name.decode("utf-8"): _entry(name, value, shards) for name, value in table.items()
        }
    except UnicodeDecodeError:
        raise CheckpointError(
            f"{path}: damaged TensorFlow index: a variable's name is not UTF-8; download it again"
        ) from None
    except _DamagedError as error:
        raise CheckpointError(
            f"{path}: damaged TensorFlow index: {error}; download it again"
        ) from None
    return shards, entries


# The table: blocks of sorted keys, and one block that says where the others are.


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise _DamagedError("it does not end as a table does, so it is truncated or another file")
    _, _, at = _handle(data[-FOOTER:-8], 0)  # of the meta index, which TensorFlow leaves empty
    offset, size, _ = _handle(data[-FOOTER:-8], at)
    previous, seen = None, 0
    for _, handle in _block(data, offset, size):
        offset, size, _ = _handle(handle, 0)
        seen += size + TRAILER
        # an index that names one block again and again would keep the reader busy for hours
        if seen > len(data):
            raise _DamagedError("its blocks overlap")
        for key, value in _block(data, offset, size):
            if previous is not None and key <= previous:
                raise _DamagedError("its keys are not in order")
            previous = key
            yield key, value


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return offset, size, at


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each entry; keys share their beginnings with the key before."""
    if offset + size + TRAILER > len(data) - FOOTER:
        raise _DamagedError("a block reaches beyond its end")
    content, kind = data[offset : offset + size], data[offset + size]
    (stored,) = struct.unpack_from("<I", data, offset + size + 1)
    if masked(google_crc32c.value(data[offset : offset + size + 1])) != stored:
        raise _DamagedError(f"the block at byte {offset} does not match its checksum")
    if kind != 0:
        raise _DamagedError(
            f"the block at byte {offset} is compressed (type {kind}), which TensorFlow does not do"
        )
    restarts = struct.unpack("<I", content[-4:])[0] if size >= 4 else 0
    end = size - 4 - 4 * restarts
    if size < 4 or end < 0:
        raise _DamagedError(f"the block at byte {offset} is too short")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(content, at)
        fresh, at = _varint(content, at)
        length, at = _varint(content, at)
        if shared > len(key) or shared + fresh > NAME_LIMIT or at + fresh + length > end:
            raise _DamagedError(
                f"an entry of the block at byte {offset} reaches beyond it, or has too long a name"
            )
        key = key[:shared] + content[at : at + fresh]
        yield key, content[at + fresh : at + fresh + length]
        at += fresh + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number in groups of 7 bits, at most 64 of them, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _DamagedError("it ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
    raise _DamagedError("it holds a number of more than 64 bits")


# The entries: protocol buffers, of which only the wire format is needed.


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field: varint and fixed ones as int, the others as bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None and kind != 2:
            raise _DamagedError(f"an entry has a field of the unknown kind {kind}")
        length, at = (size, at) if size else _varint(data, at)
        if at + length > len(data):
            raise _DamagedError("a field reaches beyond its entry")
        yield (
            tag >> 3,
            int.from_bytes(data[at : at + length], "little") if size else data[at : at + length],
        )
        at += length


def _number(value: int | bytes) -> int:
    """A count, which protocol buffers store as signed 64 bits."""
    if isinstance(value, bytes) or value >= 2**63:
        raise _DamagedError("an entry holds something else where a count is due")
    return value


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _DamagedError("an entry holds a number where a message is due")
    return value


def _header(data: bytes) -> int:
    """BundleHeaderProto: the number of shards; 1 num_shards, 2 endianness (0 little)."""
    header = {number: value for number, value in _fields(data) if number in (1, 2)}
    if header.get(2, 0) != 0:
        raise _DamagedError("it was written big-endian")
    shards = _number(header.get(1, 0))
    if not 1 <= shards <= 99999:
        raise _DamagedError(f"it names {shards} shards")
    return shards


def _entry(name: bytes, data: bytes, shards: int) -> Entry:
    """BundleEntryProto: 1 dtype, 2 shape, 3 shard_id, 4 offset, 5 size, 6 crc32c, 7 slices."""
    values: dict[int, int | bytes] = dict(_fields(data))
    shard = _number(values.get(3, 0))
    if shard >= shards:
        raise _DamagedError(f"variable {name!r} is in shard {shard} of {shards}")
    return Entry(
        dtype=_number(values.get(1, 0)),
        shape=_shape(_message(values.get(2, b""))),
        shard=shard,
        offset=_number(values.get(4, 0)),
        size_bytes=_number(values.get(5, 0)),
        crc32c=_number(values.get(6, 0)),
        sliced=7 in values,
    )


def _shape(data: bytes) -> tuple[int, ...]:
    """TensorShapeProto: 2 dim, repeated, each with 1 size."""
    dims = [dict(_fields(_message(value))) for number, value in _fields(data) if number == 2]
    if len(dims) > 8:
        raise _DamagedError(f"a variable has {len(dims)} axes")
    return tuple(_number(dim.get(1, 0)) for dim in dims)
