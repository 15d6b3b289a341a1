"""The form of a single file of ours: rows with the columns that we write, a JSON object with our
keys, a page whose last line is its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

# whether a file at a place that a user named is of the form that its writer gives
Form = Callable[[Path], bool]


def json_object(path: Path) -> dict[str, Any] | None:
    """A JSON object; None for anything else."""
    with suppress(OSError, ValueError, RecursionError):
        value = json.loads(path.read_bytes())
        return value if isinstance(value, dict) else None
    return None


def holds(*needed: str) -> Form:
    """The form of a JSON file: an object with at least these keys."""
    return lambda path: (json_object(path) or {}).keys() >= set(needed)


def has_keys(value: Any) -> Form:
    """The form of a JSON file: an object with the keys of `value`, or a list of objects with those
    of its first.
    """

    def form(path: Path) -> bool:
        with suppress(OSError, ValueError, RecursionError):
            shape = _shape(json.loads(path.read_bytes()))
            return shape is not None and shape == _shape(value)
        return False

    return form


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value)
    return (
        [sorted(value[0])]
        if isinstance(value, list) and value and isinstance(value[0], dict)
        else None
    )


def rows_have_keys(*needed: str, also: Iterable[str] = ()) -> Form:
    """The form of a .jsonl file: every line an object with these keys and none but those that may
    also be there.
    """

    def form(path: Path) -> bool:
        with suppress(OSError, ValueError, RecursionError), open(path, "rb") as file:
            rows = (json.loads(line) for line in file if line.strip())
            return all(
                isinstance(row, dict) and row.keys() - set(also) == set(needed) for row in rows
            )
        return False

    return form


def sealed(page: str) -> str:
    """A page of Markdown or HTML with its digest as the last line, a comment in both."""
    body = page.rstrip("\n") + "\n"
    return f"{body}<!-- staged {hashlib.sha256(body.encode()).hexdigest()} -->\n"


def is_sealed(path: Path) -> bool:
    """The form of a page: it ends with the digest of all before."""
    body, _, seal = path.read_text(encoding="utf-8", errors="replace").rstrip("\n").rpartition("\n")
    return sealed(body) == f"{body}\n{seal}\n"
