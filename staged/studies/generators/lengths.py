"""One length for texts of several tokenizers: so many words instead of so many tokens.

A token of one family is longer than another's, and a longer text is easier to judge. So where the
models of a study have different tokenizers, or one has none here (behind a server, or of texts that
somebody has), n tokens are the number of words that 19 in 20 human passages have in their first n
tokens, by whichever tokenizer needs most tokens for them. Each model still samples by its own
tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from staged.corpus.build import read_documents, write_corpus
from staged.errors import PlanError
from staged.model.causal import TextTokenizer, load_tokenizer
from staged.model.checkpoints import is_at_hand, model_folder
from staged.model.formats.layouts import as_stage_inputs, tokenizer_files
from staged.model.sources.served import parse_served
from staged.pipeline.stage import Inputs, unrecorded
from staged.progress import Progress
from staged.records import Document, count_words
from staged.storage.records import read_record, write_record
from staged.studies.models import folder_of
from staged.studies.stages import Corpus
from staged.studies.texts import cut_to_words

WORDS = "words.json"  # tokens → words
FEWEST = 0.05  # the share of passages that have fewer words in so many tokens
PASSAGES = 1000  # that are looked at
LEAST_RATE = 0.1  # words a token; below it white space is not what parts words
SPLIT = "train"  # of them: not what is judged
ANY = "mini-s"  # whose tokens budgets are counted in where no model has a tokenizer here


@dataclass(frozen=True)
class Tokenizers:
    """Whose tokens a study counts in. Nothing is read before it is asked.

    Attributes:
        models: those that write.
        given: whether there are texts whose model is not here.
        named: the one that the plan names; empty asks the models.
    """

    models: tuple[str, ...]
    given: bool
    named: str

    @cached_property
    def counted_by(self) -> tuple[str, ...]:
        """A model of each tokenizer that counts.

        Raises:
            CheckpointError: a model that is nowhere.
        """
        if self.named:
            return (self.named,)
        here = [model for model in self.models if folder_of(model) is not None]
        return distinct(here) or (ANY,)

    @property
    def are_here(self) -> bool:
        """Whether what counts can be asked without downloading."""
        written = () if self.named else self.models
        return all(parse_served(model) or is_at_hand(model) for model in written)

    @property
    def are_several(self) -> bool:
        """Whether texts are cut to words, as no one tokenizer is every model's."""
        if self.named:
            return False
        lacking = self.given or any(folder_of(model) is None for model in self.models)
        return lacking or len(self.counted_by) > 1


@dataclass(frozen=True, kw_only=True)
class StudyCorpus(Corpus):
    """Human text beside several models: each passage fits the budget by all of their tokenizers.

    Attributes:
        tokenizers: which these are.
        lengths: in tokens, those that texts are cut to.
    """

    tokenizers: Tokenizers = unrecorded()
    lengths: tuple[int, ...] = unrecorded()

    @property
    def counted_by(self) -> tuple[str, ...]:
        """A model of each tokenizer that counts."""
        return self.tokenizers.counted_by

    @property
    def files(self) -> Inputs:
        if len(self.counted_by) == 1:
            return as_stage_inputs("tokenizer", tokenizer_files(model_folder(self.counted_by[0])))
        named = {
            f"tokenizer {number}": tokenizer_files(model_folder(model))
            for number, model in enumerate(self.counted_by)
        }
        several = (as_stage_inputs(name, paths) for name, paths in named.items())
        return {name: path for files in several for name, path in files.items()}

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | (
            {"lengths": list(self.lengths)} if self.tokenizers.are_several else {}
        )

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        counting = [load_tokenizer(model) for model in self.counted_by]

        def most(texts: list[str]) -> list[int]:
            counts = [tokenizer.count(texts) for tokenizer in counting]
            return [max(of_text) for of_text in zip(*counts, strict=True)]

        write_corpus(folder, self.corpus, most)
        if self.tokenizers.are_several:
            passages = read_documents(folder / "passages.parquet", split=SPLIT)[:PASSAGES]
            texts = [passage.text for passage in passages]
            words = {str(n): words_in(texts, counting, n) for n in self.lengths}
            write_record(folder / WORDS, words)

    def tokenizer(self) -> TextTokenizer:
        return load_tokenizer(self.counted_by[0])

    def all_words(self, inputs: Inputs) -> dict[str, int] | None:
        """Tokens → words that stand for so many, of each of `lengths`; None where texts are cut to
        tokens.

        Raises:
            ArtifactError: the stage's file is damaged.
        """
        path = inputs[self.name] / WORDS
        return read_record(path, dict[str, int]) if path.is_file() else None

    def words(self, inputs: Inputs, tokens: int) -> int | None:
        """How many words stand for so many tokens, one of `lengths`; None where texts are cut to
        tokens.
        """
        words = self.all_words(inputs)
        return None if words is None else words[str(tokens)]

    def cut(self, inputs: Inputs, documents: Sequence[Document], tokens: int) -> list[Document]:
        """The documents' first tokens, or as many words as stand for them."""
        words = self.words(inputs, tokens)
        if words is None:
            return super().cut(inputs, documents, tokens)
        return cut_to_words(documents, words)


def distinct(models: Sequence[str]) -> tuple[str, ...]:
    """The first model of each tokenizer, in their order."""
    kept: dict[str, dict[str, int]] = {}
    for model in models:
        vocabulary = load_tokenizer(model).vocabulary()
        if vocabulary not in kept.values():
            kept[model] = vocabulary
    return tuple(kept)


def words_in(texts: Sequence[str], tokenizers: Sequence[TextTokenizer], tokens: int) -> int:
    """The number of words that 19 in 20 texts have in their first `tokens` tokens, by whichever
    tokenizer gives fewest; of shorter texts by their own rate.

    Raises:
        PlanError: texts that white space does not part into words.
    """
    fewest = min(_words_by(texts, tokenizer, tokens) for tokenizer in tokenizers)
    if fewest < LEAST_RATE * tokens:
        raise PlanError(
            f"study: white space parts {tokens} tokens of the corpus into {fewest} words; models"
            " of several tokenizers are compared in words, so name one for all by the key"
            " tokenizer"
        )
    return fewest


def _words_by(texts: Sequence[str], tokenizer: TextTokenizer, tokens: int) -> int:
    cut = tokenizer.truncate(texts, tokens)
    counts = zip(cut, tokenizer.count(texts), strict=True)
    rates = [count_words(text) / max(1, min(tokens, count)) for text, count in counts]
    return math.floor(tokens * float(np.quantile(rates, FEWEST, method="lower")))
