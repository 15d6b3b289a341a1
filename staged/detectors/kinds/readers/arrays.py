"""A reader's numbers in an .npz file: written whole or not at all, read without running code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from staged.errors import CheckpointError
from staged.storage.writing import write_atomic

Arrays = dict[str, npt.NDArray[Any]]


def write_arrays(path: Path, **arrays: npt.NDArray[Any] | np.generic) -> None:
    """Write arrays by name; the same arrays give the same bytes."""
    data = io.BytesIO()
    np.savez_compressed(data, allow_pickle=False, **arrays)
    write_atomic(path, data.getvalue())


def read_arrays(path: Path, **shapes: tuple[int | None, ...]) -> Arrays:
    """Read arrays by name.

    Args:
        shapes: name → its shape; None where any length will do.

    Raises:
        CheckpointError: the file is missing or damaged, or an array is of another shape.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in shapes}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; the detector's folder is not whole") from None
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise CheckpointError(f"{path}: damaged: {error}") from None
    for name, shape in shapes.items():
        array = arrays[name]
        if array.ndim != len(shape) or any(
            want not in (None, have) for want, have in zip(shape, array.shape, strict=True)
        ):
            raise CheckpointError(
                f"{path}: {name} has the shape {array.shape}; it is another version's or damaged"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CheckpointError(
                f"{path}: {name} holds numbers that are not finite; it is damaged"
            )
    return arrays
