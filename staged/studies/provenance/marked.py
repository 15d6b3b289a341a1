"""The stages that make text: each model by each method, under each scheme and without one.

Text i continues the opening of human passage i, for every model, method and scheme; neighbouring
texts share a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from staged.model.causal import load_shape, load_tokenizer
from staged.model.checkpoints import model_folder
from staged.model.devices import chosen_device
from staged.model.formats.layouts import model_files, weight_files
from staged.pipeline.stage import Inputs, Stage, unrecorded
from staged.pipeline.tables import TableRow, read_table, write_table
from staged.progress import Progress
from staged.samples.decoders import load_decoder
from staged.samples.engine import generate
from staged.samples.methods import method
from staged.samples.rows import Generated, Options
from staged.streams import derive
from staged.studies.computed import record_device
from staged.studies.provenance.plan import VARIANTS
from staged.studies.stages import Corpus
from staged.watermarks.contract import Watermark
from staged.watermarks.schemes import make_watermark

FILE = "texts.parquet"
UNMARKED = "none"  # in place of a scheme
SPLIT = "test"  # of the corpus: whose passages are continued


def secret_of(seed: int, number: int) -> int:
    """Key `number` of a study, 64 bits: made from the plan, so that anybody can do it again, and
    therefore of no use outside.
    """
    return derive(seed, "watermark key", str(number)) % 2**64


def watermark_of(variant: str, secret: int, vocabulary: int) -> Watermark:
    """A scheme as a plan calls it, under a key."""
    scheme, settings = VARIANTS[variant]
    return make_watermark(scheme, secret, vocabulary, settings)


@dataclass(frozen=True, kw_only=True)
class MarkedTexts(Stage):
    """One model's texts by one method, under one scheme: a row a text of `id`, `key`, `prompt`,
    `text`, `tokens` (as they were drawn) and `reason`.

    Attributes:
        model: as the plan calls it.
        given: where it lies.
        scheme: as the plan calls it; UNMARKED is none.
        vocabulary: of the model's scores.
        corpus: of the openings.
        device: where it writes, as `chosen_device` takes it.
    """

    model: str
    method: str
    scheme: str
    n_texts: int
    n_keys: int
    length_tokens: int
    opening_words: int
    seed: int
    batch: int
    precision: str
    corpus: Corpus
    given: str = unrecorded()
    device: str = unrecorded("cpu")

    @property
    def name(self) -> str:
        return f"texts/{self.model}/{self.method}/{self.scheme}"

    @property
    def cost(self) -> float:
        return sum(path.stat().st_size for path in weight_files(model_folder(self.given))) / 1e6 + 4

    @property
    def files(self) -> Inputs:
        return model_files(model_folder(self.given))

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        openings = self.corpus.openings(inputs, SPLIT, self.n_texts, seed=self.seed)
        device, at_once = chosen_device(self.device, self.precision), min(self.batch, self.n_texts)
        decoder, tokenizer = load_decoder(
            self.given, precision=self.precision, rows=at_once, device=device
        )
        end, done = tokenizer.end_of_text, 0
        prompts = [ids or [end] for ids in tokenizer.encode_batch(openings)]
        for part in self._parts():
            piece = folder / f"{part[0]:06}.parquet"
            if not piece.is_file():
                generated = generate(
                    decoder,
                    [prompts[i] for i in part],
                    method(self.method),
                    length=self.length_tokens,
                    end=end,
                    seed=derive(self.seed, self.method),
                    first=part[0],
                    options=Options(
                        context="slide", watermark=self._mark(part[0], decoder.config.n_vocab)
                    ),
                )
                rows = [
                    self._row(i, openings[i], drawn, tokenizer.decode(drawn.tokens))
                    for i, drawn in zip(part, generated, strict=True)
                ]
                write_table(piece, rows)
            done += len(part)
            progress(done, self.n_texts)
        self._join(folder)
        record_device(folder, device, precision=self.precision)

    def _parts(self) -> Iterator[range]:
        """Texts that are generated at once: of one key, and no more than a batch."""
        edges = [
            text
            for text in range(self.n_texts)
            if text == 0 or self.key(text) != self.key(text - 1)
        ]
        for first, end in pairwise([*edges, self.n_texts]):
            for start in range(first, end, self.batch):
                yield range(start, min(start + self.batch, end))

    def key(self, text: int) -> int:
        """The number of the key that marks a text."""
        return text * self.n_keys // self.n_texts

    def _mark(self, text: int, vocabulary: int) -> Watermark | None:
        if self.scheme == UNMARKED:
            return None
        return watermark_of(self.scheme, secret_of(self.seed, self.key(text)), vocabulary)

    def _row(self, i: int, prompt: str, drawn: Generated, text: str) -> TableRow:
        return {
            "id": i,
            "key": self.key(i),
            "prompt": prompt,
            "text": text,
            "tokens": drawn.tokens,
            "reason": drawn.reason,
        }

    def _join(self, folder: Path) -> None:
        pieces = sorted(folder.glob("[0-9]*.parquet"))
        rows = [row for piece in pieces for row in read_table(piece)]
        write_table(folder / FILE, sorted(rows, key=lambda row: row["id"]))
        for piece in pieces:
            piece.unlink()

    def texts(self, inputs: Inputs) -> list[TableRow]:
        """Its rows, in the order of their ids."""
        return read_table(inputs[self.name] / FILE)


def vocabulary_of(given: str) -> int:
    """How many scores a model gives a token, which can be more than its tokenizer has tokens."""
    return load_shape(given).n_vocab


def tokens_of(given: str, texts: Sequence[str]) -> list[torch.Tensor]:
    """Texts as a model's tokens, without what its tokenizer puts before them."""
    tokenizer = load_tokenizer(given)
    before = len(tokenizer.before)
    return [torch.tensor(ids[before:]) for ids in tokenizer.encode_batch(list(texts))]
