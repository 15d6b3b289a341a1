"""A row of a sample file: the output dataset's columns, then how the sample came to be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.storage.forms import rows_have_keys

SCHEMA = pa.schema(
    [
        # the output dataset's
        ("id", pa.int64()),
        ("ended", pa.bool_()),
        ("length", pa.int64()),
        ("text", pa.string()),
        # ours
        ("model", pa.string()),
        ("method", pa.string()),
        ("prompt", pa.string()),
        ("seed", pa.uint64()),
        ("temperature", pa.float64()),
        ("top_k", pa.int64()),
        ("top_p", pa.float64()),
        ("semantics", pa.string()),
        ("repetition_penalty", pa.float64()),
        ("reason", pa.string()),
        ("stopped", pa.string()),
        ("slides", pa.int64()),
    ]
)
GROUP = 65_536  # rows of a row group, as many as are in memory at once
# after those, when asked for
LOGPROBS = pa.schema([("tokens", pa.list_(pa.int64())), ("logprobs", pa.list_(pa.float32()))])
# after the first ones, of a chat
CHAT = pa.schema([("system", pa.string()), ("refused", pa.bool_()), ("reasoning", pa.string())])

# after those, of marked samples
MARKS = pa.schema([("watermark", pa.string()), ("key", pa.string())])


@dataclass(frozen=True, slots=True)
class Sample:
    """One text that a model wrote, and how it came to be.

    Attributes:
        id: its number, from 0.
        ended: whether the model ended it.
        length: new tokens; None where a server does not count them.
        text: what was written, without the prompt.
        method: how tokens were drawn, by name; `temperature`, `top_k`, `top_p` and `semantics` are
            its parts, `top_p` this sample's own where it is drawn from a range. The semantics of a
            server's sample are `server`: its own; `server, plain` where it does not let its own
            defaults be switched off either.
        reason: why it ends: `end`, `length`, `stop` or `context`, or a server's own word; `stopped`
            the string that it stopped at, where that is known.
        slides: how often the context's window moved.
        tokens, logprobs: where they were asked for; of the end of text too, where it ended.
        system: of a chat, the text that stood before the prompt.
        refused: of a chat, whether the text begins as a refusal does.
        reasoning: of a chat, what the model wrote for itself before the text.
        watermark: of a marked sample, the scheme; `key` the id of the key.
    """

    id: int
    ended: bool
    length: int | None
    text: str
    model: str
    method: str
    prompt: str
    seed: int
    temperature: float
    top_k: int
    top_p: float
    semantics: str
    repetition_penalty: float
    reason: str
    stopped: str | None
    slides: int
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    system: str = ""
    refused: bool = False
    reasoning: str = ""
    watermark: str = ""
    key: str = ""

    @classmethod
    def of(cls, row: dict[str, Any]) -> Sample:
        """From a row of a sample file of ours."""
        several = {name: tuple(row[name]) for name in LOGPROBS.names if row.get(name)}
        asked = {name: row[name] for name in (*CHAT.names, *MARKS.names) if name in row}
        return cls(**{name: row[name] for name in SCHEMA.names} | asked | several)


def write_rows(
    path: Path,
    blocks: Iterable[bytes],
    suffix: str,
    *,
    logprobs: bool,
    chat: bool = False,
    marked: bool = False,
) -> None:
    """Write rows into a .jsonl or .parquet file as they come; memory holds one row group.

    Args:
        path: under which name it is written.
        blocks: rows in JSON, a line each.
        suffix: of the name that it is to have.
        logprobs: whether the rows hold their tokens and log-probabilities.
        chat: whether they are a chat model's answers.
        marked: whether they carry a watermark.
    """
    if suffix == ".jsonl":
        with open(path, "wb") as file:
            file.writelines(blocks)
        return
    schema = pa.unify_schemas([SCHEMA, *[CHAT] * chat, *[MARKS] * marked, *[LOGPROBS] * logprobs])
    with pq.ParquetWriter(path, schema) as writer:
        for table in _row_groups(blocks, schema):
            writer.write_table(table, row_group_size=GROUP)


def _row_groups(blocks: Iterable[bytes], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows as tables of one row group each, the last one shorter."""
    held: list[pa.RecordBatch] = []  # columns take a third of what rows do
    for block in blocks:
        rows = [json.loads(line) for line in block.splitlines()]
        held.append(pa.RecordBatch.from_pylist(rows, schema=schema))
        while sum(batch.num_rows for batch in held) >= GROUP:
            table = pa.Table.from_batches(held)
            yield table.slice(0, GROUP).combine_chunks()
            held = table.slice(GROUP).to_batches()
    if held:
        yield pa.Table.from_batches(held).combine_chunks()


def is_samples(path: Path) -> bool:
    """Whether a file holds rows of ours and nothing else."""
    also = [*CHAT.names, *MARKS.names, *LOGPROBS.names]
    if path.suffix != ".parquet":
        return rows_have_keys(*SCHEMA.names, also=also)(path)
    try:
        return set(pq.read_schema(path).names) - set(also) == set(SCHEMA.names)
    except (OSError, pa.ArrowException):
        return False
