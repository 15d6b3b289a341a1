"""Sample files: rows in the output dataset's schema plus how each came to be; resumable to the same
bytes.

Samples are computed in fixed blocks; each finished block is a file beside the result. A killed run
finds its finished blocks, computes the missing ones, joins all and removes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.errors import PlanError, SamplingError
from staged.progress import Progress, silent
from staged.samples.columns import encoded, is_samples
from staged.samples.writers.contract import SampleSettings, Writer
from staged.samples.writers.opening import opened
from staged.storage.pieces import BYTES, cached, continued
from staged.storage.stage_folders import fingerprint
from staged.storage.writing import write_atomic

__all__ = ["FORMATS", "SampleSettings", "read_samples", "sample", "speak", "write_samples"]

FORMATS = (".jsonl", ".parquet")


def write_samples(out: str | Path, settings: SampleSettings, *, progress: Progress = silent) -> str:
    """Generate all samples into one .jsonl or .parquet file, which appears only when whole.

    Args:
        progress: called with (samples finished, samples asked for).

    Returns:
        By what they were computed, as `path_taken` says it.

    Raises:
        CheckpointError, SamplingError: the model, or what is asked of it.
        PlanError: `out` is no .jsonl or .parquet file's name.
        ArtifactError: the file cannot be written.
    """
    out = Path(out)
    if out.suffix not in FORMATS or out.is_dir():
        raise PlanError(
            f"{out}: samples are written into a .jsonl or .parquet file; choose such a name that is"
            " not a folder's"
        )
    with opened(settings) as writer:  # before anything is written
        facts = settings.deciding() | {"batch": settings.block} | writer.facts()
        with continued(
            out, fingerprint(facts, {}), pieces="?????????.jsonl", form=is_samples
        ) as blocks:
            lines = []
            for block in _blocks(writer, settings, blocks):
                lines.append(block)
                progress(min(len(lines) * settings.block, settings.count), settings.count)
            whole, logprobs = b"".join(lines), settings.logprobs
            marked = bool(settings.watermark)
            data = encoded(whole, out.suffix, logprobs=logprobs, chat=settings.chat, marked=marked)
            write_atomic(out, data, form=is_samples)
    return str(facts["computed_by"])


def sample(settings: SampleSettings) -> Iterator[dict[str, Any]]:
    """The rows of all samples, in order, block after block."""
    with opened(settings) as writer:
        for block in _blocks(writer, settings):
            yield from map(json.loads, block.split(b"\n")[:-1])


def speak(settings: SampleSettings, write: Callable[[str], None]) -> dict[str, Any]:
    """Generate one sample and hand its prompt, then its text, to `write` piece by piece while it is
    made, or at once where a server writes it; of a chat the answer alone.

    Raises:
        SamplingError: more samples than one, or as `write_samples`.
    """
    if settings.count != 1:
        raise SamplingError(
            f"sample: one sample can be written while it is made, not {settings.count}"
        )
    with opened(settings) as writer:
        if not settings.chat:
            write(settings.prompt(0))
        return writer.speak(write)


def _blocks(
    writer: Writer, settings: SampleSettings, folder: Path | None = None
) -> Iterator[bytes]:
    """Each block's rows as lines of JSON, in order; kept in a folder, if there is one."""
    pieces = (
        (f"{first:09d}.jsonl", partial(_lines, writer, first))
        for first in range(0, settings.count, settings.block)
    )
    return cached(folder, pieces, BYTES, at_once=writer.at_once)


def _lines(writer: Writer, first: int) -> bytes:
    rows = writer.block(first)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def read_samples(path: Path) -> list[dict[str, Any]]:
    """Rows of a sample file.

    Raises:
        SamplingError: missing or damaged.
    """
    try:
        if path.suffix == ".parquet":
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
            return rows
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SamplingError(f"{path}: not a readable sample file: {error}") from None
