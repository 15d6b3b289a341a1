"""A tensor that lies in a file: where, how large, of what type; read piece by piece, straight into
the type that is wanted.

A file is never read or mapped as a whole: 4 MB at a time pass through one buffer, so that loading
holds the weights once whatever type they are stored in, and a file on a failing disk or a network
is an error and not a signal.
"""

from __future__ import annotations

import hashlib
import math
import mmap
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

import google_crc32c
import torch
from torch import Tensor

from staged.errors import CheckpointError

PIECE = 2**20  # elements read at once
MASK_DELTA = 0xA282EAD8  # how TensorFlow and LevelDB mask a CRC that is itself stored beside data
LFS = b"version https://git-lfs"
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True)
class StoredTensor:
    """One tensor inside a file, little-endian and row-major.

    Attributes:
        path, name: what errors call it; the name is the one in the file.
        offset: of its first byte.
        dtype: None for a type that no weight has, which is refused when read.
        kind: how the file calls that type.
        crc32c: masked checksum of its bytes, where the format has one.
    """

    path: Path
    name: str
    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    crc32c: int | None = None
    kind: str = ""

    def beginning(self, shape: tuple[int, ...]) -> StoredTensor:
        """Its first elements as a tensor of this shape; no checksum, which is of the whole."""
        return replace(self, shape=shape, crc32c=None)

    def read(self, dtype: torch.dtype | None = None) -> Tensor:
        """The tensor as `dtype` (None: as stored); memory beyond the result is one piece.

        Raises:
            CheckpointError: the file ends early, the checksum differs, a value is NaN or infinite
                or too large for `dtype`, or the stored type is not a floating-point one.
        """
        if self.dtype not in FLOATS:
            raise CheckpointError(
                _not_floats(
                    self.path, self.name, self.kind or str(self.dtype).removeprefix("torch.")
                )
            )
        result = torch.empty(self.shape, dtype=dtype or self.dtype)
        try:
            crc = self._read_into(result.view(-1), self.dtype)
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: cannot be read: {error.strerror or error}"
            ) from None
        if self.crc32c is not None and masked(crc) != self.crc32c:
            raise CheckpointError(
                f"{self.path}: tensor {self.name!r} does not match its checksum; download the file"
                " again"
            )
        return result

    def _read_into(self, flat: Tensor, stored: torch.dtype) -> int:
        """Read piece by piece, through a buffer where the types differ; gives the checksum."""
        crc = 0
        buffer = _buffer(min(PIECE, flat.numel()), stored) if flat.dtype != stored else None
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.offset)
            for first in range(0, flat.numel(), PIECE):
                target = flat[first : first + PIECE]
                piece = target if buffer is None else buffer[: target.numel()]
                crc = self._fill(file, piece, crc)
                self._check_finite(piece, "holds NaN or infinity; the checkpoint is damaged")
                if buffer is not None:
                    target.copy_(piece)
                    self._check_finite(
                        target, f"holds a value too large for {flat.dtype}; choose another --dtype"
                    )
        return crc

    def _fill(self, file: FileIO, piece: Tensor, crc: int) -> int:
        """Read one piece and return the checksum so far."""
        view = piece.view(torch.uint8).numpy()
        done = 0
        while done < view.size:
            count = file.readinto(view.data[done:])
            if not count:
                raise CheckpointError(
                    f"{self.path}: truncated: it ends inside tensor {self.name!r}; download it"
                    " again"
                )
            done += count
        return int(google_crc32c.extend(crc, view)) if self.crc32c is not None else 0

    def _check_finite(self, piece: Tensor, says: str) -> None:
        low, high = piece.aminmax()  # one pass; NaN and infinity both show in it
        if not (math.isfinite(low) and math.isfinite(high)):
            raise CheckpointError(f"{self.path}: tensor {self.name!r} {says}")

    @property
    def size_bytes(self) -> int:
        """Length of the stored bytes."""
        return math.prod(self.shape) * (self.dtype.itemsize if self.dtype else 0)


def _buffer(count: int, dtype: torch.dtype) -> Tensor:
    """A tensor outside the heap, where it would leave holes between the results once freed."""
    return torch.frombuffer(
        mmap.mmap(-1, max(count, 1) * dtype.itemsize), dtype=dtype, count=max(count, 1)
    )


@dataclass(frozen=True)
class HeldTensor:
    """A tensor of a file format that can only be read as a whole; otherwise like StoredTensor."""

    path: Path
    name: str
    held: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes' lengths."""
        return tuple(self.held.shape)

    @property
    def dtype(self) -> torch.dtype:
        """The type it is stored in."""
        return self.held.dtype

    def beginning(self, shape: tuple[int, ...]) -> HeldTensor:
        """Its first elements as a tensor of this shape."""
        return replace(self, held=self.held.reshape(-1)[: math.prod(shape)].view(shape))

    def read(self, dtype: torch.dtype | None = None) -> Tensor:
        """As StoredTensor.read; shares memory with the held one where the type is the same."""
        if self.held.dtype not in FLOATS:
            raise CheckpointError(
                _not_floats(self.path, self.name, str(self.dtype).removeprefix("torch."))
            )
        result = self.held.to(dtype or self.held.dtype).contiguous()
        if not torch.isfinite(result).all():
            raise CheckpointError(
                f"{self.path}: tensor {self.name!r} holds NaN or infinity; the checkpoint is"
                " damaged"
            )
        return result


@dataclass(frozen=True)
class Transposed:
    """A matrix that is stored with its axes exchanged; reading holds it twice for a moment."""

    stored: StoredTensor | HeldTensor

    @property
    def path(self) -> Path:
        return self.stored.path

    @property
    def name(self) -> str:
        return self.stored.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes' lengths, exchanged."""
        return self.stored.shape[::-1]

    @property
    def dtype(self) -> torch.dtype | None:
        return self.stored.dtype

    def beginning(self, shape: tuple[int, ...]) -> StoredTensor | HeldTensor:
        """The first elements as they are stored."""
        return self.stored.beginning(shape)

    def read(self, dtype: torch.dtype | None = None) -> Tensor:
        """As StoredTensor.read, the axes exchanged."""
        return self.stored.read(dtype).t().contiguous()


AnyTensor = StoredTensor | HeldTensor | Transposed


def _not_floats(path: Path, name: str, kind: str) -> str:
    return (
        f"{path}: tensor {name!r} is not of a floating-point type but {kind}; a model's weights"
        " are: take it unquantised"
    )


def same_values(tensor: AnyTensor, other: AnyTensor) -> bool:
    """Whether two tensors are of the same type and bytes; only pieces of them are held."""
    if tensor.dtype != other.dtype or tensor.shape != other.shape:
        return False
    return _digest(tensor) == _digest(other)


def _digest(tensor: AnyTensor) -> bytes:
    """SHA-256 of the stored bytes; of a file that ends early, of what there is."""
    digest = hashlib.sha256()
    if isinstance(tensor, Transposed):
        return _digest(tensor.stored)
    if isinstance(tensor, HeldTensor):
        digest.update(tensor.held.contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.digest()
    with open(tensor.path, "rb") as file:
        file.seek(tensor.offset)
        left = tensor.size_bytes
        while left and (piece := file.read(min(left, 4 * PIECE))):
            digest.update(piece)
            left -= len(piece)
    return digest.digest()


def masked(crc: int) -> int:
    """LevelDB's masked form of a CRC-32C, as TensorFlow stores it."""
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def refuse_foreign(path: Path) -> int:
    """Refuse, by its first bytes, a file that is what a failed download leaves behind.

    Returns:
        The file's size in bytes.

    Raises:
        CheckpointError: missing, empty, a web page, or a git-lfs pointer.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(64)
        size = path.stat().st_size
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model folder is not complete") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    if head.startswith(LFS):
        raise CheckpointError(
            f"{path}: a git-lfs pointer, not the file itself; run `git lfs pull` in that folder"
        )
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        raise CheckpointError(
            f"{path}: a web page, not a checkpoint: the download was an error page; download it"
            " again"
        )
    if not head:
        raise CheckpointError(f"{path}: an empty file; download it again")
    return size
