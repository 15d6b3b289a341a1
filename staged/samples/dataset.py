"""Sample files: rows in the output dataset's schema plus how each came to be; resumable to the same bytes.

Samples are computed in fixed blocks; each finished block is a file beside the result. A killed run finds its finished blocks,
computes the missing ones, joins all and removes them.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.artifacts import disk_errors, fingerprint, locked, read_json, sha256_file, write_atomic, write_json
from staged.errors import PlanError, SamplingError
from staged.model.bpe import BPE
from staged.model.checkpoints import load_model, model_folder
from staged.model.gpt2 import GPT2
from staged.model.layouts import weight_files
from staged.samples.engine import best_dtype, check_length, generate
from staged.samples.methods import Method

FORMATS = (".jsonl", ".parquet")
SCHEMA = pa.schema(
    [
        *(("id", pa.int64()), ("ended", pa.bool_()), ("length", pa.int64()), ("text", pa.string())),  # the output dataset's
        *(("model", pa.string()), ("method", pa.string()), ("prompt", pa.string()), ("seed", pa.uint64())),
        *(("temperature", pa.float64()), ("top_k", pa.int64()), ("top_p", pa.float64())),
    ]
)


@dataclass(frozen=True)
class SampleSettings:
    """What to generate.

    Attributes:
        model: shipped name or folder.
        method: how tokens are drawn.
        count: number of samples; with prompts, sample i continues prompt i modulo their number.
        length: new tokens at most.
        batch: samples computed at once; part of what determines the bytes in bf16.
        precision: `bf16` or `fp32`; empty takes bf16 where the processor has it.
    """

    model: str
    method: Method
    count: int
    length: int
    seed: int = 1
    prompts: tuple[str, ...] = ()
    batch: int = 128
    precision: str = ""

    def __post_init__(self) -> None:
        if self.count < 1 or self.batch < 1:
            raise SamplingError(f"sample: the number of samples must be at least 1, not {min(self.count, self.batch)}")
        if not 0 <= self.seed < 2**64:
            raise SamplingError(f"sample: the seed must be 0 … 2⁶⁴ − 1, not {self.seed}")
        if self.precision not in ("", "bf16", "fp32"):
            raise PlanError(f"sample: precision {self.precision!r}; known: bf16, fp32")


Done = Callable[[int, int], None]


def write_samples(out: Path, settings: SampleSettings, *, progress: Done = lambda done, total: None) -> None:
    """Generate all samples into one .jsonl or .parquet file, which appears only when whole.

    Args:
        progress: called with (samples finished, samples asked for).

    Raises:
        CheckpointError, SamplingError: the model, or what is asked of it.
        ArtifactError: the file cannot be written.
    """
    if out.suffix not in FORMATS:
        raise PlanError(f"{out}: samples are written as .jsonl or .parquet; choose one of these endings")
    _check_fit(settings)
    blocks = out.with_name(f"{out.name}.blocks")
    weights = {path.name: sha256_file(path) for path in weight_files(model_folder(settings.model))}
    wanted = fingerprint(asdict(settings) | {"weights": weights, "dtype": str(_dtype(settings))}, {})
    with disk_errors(out), locked(blocks):
        if not (blocks / "fingerprint.json").is_file() or read_json(blocks / "fingerprint.json") != wanted:
            for stale in blocks.glob("*"):
                stale.unlink()
            write_json(blocks / "fingerprint.json", wanted)
        names = [blocks / f"{first:09d}.jsonl" for first in range(0, settings.count, settings.batch)]
        if not all(name.is_file() for name in names):
            _fill(names, settings, progress)
        write_atomic(out, _join(out.suffix, names))
        shutil.rmtree(blocks)


def sample(settings: SampleSettings) -> Iterator[dict[str, Any]]:
    """The rows of all samples, in order, block after block."""
    model, bpe = load_model(settings.model, dtype=_dtype(settings))
    for first in range(0, settings.count, settings.batch):
        yield from _block(model, bpe, settings, first)


def _check_fit(settings: SampleSettings) -> None:
    """Refuse what cannot be generated before anything is written."""
    model, bpe = load_model(settings.model)
    longest = max((len(ids) for ids in bpe.encode_batch(settings.prompts)), default=1)
    check_length(model, longest, settings.length)


def _dtype(settings: SampleSettings) -> Any:
    import torch

    return {"": best_dtype(), "bf16": torch.bfloat16, "fp32": torch.float32}[settings.precision]


def _fill(names: Sequence[Path], settings: SampleSettings, progress: Done) -> None:
    model, bpe = load_model(settings.model, dtype=_dtype(settings))
    for number, name in enumerate(names):
        first = number * settings.batch
        if not name.is_file():
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in _block(model, bpe, settings, first)]
            write_atomic(name, "".join(lines).encode())
        progress(min(first + settings.batch, settings.count), settings.count)


def _block(model: GPT2, bpe: BPE, settings: SampleSettings, first: int) -> list[dict[str, Any]]:
    chosen = settings.method
    ids = range(first, min(first + settings.batch, settings.count))
    texts = [settings.prompts[i % len(settings.prompts)] if settings.prompts else "" for i in ids]
    prompts = [prompt or [bpe.end_of_text] for prompt in bpe.encode_batch(texts)]
    found = generate(model, prompts, chosen, length=settings.length, end=bpe.end_of_text, seed=settings.seed, first=first)
    return [
        {
            "id": i,
            "ended": one.ended,
            "length": len(one.tokens),
            "text": bpe.decode(one.tokens),
            "model": settings.model,
            "method": chosen.name,
            "prompt": text,
            "seed": settings.seed,
            "temperature": chosen.temperature,
            "top_k": chosen.top_k,
            "top_p": round(one.top_p, 6),
        }
        for i, text, one in zip(ids, texts, found, strict=True)
    ]


def _join(suffix: str, names: Sequence[Path]) -> bytes:
    joined = b"".join(name.read_bytes() for name in names)
    if suffix == ".jsonl":
        return joined
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([json.loads(line) for line in joined.splitlines()], schema=SCHEMA), buffer)
    return buffer.getvalue()


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
