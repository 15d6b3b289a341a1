"""What a container gives and takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from staged.provenance.manifest.collection_hash import Binding

__all__ = ["Binding", "Carried", "ContainerFault", "Make"]

Make = Callable[[Callable[[int], Binding]], bytes]  # a manifest, of the binding of its size


class ContainerFault(Exception):  # noqa: N818 (never leaves the room: it becomes a sentence)
    """Why a file cannot carry a manifest inside."""


@dataclass(frozen=True)
class Carried:
    """What a file holds of a manifest.

    Attributes:
        manifest: the manifest store; None where there is none, or none that can be told.
        exclusions: (start, length) in bytes of what stands there for the manifest's sake.
        code: of the specification, where what is there cannot be read; empty where all is well.
        fault: the same in words.
    """

    manifest: bytes | None = field(default=None, repr=False)
    exclusions: tuple[tuple[int, int], ...] = ()
    code: str = ""
    fault: str = ""
