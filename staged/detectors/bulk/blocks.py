"""Verdicts of any number of texts into a file, block after block: what a killed run has judged is
used by the next.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from staged.detectors.bulk.columns import is_verdicts, table_of
from staged.detectors.bulk.inputs import InputReader, Inputs
from staged.detectors.contract import Verdict
from staged.detectors.examiner import Examiner
from staged.detectors.opening import ExaminerSettings
from staged.detectors.verdicts import judged
from staged.engines.blocks import Job, block_values
from staged.engines.choice import HERE, Engine
from staged.errors import PlanError
from staged.model.devices import chosen_device
from staged.model.memory import release_gpu
from staged.progress import Progress, silent
from staged.storage.pieces import BYTES
from staged.storage.writing import replacing

FORMATS = (".jsonl", ".parquet")
GROUP_ROWS = 2**15  # of a row group that is written: of each the writer keeps 7 kB to the end


@dataclass(frozen=True)
class VerdictBlocks(Job[bytes]):
    """Verdicts by the block of texts; a block is its part of the file, a small file of the same
    kind.

    Attributes:
        suffix: `.jsonl` or `.parquet`.
    """

    settings: ExaminerSettings
    inputs: Inputs
    suffix: str
    segments: bool = False

    encoding = BYTES

    @cached_property
    def names(self) -> Sequence[str]:
        return tuple(f"{block.name}{self.suffix}" for block in self.inputs.blocks)

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], bytes]]:
        yield self.by(self.settings.open())

    def by(self, examiner: Examiner) -> Callable[[int], bytes]:
        """What makes a block's bytes, with an examiner that is open."""
        reader, encode = InputReader(self.inputs), ENCODED[self.suffix]

        def make(number: int) -> bytes:
            texts = reader.texts(number)
            return encode(judged(examiner, texts, segments=self.segments), self.segments)

        return make


def check_out(out: Path) -> None:
    """Whether verdicts can be written under this name.

    Raises:
        PlanError: it ends otherwise.
    """
    if out.suffix not in FORMATS:
        raise PlanError(
            f"{out}: verdicts are written as JSON Lines or as Parquet; choose a name that ends in"
            " .jsonl or .parquet"
        )


def write_verdicts(
    out: Path,
    inputs: Inputs,
    settings: ExaminerSettings,
    *,
    segments: bool = False,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> None:
    """Verdicts of all texts, in their order, into a .jsonl or .parquet file that appears when
    whole; what a killed run has judged is kept in `OUT.blocks` and used.

    Args:
        segments: judge the parts of each text as well.
        engine: what computes.
        progress: called with (texts judged, all).

    Raises:
        CorpusError: a file was changed since it was looked at.
        CheckpointError, PlanError, ProvenanceError: as `open_examiner`, or another ending.
        ArtifactError: the place cannot be written.
        ShardDone: the engine does a share of the texts, and the file is another's to write.
    """
    check_out(out)
    settings = replace(settings, device=chosen_device(settings.device))
    job = VerdictBlocks(settings, inputs, out.suffix, segments)
    ends = [0, *(block.first + block.count for block in inputs.blocks)]

    def counted(done: int, blocks: int) -> None:
        progress(ends[done], inputs.count)

    examiner = job.settings.open()
    identity = dict(examiner.identity) | {"fpr": examiner.fpr, "segments": segments}
    make = job.by(examiner) if engine.is_here else None
    del examiner  # workers have their own
    if make is None:
        release_gpu()
    pieces = f"*{out.suffix}"
    with block_values(
        out,
        identity,
        job,
        pieces=pieces,
        form=is_verdicts,
        engine=engine,
        make=make,
        progress=counted,
    ) as blocks:
        counted(0, len(inputs.blocks))
        with replacing(out, form=is_verdicts) as temporary:
            JOINED[out.suffix](temporary, blocks)


def _lines(verdicts: Iterable[Verdict], segments: bool) -> bytes:
    rows = (verdict.row() for verdict in verdicts)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _table(verdicts: Iterable[Verdict], segments: bool) -> bytes:
    data = io.BytesIO()
    pq.write_table(table_of(verdicts, segments=segments), data)
    return data.getvalue()


def _join_lines(path: Path, blocks: Iterable[bytes]) -> None:
    with open(path, "wb") as file:
        for block in blocks:
            file.write(block)


def _join_tables(path: Path, blocks: Iterable[bytes]) -> None:
    """One table, in row groups of its own: blocks are small."""
    # not `read_table`, whose threads and file systems take 50 MB
    tables = (pq.ParquetFile(pa.BufferReader(block)).read(use_threads=False) for block in blocks)
    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as writer:
        for table in _grouped(first, tables):
            writer.write_table(table, row_group_size=GROUP_ROWS)
            pa.default_memory_pool().release_unused()


def _grouped(first: pa.Table, others: Iterable[pa.Table]) -> Iterator[pa.Table]:
    waiting = first
    for table in others:
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows >= GROUP_ROWS:
            yield waiting.slice(0, GROUP_ROWS)
            waiting = waiting.slice(GROUP_ROWS)
    if waiting.num_rows:
        yield waiting


ENCODED = {".jsonl": _lines, ".parquet": _table}
JOINED = {".jsonl": _join_lines, ".parquet": _join_tables}
