"""Language-model evaluation: nats and bits per token, per byte and per original word, with an
interval, beside the paper's table.

Each document is scored by itself after `start_of_text`, a GPT-2's `<|endoftext|>`. Totals are
divided by what the text has of tokens, of UTF-8 bytes and of words (runs between white space); only
the first depends on the tokenizer. Source: Radford et al. 2019, section 3.1.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from staged.corpus.files import documents_of, read_corpus
from staged.corpus.learned import model_learned
from staged.errors import CorpusError, PlanError
from staged.files.texts import STDIN, FileText, read_text
from staged.model.causal import is_outside, load_causal
from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import config_file, weight_files
from staged.model.gpt2.config import END_OF_TEXT
from staged.model.reading.bits_interval import CONFIDENCE, Interval, bits_per_byte_interval
from staged.model.reading.encoding import Ids, encode_documents, start_of_text, written
from staged.model.reading.likelihood import Nats, token_nats
from staged.model.reading.paper_results import PUBLISHED, PUBLISHED_NOTE, PUBLISHED_SIZES
from staged.progress import Progress, silent
from staged.records import HUMAN, Document, count_words
from staged.settings import LARGEST
from staged.storage.digests import sha256_file
from staged.storage.forms import holds
from staged.storage.json_files import write_json
from staged.storage.pieces import continued

RESULT = holds("nats_per_token", "bits_per_byte", "published")  # the form of what `evaluate` writes
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Evaluation:
    """What one text costs one model; `nats` is the negative log-likelihood of all of it.

    Attributes:
        documents_learned_from: how many of the documents the model was trained on, as far as its
            `training.json` says.
        interval: None where the text is too short for one.
        start: the tokens that each document was scored after.
    """

    model: str
    file: str
    precision: str
    n_ctx: int
    stride: int
    documents: int
    documents_learned_from: int
    tokens: int
    bytes: int
    words: int
    nats: float
    interval: Interval | None
    start: str = END_OF_TEXT

    def rates(self) -> dict[str, dict[str, float | None]]:
        """Per `token`, `byte` and `word`: count, nats, bits, and perplexity = exp(nats), None where
        that is beyond a float.
        """
        counts = {"token": self.tokens, "byte": self.bytes, "word": self.words}
        return {
            unit: {
                "count": count,
                "nats": self.nats / count,
                "bits": self.nats / count / math.log(2),
                "perplexity": (
                    math.exp(self.nats / count)
                    if self.nats / count < math.log(sys.float_info.max)
                    else None
                ),
            }
            for unit, count in counts.items()
        }

    def to_json(self) -> dict[str, Any]:
        """One flat object of this text's figures (`nats_per_token`, …), and the paper's under
        `published`; `start` where it is not GPT-2's.
        """
        flat = {
            f"{name}_per_{unit}": figures[name]
            for unit, figures in self.rates().items()
            for name in ("nats", "bits", "perplexity")
        }
        interval = {
            f"bits_per_byte_{bound}": getattr(self.interval, bound, None)
            for bound in ("low", "high")
        }
        facts = asdict(self) | flat | interval
        if self.start == END_OF_TEXT:
            del facts["start"]
        facts["interval"] = self.interval and {
            "level": CONFIDENCE,
            "unit": self.interval.unit,
            "units": self.interval.units,
        }
        sizes = [dict(zip(PUBLISHED_SIZES, values, strict=True)) for values in PUBLISHED.values()]
        return facts | {
            "published": dict(zip(PUBLISHED, sizes, strict=True)),
            "published_note": PUBLISHED_NOTE,
        }


def evaluate(
    model: str,
    file: str,
    *,
    stride: int | None = None,
    batch: int = 8,
    precision: str = "fp32",
    device: str = "cpu",
    literal: bool = False,
    out: Path | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Score a text, a set of documents or standard input (`-`).

    Args:
        model: as `load_causal` takes it, of any family.
        file: a file or folder as `read_corpus` takes it, or `-` for plain text from standard input.
        stride: tokens from one window to the next, 1 … n_ctx; by default half of n_ctx.
        batch: full windows computed at once; does not change the result beyond the last digits.
        precision: of weights and arithmetic, `fp32` or `bf16`; probabilities are float32, their sum
            float64.
        device: where it computes, `cpu` or `cuda`.
        literal: take `<|endoftext|>` in a text as its letters; else it separates documents.
        out: a .json file that receives `to_json()`; killed at any moment and called again, the work
            continues from `OUT.blocks` and ends with the same bytes.
        progress: called with (tokens scored, tokens in all).

    Raises:
        CheckpointError, CorpusError: the model, or the text.
        PlanError: stride, batch or precision out of range, or `out` is no .json file.
        ArtifactError: the file cannot be written.
    """
    _check_options(precision, batch, out)
    lm = load_causal(model, dtype=PRECISIONS[precision], device=device)
    chosen = _stride(stride, lm.n_ctx)
    documents = read_documents(file, literal=literal)
    encoded = encode_documents(lm, [document.text for document in documents], file)
    sequences, sizes = [one.ids for one in encoded], [one.sizes for one in encoded]
    start = start_of_text(lm.tokenizer)
    how = {"stride": chosen, "batch": batch, "precision": precision, "device": device}
    windows = {"stride": chosen, "batch": batch, "before": len(start)}
    with _blocks(out, how | _digests(model, sequences)) as blocks:
        nats = token_nats(lm, sequences, **windows, blocks=blocks, progress=progress)
        result = _evaluation(
            documents,
            nats,
            bits_per_byte_interval(nats, sizes),
            of=(model, file),
            precision=precision,
            n_ctx=lm.n_ctx,
            stride=chosen,
            start=written(lm.tokenizer, start),
        )
        if out is not None:
            write_json(out, result.to_json(), form=RESULT)
    return result


def _check_options(precision: str, batch: int, out: Path | None) -> None:
    if precision not in PRECISIONS:
        raise PlanError(f"evaluate-lm: precision {precision!r}; known: {', '.join(PRECISIONS)}")
    if not 1 <= batch <= LARGEST:
        raise PlanError(
            f"evaluate-lm: the batch must be at least 1 and at most {LARGEST:,}, not {batch}"
        )
    if out is not None and (out.suffix != ".json" or out.is_dir()):
        raise PlanError(
            f"{out}: a result is written into a .json file; choose such a name that is not a"
            " folder's"
        )


def _blocks(out: Path | None, wanted: dict[str, Any]) -> AbstractContextManager[Path | None]:
    """The folder of what has been scored already; None where no file is written."""
    if out is None:
        return nullcontext()
    return continued(out, wanted, pieces="?????????.npy", form=RESULT)


def _evaluation(
    documents: Sequence[Document],
    nats: Sequence[Nats],
    interval: Interval | None,
    *,
    of: tuple[str, str],
    precision: str,
    n_ctx: int,
    stride: int,
    start: str,
) -> Evaluation:
    """Sums over the documents.

    Args:
        of: the model and the file, as they were given.
    """
    return Evaluation(
        model=of[0],
        file=of[1],
        precision=precision,
        n_ctx=n_ctx,
        stride=stride,
        documents=len(documents),
        documents_learned_from=_learned_from(*of, documents),
        tokens=sum(map(len, nats)),
        bytes=sum(len(document.text.encode()) for document in documents),
        words=sum(count_words(document.text) for document in documents),
        nats=float(sum(document_nats.sum(dtype=np.float64) for document_nats in nats)),
        interval=interval,
        start=start,
    )


def _digests(model: str, sequences: Sequence[Ids]) -> dict[str, Any]:
    """What else a block's bytes depend on: the weights and the tokens; of another family than GPT-2
    also the configuration, which holds more than the weights' shapes.
    """
    folder = model_folder(model)
    ids = hashlib.sha256()
    for sequence in sequences:
        ids.update(len(sequence).to_bytes(8, "big") + sequence.tobytes())
    return {
        "weights": [sha256_file(path) for path in weight_files(folder)],
        "tokens": ids.hexdigest(),
    } | ({"config": sha256_file(config_file(folder))} if is_outside(folder) else {})


def _stride(stride: int | None, n_ctx: int) -> int:
    stride = -(-n_ctx // 2) if stride is None else stride
    if not 1 <= stride <= n_ctx:
        raise PlanError(
            f"evaluate-lm: the stride must be 1 … {n_ctx} (the model's context), not {stride}"
        )
    return stride


def read_documents(source: str, *, literal: bool = False) -> list[Document]:
    """Documents of a file or folder, as every corpus is read, or of standard input, which is plain
    text.

    Raises:
        CorpusError: missing, damaged, not UTF-8, or without text.
    """
    if source != STDIN:
        return read_corpus(source, literal=literal)
    text = read_text(source)
    if not text.strip():
        raise CorpusError(
            "standard input: holds no text; pipe some in, or name a file instead of -"
        )
    return list(documents_of(FileText(text), STDIN, HUMAN, literal))


def _learned_from(model: str, file: str, documents: Sequence[Document]) -> int:
    """How many of the documents the model's `training.json` knows."""
    learned = model_learned(model_folder(model))
    return len(learned.among(documents, file)) if learned else 0
