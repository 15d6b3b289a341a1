"""The stages that test text for marks: human text for every key, marked text whole, cut, moved and
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from staged.attacks.kinds import attack, reworded, words_of
from staged.model.causal import load_tokenizer
from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import as_stage_inputs, tokenizer_files
from staged.pipeline.stage import Inputs, SplitStage, unrecorded
from staged.pipeline.tables import TableRow, table_of, write_tables
from staged.streams import derive
from staged.studies.provenance.marked import (
    SPLIT,
    MarkedTexts,
    secret_of,
    tokens_of,
    vocabulary_of,
    watermark_of,
)
from staged.studies.stages import Corpus
from staged.watermarks.contract import Watermark
from staged.watermarks.evidence import pairs
from staged.watermarks.scan import null_values

FILE = "tests.parquet"
DRAWN, WHOLE, CROPPED = "as drawn", "as text", "middle"
SUBSTITUTED = "substitution"  # with its share behind it
PASSAGES_AT_ONCE, TEXTS_AT_ONCE = 16_384, 1024  # that are tested as one block


@dataclass(frozen=True, kw_only=True)
class HumanTests(SplitStage):
    """Human passages under one scheme and every key: a row a passage and key of `key`, `source`,
    `tokens` that carry evidence, `p`, and `p_random`, which is uniform for counts, too.

    Attributes:
        given: the model whose tokenizer reads.
        human_tokens: of each passage, its first so many.
    """

    scheme: str
    n_human: int
    human_tokens: int
    n_keys: int
    seed: int
    corpus: Corpus
    given: str = unrecorded()

    @property
    def name(self) -> str:
        return f"human/{self.scheme}"

    @property
    def cost(self) -> float:
        return 20.0 * self.n_keys

    @property
    def files(self) -> Inputs:
        return as_stage_inputs("tokenizer", tokenizer_files(model_folder(self.given)))

    @property
    def blocks(self) -> Sequence[str]:
        return tuple(f"{key:06d}-{first:09d}.json" for key, first in self._firsts)

    @property
    def _firsts(self) -> list[tuple[int, int]]:
        """Of each block its key, and the first passage that it tests."""
        return [
            (key, first)
            for key in range(self.n_keys)
            for first in range(0, self.n_human, PASSAGES_AT_ONCE)
        ]

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], list[TableRow]]]:
        passages = self.corpus.drawn(inputs, SPLIT, self.n_human, seed=self.seed)
        sources = [passage.source for passage in passages]
        read = tokens_of(self.given, [passage.text for passage in passages])
        tokens = [ids[: self.human_tokens] for ids in read]
        vocabulary = vocabulary_of(self.given)

        def make(number: int) -> list[TableRow]:
            key, first = self._firsts[number]
            taken = slice(first, first + PASSAGES_AT_ONCE)
            mark = watermark_of(self.scheme, secret_of(self.seed, key), vocabulary)
            ties = np.random.default_rng(derive(self.seed, "ties", str(key)))
            shares = ties.random(self.n_human)[taken].tolist()
            return [
                {"key": key, "source": source} | tested
                for source, tested in zip(
                    sources[taken], _against_chance(mark, tokens[taken], shares), strict=True
                )
            ]

        yield make

    def join(self, folder: Path, values: Iterator[list[TableRow]], inputs: Inputs) -> None:
        write_tables(folder / FILE, map(table_of, values))


def _against_chance(
    mark: Watermark, texts: Sequence[torch.Tensor], shares: Sequence[float]
) -> Iterator[TableRow]:
    """Of each text its `tokens`, `p`, and `p_random`: that share of the way from the chance of more
    to `p`.
    """
    for (total, count), share in zip(sums(mark, texts), shares, strict=True):
        p = mark.p_value(total, count)
        above = p_above(mark, total, count, p)
        yield {"tokens": count, "p": p, "p_random": above + (p - above) * share}


def p_above(mark: Watermark, total: float, count: int, p_value: float) -> float:
    """The chance of a sum above `total`: that of the next one where sums come in steps, else the
    p-value of `total` itself.
    """
    null = null_values(mark)
    if null.chance is None:
        return p_value
    return mark.p_value(total + 1 / sum(null.weights), count)


def sums(mark: Watermark, texts: Sequence[torch.Tensor]) -> Iterator[tuple[float, int]]:
    """(sum of the evidence, tokens that carry it) of each text; all are looked up at once."""
    found = [pairs(tokens, mark) for tokens in texts]
    counts = [len(tokens) for _, tokens in found]
    values = mark.values(
        torch.cat([contexts for contexts, _ in found]), torch.cat([tokens for _, tokens in found])
    )
    for part, count in zip(values.split(counts), counts, strict=True):
        yield float(part.sum()), count


@dataclass(frozen=True, kw_only=True)
class MarkTests(SplitStage):
    """The texts of one stage, tested for their own keys: a row a text and form of `id`, `key`,
    `form`, `length`, `tokens` that carry evidence, `p`, and whether its tokens are `same` as drawn.

    Forms: DRAWN and WHOLE, cut to each of `lengths`; the middle half of the text; the first
    `attacked_tokens` under each attack, and with a share of their words replaced by words of human
    passages.
    """

    lengths: tuple[int, ...]
    attacks: tuple[str, ...]
    substitutions: tuple[float, ...]
    attacked_tokens: int
    seed: int
    corpus: Corpus
    texts: MarkedTexts

    @property
    def name(self) -> str:
        return f"tests/{self.texts.model}/{self.texts.method}/{self.texts.scheme}"

    @property
    def cost(self) -> float:
        return 10.0

    @property
    def blocks(self) -> Sequence[str]:
        """Some texts of one key, in every form."""
        return tuple(f"{part[0]:09d}.json" for part in self._parts)

    @property
    def _parts(self) -> list[range]:
        return self.texts.parts(TEXTS_AT_ONCE)

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], list[list[TableRow]]]]:
        passages = self.corpus.drawn(inputs, SPLIT, self.texts.n_texts, seed=self.seed)
        words = words_of(passage.text for passage in passages)
        part_of, vocabulary = self.texts.parts_of(inputs), vocabulary_of(self.texts.given)

        def make(number: int) -> list[list[TableRow]]:
            part = self._parts[number]
            rows = part_of(part)
            secret = secret_of(self.texts.seed, self.texts.key(part[0]))
            mark = watermark_of(self.texts.scheme, secret, vocabulary)
            return [_tested(mark, rows, *form) for form in self._forms(rows, words)]

        yield make

    def join(self, folder: Path, values: Iterator[list[list[TableRow]]], inputs: Inputs) -> None:
        """All texts in one form together."""
        blocks = [[table_of(rows) for rows in forms] for forms in values]
        of_forms = zip(*blocks, strict=True)
        write_tables(folder / FILE, [table for tables in of_forms for table in tables])

    def _forms(
        self, rows: Sequence[TableRow], words: Sequence[str]
    ) -> Iterator[tuple[str, int, list[torch.Tensor]]]:
        """(form, length in tokens of what it was made of, its tokens) of all texts.

        Args:
            words: that stand in for those that are replaced.
        """
        given, most = self.texts.given, self.texts.length_tokens
        read = tokens_of(given, [row["text"] for row in rows])
        for length in self.lengths:
            yield DRAWN, length, [torch.tensor(row["tokens"][:length]).long() for row in rows]
            yield WHOLE, length, [tokens[:length] for tokens in read]
        middles = [_middle(row["text"]) for row in rows]
        yield CROPPED, most, tokens_of(given, middles)
        cut = self._cut(read)
        for name in self.attacks:
            changed = [
                attack(name, text, seed=self.seed, id=str(row["id"]))
                for text, row in zip(cut, rows, strict=True)
            ]
            yield name, self.attacked_tokens, tokens_of(given, changed)
        for share in self.substitutions:
            changed = [
                reworded(text, share, words, seed=self.seed, id=str(row["id"]))
                for text, row in zip(cut, rows, strict=True)
            ]
            yield f"{SUBSTITUTED} {share:.0%}", self.attacked_tokens, tokens_of(given, changed)

    def _cut(self, read: Sequence[torch.Tensor]) -> list[str]:
        tokenizer = load_tokenizer(self.texts.given)
        return [tokenizer.decode(tokens[: self.attacked_tokens].tolist()) for tokens in read]


def _tested(
    mark: Watermark,
    rows: Sequence[TableRow],
    form: str,
    length: int,
    tokens: Sequence[torch.Tensor],
) -> list[TableRow]:
    """The tests of the texts of one key in one form.

    Args:
        rows: the texts as they were written.
        length: in tokens, of what the form was made of.
        tokens: of each text in this form.
    """
    return [
        {
            "id": row["id"],
            "key": row["key"],
            "form": form,
            "length": length,
            "tokens": count,
            "p": mark.p_value(total, count) if count else 1.0,
            "same": torch.equal(read, torch.tensor(row["tokens"][:length], dtype=torch.int64)),
        }
        for row, read, (total, count) in zip(rows, tokens, sums(mark, tokens), strict=True)
    ]


def _middle(text: str) -> str:
    """The middle half of a text, from word to word."""
    words = text.split(" ")
    quarter = len(words) // 4
    return " ".join(words[quarter : len(words) - quarter])
