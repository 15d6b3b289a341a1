"""What callers give in more than one form: a path or its text, one name or several, texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from staged.errors import PlanError


def path_of(given: str | Path | None) -> Path | None:
    """A path; None stays None."""
    return None if given is None else Path(given)


def names_of(given: str | Path | Sequence[str | Path]) -> list[str]:
    """Several names, or one alone, which is not taken apart."""
    several = [given] if isinstance(given, str | Path) else given
    return [str(name) for name in several]


def named_texts(given: str | Sequence[str] | Mapping[str, str]) -> list[tuple[str, str]]:
    """(name, text) of each: one text, several, which go by their number, or name → text.

    Raises:
        PlanError: something else, such as a path.
    """
    if isinstance(given, Mapping):
        pairs = list(given.items())
    else:
        several = [given] if isinstance(given, str) or not isinstance(given, Sequence) else given
        pairs = [(str(number), text) for number, text in enumerate(several)]
    for name, text in pairs:
        if not isinstance(text, str):
            raise PlanError(
                f"text {name!r} must be a string, not {_kind(text)}; read a file by"
                " Path(…).read_text(), and give a dictionary for texts with names"
            )
    return pairs


def _kind(given: object) -> str:
    return f"of type {type(given).__name__}"
