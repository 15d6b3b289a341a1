"""How far a long piece of work is: whoever wants to know hands over a function, which is called
with (done, all).
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["NamedProgress", "Progress", "shifted", "silent"]

Progress = Callable[[int, int], None]
NamedProgress = Callable[[str, int, int], None]  # of one of several pieces of work, by its name


def silent(done: int, total: int) -> None:
    """Nobody wants to know."""


def shifted(progress: Progress, before: int, total: int) -> Progress:
    """The progress of one part of a whole, `before` of which are done."""
    return lambda done, _: progress(before + done, total)
