"""The stages that test text for marks: human text for every key, marked text whole, cut, moved and
changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from staged.attacks.kinds import attack, reworded, words_of
from staged.model.causal import load_causal, load_tokenizer
from staged.model.checkpoints import model_folder
from staged.model.devices import chosen_device
from staged.model.formats.layouts import as_stage_inputs, tokenizer_files
from staged.model.reading.token_statistics import token_statistics
from staged.pipeline.stage import Inputs, Stage, unrecorded
from staged.pipeline.tables import TableRow, write_table
from staged.progress import Progress
from staged.streams import derive
from staged.studies.computed import record_device
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


@dataclass(frozen=True, kw_only=True)
class HumanTests(Stage):
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

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        passages = self.corpus.drawn(inputs, SPLIT, self.n_human, seed=self.seed)
        tokens = [
            ids[: self.human_tokens]
            for ids in tokens_of(self.given, [passage.text for passage in passages])
        ]
        vocabulary, rows = vocabulary_of(self.given), []
        for key in range(self.n_keys):
            mark = watermark_of(self.scheme, secret_of(self.seed, key), vocabulary)
            chance = np.random.default_rng(derive(self.seed, "ties", str(key)))
            for passage, (total, count) in zip(passages, sums(mark, tokens), strict=True):
                p = mark.p_value(total, count)
                above = p_above(mark, total, count, p)
                rows.append(
                    {
                        "key": key,
                        "source": passage.source,
                        "tokens": count,
                        "p": p,
                        "p_random": above + (p - above) * chance.random(),
                    }
                )
            progress(key + 1, self.n_keys)
        write_table(folder / FILE, rows)


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
class MarkTests(Stage):
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

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        rows = self.texts.texts(inputs)
        passages = self.corpus.drawn(inputs, SPLIT, self.texts.n_texts, seed=self.seed)
        forms = list(self._forms(rows, words_of(passage.text for passage in passages)))
        tested: list[TableRow] = []
        vocabulary = vocabulary_of(self.texts.given)
        for done, (form, length, tokens) in enumerate(forms, start=1):
            for key in range(self.texts.n_keys):
                mark = watermark_of(self.texts.scheme, secret_of(self.texts.seed, key), vocabulary)
                own = [i for i, row in enumerate(rows) if row["key"] == key]
                if not own:
                    continue
                found = sums(mark, [tokens[i] for i in own])
                for i, (total, count) in zip(own, found, strict=True):
                    drawn = torch.tensor(rows[i]["tokens"][:length], dtype=torch.int64)
                    tested.append(
                        {
                            "id": rows[i]["id"],
                            "key": key,
                            "form": form,
                            "length": length,
                            "tokens": count,
                            "p": mark.p_value(total, count) if count else 1.0,
                            "same": torch.equal(tokens[i], drawn),
                        }
                    )
            progress(done, len(forms))
        write_table(folder / FILE, tested)

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


def _middle(text: str) -> str:
    """The middle half of a text, from word to word."""
    words = text.split(" ")
    quarter = len(words) // 4
    return " ".join(words[quarter : len(words) - quarter])


@dataclass(frozen=True, kw_only=True)
class Costs(Stage):
    """What the texts of one stage cost the judge, and how often they repeat: a row a text of `id`,
    `nats` and `judged` (its sum, and over how many of the judge's tokens), `length`, `reason`,
    `repeated` (the share of its 4-token runs that it had before).

    Attributes:
        judge: a model by name or folder.
    """

    judge: str
    texts: MarkedTexts

    @property
    def name(self) -> str:
        return f"costs/{self.texts.model}/{self.texts.method}/{self.texts.scheme}"

    @property
    def cost(self) -> float:
        return 10.0

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        rows, device = self.texts.texts(inputs), chosen_device(self.texts.device)
        judge = load_causal(self.judge, device=device)
        read = [
            judge.tokenizer.encode_batch([row["prompt"], row["prompt"] + row["text"]])
            for row in rows
        ]
        judged = token_statistics(judge, [whole for _, whole in read], progress=progress)
        write_table(
            folder / FILE,
            [
                _cost(row, len(prompt), statistics.logprob)
                for row, (prompt, _), statistics in zip(rows, read, judged, strict=True)
            ],
        )
        record_device(folder, device, precision="fp32")


def _cost(row: TableRow, prompt: int, logprob: np.ndarray) -> TableRow:
    own = logprob[max(prompt - 1, 0) :]
    return {
        "id": row["id"],
        "nats": float(-own.sum()),
        "judged": len(own),
        "length": len(row["tokens"]),
        "reason": row["reason"],
        "repeated": repeated(row["tokens"]),
    }


def repeated(tokens: Sequence[int], width: int = 4) -> float:
    """The share of a text's runs of so many tokens that stood in it before."""
    runs = [tuple(tokens[i : i + width]) for i in range(len(tokens) - width + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
