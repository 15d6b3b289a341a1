"""What is said of how a text was made: by its signer, or by a file of samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from staged.errors import CheckpointError, PlanError
from staged.model.checkpoints import is_at_hand, model_folder
from staged.model.formats.layouts import weight_files
from staged.model.sources.places import is_written_as_path, place_of
from staged.model.sources.served import parse_served
from staged.provenance.manifest.facts import Facts
from staged.samples.columns import is_samples
from staged.samples.dataset import FORMATS, read_samples
from staged.storage.digests import sha256_file
from staged.watermarks.contract import SCHEMES

# columns of a sample that say how its tokens were drawn; never its prompt
SAMPLING = ("method", "temperature", "top_k", "top_p", "semantics", "repetition_penalty")


def facts(
    model: str = "",
    *,
    sampling: Mapping[str, Any] | None = None,
    watermark: str = "",
    key: str = "",
    detector: str = "",
) -> Facts:
    """Facts for a manifest; a model whose files are here is named with the digest of its weights.

    Args:
        model: a name or a folder; of a folder only its last part is told.
        sampling: how tokens were drawn, JSON values by name.
        watermark, key: the scheme of the mark in the text and the id of its key, both or none.
        detector: a URL or a command that tests for the mark or the text.

    Raises:
        PlanError: a watermark without its key or a key without one, or no such scheme.
    """
    if watermark and watermark not in SCHEMES:
        raise PlanError(f"--watermark {watermark!r}: choose among {', '.join(SCHEMES)}")
    if bool(watermark) != bool(key):
        raise PlanError("--watermark and --watermark-key belong together: the scheme, and the id")
    return Facts(
        model=told_name(model) or None,
        weights=weights_digest(model),
        sampling={name: value for name, value in (sampling or {}).items() if value is not None},
        watermark=watermark or None,
        key=key or None,
        detector=detector or None,
    )


def told_name(model: str) -> str:
    """A model's name as strangers may read it: of a folder of the user's its own name alone."""
    if not model or parse_served(model):
        return model
    if is_written_as_path(model) or place_of(model).is_dir():
        return place_of(model).resolve().name
    return model


def weights_digest(model: str) -> str | None:
    """SHA-256 of a model's weights, 64 hexadecimal digits: of the one file that holds them, or of
    the files' digests, a line each, in their order; None of a model whose files are not here.
    """
    try:
        if not model or not is_at_hand(model):
            return None
        digests = [sha256_file(path) for path in weight_files(model_folder(model))]
    except CheckpointError:  # a folder of another kind
        return None
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{each}\n" for each in digests).encode()).hexdigest()


def samples_in(path: Path) -> list[dict[str, Any]]:
    """Rows of a file that `staged sample` wrote; none of any other file."""
    return read_samples(path) if path.suffix in FORMATS and is_samples(path) else []


def row_of(path: Path, rows: Sequence[Mapping[str, Any]], number: int) -> Mapping[str, Any]:
    """The sample of this number.

    Raises:
        PlanError: the file holds no samples, or none of this number.
    """
    if not rows:
        raise PlanError(f"--row {number}: {path} is no file that staged sample wrote")
    for row in rows:
        if row["id"] == number:
            return row
    raise PlanError(f"--row {number}: {path} holds samples {rows[0]['id']} to {rows[-1]['id']}")


def agreed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all samples say alike of how they were made: `model`, `watermark`, `key`, and
    `sampling`.
    """
    names = ("model", "watermark", "key", *SAMPLING)
    same = {
        name: rows[0].get(name)
        for name in names
        if rows and all(row.get(name) == rows[0].get(name) for row in rows)
    }
    sampling = {name: same[name] for name in SAMPLING if same.get(name) is not None}
    told = {name: same[name] for name in ("model", "watermark", "key") if same.get(name)}
    return told | ({"sampling": sampling} if sampling else {})
