"""The stages that make text: each model by each method, under each scheme and without one.

Text i continues the opening of human passage i, for every model, method and scheme; neighbouring
texts share a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import torch

from staged.model.causal import TextTokenizer, load_shape, load_tokenizer
from staged.model.checkpoints import model_folder
from staged.model.devices import chosen_device
from staged.model.formats.layouts import model_files, weight_files
from staged.pipeline.stage import Inputs, SplitStage, unrecorded
from staged.pipeline.tables import TableRow, read_columns, read_table, table_of, write_tables
from staged.samples.decoders import load_decoder
from staged.samples.engine import Decoder, generate
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
class MarkedTexts(SplitStage):
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

    @property
    def blocks(self) -> Sequence[str]:
        return tuple(f"{part[0]:09d}.json" for part in self._parts)

    @cached_property
    def _parts(self) -> list[range]:
        """Texts that are generated at once."""
        return self.parts(self.batch)

    def parts(self, most: int) -> list[range]:
        """Neighbouring texts of one key, at most so many."""
        edges = [
            text
            for text in range(self.n_texts)
            if text == 0 or self.key(text) != self.key(text - 1)
        ]
        return [
            range(start, min(start + most, end))
            for first, end in pairwise([*edges, self.n_texts])
            for start in range(first, end, most)
        ]

    @property
    def _computes_on(self) -> str:
        return chosen_device(self.device, self.precision)

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], list[TableRow]]]:
        openings = self.corpus.openings(inputs, SPLIT, self.n_texts, seed=self.seed)
        decoder, tokenizer = load_decoder(
            self.given,
            precision=self.precision,
            rows=min(self.batch, self.n_texts),
            device=self._computes_on,
        )

        def make(number: int) -> list[TableRow]:
            part = self._parts[number]
            prompts = [openings[i] for i in part]
            drawn = self._generated(decoder, tokenizer, prompts, part[0])
            return [
                self._row(i, prompt, text, tokenizer.decode(text.tokens))
                for i, prompt, text in zip(part, prompts, drawn, strict=True)
            ]

        yield make

    def _generated(
        self, decoder: Decoder, tokenizer: TextTokenizer, prompts: Sequence[str], first: int
    ) -> list[Generated]:
        """What the model writes after neighbouring openings, the first of them number `first`."""
        end = tokenizer.end_of_text
        mark = self._mark(first, decoder.config.n_vocab)
        return generate(
            decoder,
            [ids or [end] for ids in tokenizer.encode_batch(prompts)],
            method(self.method),
            length=self.length_tokens,
            end=end,
            seed=derive(self.seed, self.method),
            first=first,
            options=Options(context="slide", watermark=mark),
        )

    def join(self, folder: Path, values: Iterator[list[TableRow]], inputs: Inputs) -> None:
        write_tables(folder / FILE, map(table_of, values))
        record_device(folder, self._computes_on, precision=self.precision)

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

    def texts(self, inputs: Inputs) -> list[TableRow]:
        """Its rows, in the order of their ids."""
        return read_table(inputs[self.name] / FILE)

    def parts_of(self, inputs: Inputs) -> Callable[[range], list[TableRow]]:
        """What gives the rows of neighbouring texts; all are held in columns."""
        columns = read_columns(inputs[self.name] / FILE)

        def part_of(part: range) -> list[TableRow]:
            rows: list[TableRow] = columns.slice(part.start, len(part)).to_pylist()
            return rows

        return part_of


def vocabulary_of(given: str) -> int:
    """How many scores a model gives a token, which can be more than its tokenizer has tokens."""
    return load_shape(given).n_vocab


def tokens_of(given: str, texts: Sequence[str]) -> list[torch.Tensor]:
    """Texts as a model's tokens, without what its tokenizer puts before them."""
    tokenizer = load_tokenizer(given)
    before = len(tokenizer.before)
    return [torch.tensor(ids[before:]) for ids in tokenizer.encode_batch(list(texts))]
