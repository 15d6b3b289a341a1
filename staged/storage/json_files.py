"""JSON files: the same value gives the same bytes; a damaged one is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from staged.errors import ArtifactError
from staged.storage.forms import Form, has_keys
from staged.storage.writing import write_atomic


def write_json(path: Path, value: Any, *, form: Form | None = None) -> None:
    """JSON with sorted keys and a final newline; the same value gives the same bytes. NaN is
    refused.

    Args:
        form: as `replacing` takes it; by default a file with the same keys is ours.

    Raises:
        ArtifactError: a file stands there that is not ours.
    """
    data = (
        json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()
    write_atomic(path, data, form=form or has_keys(value))


def read_json(path: Path) -> Any:
    """Parse one JSON file.

    Raises:
        ArtifactError: missing or damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:  # nested a thousand deep
        advice = "if staged made it, delete it and run that command again, else get it again"
        raise ArtifactError(f"{path}: damaged: {error}; {advice}") from None
