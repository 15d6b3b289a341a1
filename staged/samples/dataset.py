"""Sample files: rows in the output dataset's schema plus how each came to be; resumable to the same
bytes.

Samples are computed in fixed blocks; each finished block is a file beside the result. A killed run
finds its finished blocks, computes the missing ones, joins all and removes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from staged.errors import PlanError, SamplingError
from staged.model.causal import TextTokenizer
from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import weight_files
from staged.model.gpt2.packed import PRECISIONS
from staged.progress import Progress, silent
from staged.samples.columns import encoded, is_samples
from staged.samples.decoders import load_decoder, path_taken
from staged.samples.engine import CONTEXTS, Decoder, check_length, generate
from staged.samples.methods import Method
from staged.samples.prompts import check_prompts
from staged.samples.rows import Generated, Options
from staged.samples.speculative import AHEAD, Pair, speculate_all
from staged.samples.stops import StopStrings, TextStream, check_stops
from staged.settings import LARGEST, nearest
from staged.storage.digests import sha256_file
from staged.storage.pieces import BYTES, cached, continued
from staged.storage.stage_folders import fingerprint
from staged.storage.writing import write_atomic

FORMATS = (".jsonl", ".parquet")
LEAST_PENALTY = 0.001  # far below it logits divided by it are no longer finite


@dataclass(frozen=True)
class SampleSettings:
    """What to generate.

    Attributes:
        model: as `model_folder` takes it, of any family.
        method: how tokens are drawn.
        count: number of samples.
        length: new tokens at most.
        prompts: texts to continue; none, or an empty one, is an unconditional sample.
        per_prompt: neighbouring samples that share a prompt: sample i continues prompt i //
            per_prompt, modulo their number.
        batch: samples computed at once, without a draft; part of what determines the bytes in bf16.
        draft: a smaller model of the same tokenizer that proposes tokens for `model` to judge
            (speculative decoding, exact); empty is off. Samples then run one by one.
        precision: `fp32`, `bf16` or `int8`; empty takes bf16 where the processor has it.
        stop: strings at which a sample ends; its text ends before them.
        repetition_penalty: 0.001 … 1,000; 1 is off.
        logprobs: rows also hold their tokens and log-probabilities.
        context: where a text outgrows the context: `refuse`, `stop` or `slide`.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
    """

    model: str
    method: Method
    count: int
    length: int
    seed: int = 1
    prompts: tuple[str, ...] = ()
    per_prompt: int = 1
    batch: int = 128
    precision: str = ""
    draft: str = ""
    stop: tuple[str, ...] = ()
    repetition_penalty: float = 1.0
    logprobs: bool = False
    context: str = "refuse"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, what in NUMBERS.items():
            if not 1 <= getattr(self, name) <= LARGEST:
                raise SamplingError(
                    f"sample: {what} must be at least 1 and at most {LARGEST:,}, not"
                    f" {getattr(self, name)}"
                )
        if not 0 <= self.seed < 2**64:
            raise SamplingError(f"sample: the seed must be 0 … 2⁶⁴ − 1, not {self.seed}")
        if self.precision not in ("", *PRECISIONS):
            raise PlanError(f"sample: precision {self.precision!r}; known: {', '.join(PRECISIONS)}")
        if not LEAST_PENALTY <= self.repetition_penalty <= 1 / LEAST_PENALTY:
            allowed = f"{LEAST_PENALTY:g} to {1 / LEAST_PENALTY:g}"
            raise SamplingError(
                f"sample: the repetition penalty can be {allowed}, not {self.repetition_penalty:g};"
                " 1 is off"
            )
        if self.context not in CONTEXTS:
            raise PlanError(f"sample: context {self.context!r}; {nearest(self.context, CONTEXTS)}")
        if self.draft and (
            self.stop or self.logprobs or self.repetition_penalty != 1 or self.context != "refuse"
        ):
            raise PlanError(
                "sample: a draft model goes without --stop, --logprobs, --repetition-penalty and"
                " --context"
            )
        check_stops(self.stop)
        check_prompts(self.prompts)

    @property
    def block(self) -> int:
        """Samples that are computed, and kept, together; with a draft they run one by one."""
        return 1 if self.draft else self.batch

    def prompt(self, i: int) -> str:
        """The text that sample i continues."""
        return self.prompts[i // self.per_prompt % len(self.prompts)] if self.prompts else ""


NUMBERS = {
    "count": "the number of samples",
    "per_prompt": "the number of samples a prompt",
    "batch": "the batch",
    "length": "the length",
}


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
    model, bpe = _load(settings)  # before anything is written
    models = [name for name in (settings.model, settings.draft) if name]
    weights = {
        name: [sha256_file(path) for path in weight_files(model_folder(name))] for name in models
    }
    path = path_taken(settings.model, settings.precision, settings.device)
    facts = asdict(settings) | {"batch": settings.block, "ahead": AHEAD if settings.draft else 0}
    facts |= {"weights": weights, "computed_by": path}
    with continued(
        out, fingerprint(facts, {}), pieces="?????????.jsonl", form=is_samples
    ) as blocks:
        firsts = range(0, settings.count, settings.block)
        pieces = (
            (f"{first:09d}.jsonl", partial(_lines, model, bpe, settings, first)) for first in firsts
        )
        lines = []
        for first, block in zip(firsts, cached(blocks, pieces, BYTES), strict=True):
            lines.append(block)
            progress(min(first + settings.block, settings.count), settings.count)
        write_atomic(
            out, encoded(b"".join(lines), out.suffix, logprobs=settings.logprobs), form=is_samples
        )
    return path


def sample(settings: SampleSettings) -> Iterator[dict[str, Any]]:
    """The rows of all samples, in order, block after block."""
    model, bpe = _load(settings)
    for first in range(0, settings.count, settings.block):
        yield from _block(model, bpe, settings, first)


def speak(settings: SampleSettings, write: Callable[[str], None]) -> dict[str, Any]:
    """Generate one sample and hand its prompt, then its text, to `write` piece by piece while it is
    made.

    Raises:
        SamplingError: more samples than one, or as `write_samples`.
    """
    if settings.count != 1:
        raise SamplingError(
            f"sample: one sample can be written while it is made, not {settings.count}"
        )
    model, bpe = _load(settings)
    write(settings.prompt(0))
    stream = TextStream(StopStrings(settings.stop, bpe.decode))
    row = _block(model, bpe, settings, 0, watch=lambda _, token: write(stream.feed(token)))[0]
    write(stream.finish())
    return row


def _load(settings: SampleSettings) -> tuple[Decoder | Pair, TextTokenizer]:
    """What generates, with its tokenizer; prompts and length fit its context."""
    rows = AHEAD + 1 if settings.draft else min(settings.batch, settings.count)
    load = partial(load_decoder, precision=settings.precision, device=settings.device)
    large, bpe = load(settings.model, rows=rows)
    model: Decoder | Pair = large
    if settings.draft:
        small, other = load(settings.draft, rows=1)
        if other.vocabulary() != bpe.vocabulary():
            raise SamplingError(
                f"sample: {settings.draft} has another tokenizer than {settings.model}; a draft"
                " needs the same one"
            )
        model = Pair(large, small)
    longest = max((len(ids) for ids in bpe.encode_batch(settings.prompts)), default=1)
    context, is_drafted = settings.context, bool(settings.draft)
    check_length(model.config, max(longest, 1), settings.length, context=context, draft=is_drafted)
    return model, bpe


def _lines(
    model: Decoder | Pair, bpe: TextTokenizer, settings: SampleSettings, first: int
) -> bytes:
    rows = _block(model, bpe, settings, first)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _block(
    model: Decoder | Pair,
    bpe: TextTokenizer,
    settings: SampleSettings,
    first: int,
    watch: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    ids = range(first, min(first + settings.block, settings.count))
    encoded = bpe.encode_batch([settings.prompt(i) for i in ids])
    prompts = [prompt or [bpe.end_of_text] for prompt in encoded]
    stops = StopStrings(settings.stop, bpe.decode)
    end, seed, length = bpe.end_of_text, settings.seed, settings.length
    arguments = {"length": length, "end": end, "seed": seed, "first": first}
    if isinstance(model, Pair):
        drafted = speculate_all(model, prompts, settings.method, **arguments, watch=watch)
        generated = [draft.generated for draft in drafted]
    else:
        penalty, context = settings.repetition_penalty, settings.context
        options = Options(penalty, stops, settings.logprobs, context, watch)
        generated = generate(model, prompts, settings.method, **arguments, options=options)
    return [
        _row(i, generation, settings, bpe, stops)
        for i, generation in zip(ids, generated, strict=True)
    ]


def _row(
    i: int, generation: Generated, settings: SampleSettings, bpe: TextTokenizer, stops: StopStrings
) -> dict[str, Any]:
    chosen = settings.method
    text, stopped = stops.cut(bpe.decode(generation.tokens))
    row = {
        "id": i,
        "ended": generation.ended,
        "length": len(generation.tokens),
        "text": text,
        "model": settings.model,
        "method": chosen.name,
        "prompt": settings.prompt(i),
        "seed": settings.seed,
        "temperature": chosen.temperature,
        "top_k": chosen.top_k,
        "top_p": round(generation.top_p, 6),
        "semantics": chosen.semantics,
        "repetition_penalty": settings.repetition_penalty,
        "reason": generation.reason,
        "stopped": stopped,
        "slides": generation.slides,
    }
    if settings.logprobs:
        drawn = [*generation.tokens, bpe.end_of_text] if generation.ended else generation.tokens
        row |= {"tokens": drawn, "logprobs": generation.logprobs}
    return row


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
