"""Sample files: rows in the output dataset's schema plus how each came to be; resumable to the same
bytes.

Samples are computed in fixed blocks; each finished block is a file beside the result. A killed run
finds its finished blocks, computes the missing ones, joins all and removes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.engines.blocks import Job, block_values, computed
from staged.engines.choice import HERE, Engine
from staged.errors import PlanError, SamplingError
from staged.model.memory import release_gpu
from staged.places.mirror import place
from staged.progress import Progress, silent
from staged.samples.columns import is_samples, write_rows
from staged.samples.writers.contract import Row, SampleSettings, Writer
from staged.samples.writers.opening import opened
from staged.storage.pieces import BYTES
from staged.storage.stage_folders import fingerprint
from staged.storage.writing import replacing

__all__ = ["FORMATS", "SampleSettings", "read_samples", "sample", "speak", "write_samples"]

FORMATS = (".jsonl", ".parquet")


@dataclass(frozen=True)
class SampleBlocks(Job[bytes]):
    """Samples by the batch; a block is its rows as lines of JSON."""

    settings: SampleSettings

    encoding = BYTES

    @property
    def names(self) -> Sequence[str]:
        return tuple(f"{first:09d}.jsonl" for first in self._firsts)

    @property
    def _firsts(self) -> range:
        return range(0, self.settings.count, self.settings.block)

    @property
    def at_once(self) -> int:
        return self.settings.at_once

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], bytes]]:
        with opened(self.settings) as writer:
            yield self.by(writer)

    def by(self, writer: Writer) -> Callable[[int], bytes]:
        """What makes a block's lines, with a writer that is open."""
        return lambda number: _lines(writer.block(self._firsts[number]))


def write_samples(
    out: str | Path,
    settings: SampleSettings,
    *,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> str:
    """Generate all samples into one .jsonl or .parquet file, which appears only when whole.

    Args:
        engine: what computes.
        progress: called with (samples finished, samples asked for).

    Returns:
        By what they were computed, as `path_taken` says it.

    Raises:
        CheckpointError, SamplingError: the model, or what is asked of it.
        PlanError: `out` is no .jsonl or .parquet file's name.
        ArtifactError: the file cannot be written.
        ShardDone: the engine does a share of the samples, and the file is another's to write.
    """
    out = place(out)
    if out.suffix not in FORMATS or out.is_dir():
        raise PlanError(
            f"{out}: samples are written into a .jsonl or .parquet file; choose such a name that is"
            " not a folder's"
        )
    job, count = SampleBlocks(settings), settings.count

    def counted(done: int, blocks: int) -> None:
        progress(min(done * settings.block, count), count)

    with (
        _checked(job, engine) as (facts, make),  # before anything is written
        block_values(
            out,
            fingerprint(facts, {}),
            job,
            pieces="?????????.jsonl",
            form=is_samples,
            engine=engine,
            make=make,
            progress=counted,
        ) as blocks,
        replacing(out, form=is_samples) as temporary,
    ):
        write_rows(
            temporary,
            blocks,
            out.suffix,
            logprobs=settings.logprobs,
            chat=settings.chat,
            marked=bool(settings.watermark),
        )
    return str(facts["computed_by"])


@contextmanager
def _checked(
    job: SampleBlocks, engine: Engine
) -> Iterator[tuple[dict[str, Any], Callable[[int], bytes] | None]]:
    """What decides the bytes of samples that can be written, and what writes them, where this
    process does.
    """
    settings = job.settings
    with opened(settings) as writer:
        facts = settings.deciding() | {"batch": settings.block} | writer.facts()
        if engine.is_here:
            yield facts, job.by(writer)
            return
    del writer  # workers have their own
    release_gpu()
    yield facts, None


def sample(settings: SampleSettings) -> Iterator[dict[str, Any]]:
    """The rows of all samples, in order, block after block."""
    for block in computed(None, SampleBlocks(settings)):
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


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def read_samples(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows of a sample file.

    Args:
        columns: of a .parquet file, those that are read; by default all.

    Raises:
        SamplingError: missing or damaged.
    """
    try:
        if path.suffix == ".parquet":
            rows: list[dict[str, Any]] = pq.read_table(path, columns=columns).to_pylist()
            return rows
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SamplingError(f"{path}: not a readable sample file: {error}") from None
