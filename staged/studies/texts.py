"""Which texts a study reads: a seeded draw of passages, with or without their first words, a mix of
samples, and where all are cut.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from staged.corpus.build import read_documents
from staged.errors import PlanError
from staged.model.bpe import REPLACEMENT
from staged.model.causal import TextTokenizer
from staged.records import Document

SPLITS = ("train", "valid", "test")  # what studies compare; language models learn from another


def drawn(passages: Path, split: str, wanted: int, *, seed: int, table: str) -> list[Document]:
    """A seeded draw of passages of one split.

    Args:
        table: where the plan sets the corpus's shares, for the sentence of the error.

    Raises:
        PlanError: there are fewer than wanted.
    """
    documents = read_documents(passages, split=split)
    if len(documents) < wanted:
        raise PlanError(
            f"study: the corpus has {len(documents)} human passages for {split}, the plan asks for"
            f" {wanted}; lower n_{split}, give more text, or raise {table}.shares.{split}"
        )
    return random.Random(f"{seed} {split}").sample(documents, wanted)


def mixed(sets: Sequence[Sequence[Document]], count: int) -> list[Document]:
    """An equal mix of several sets: text i is text i of set i mod their number."""
    return [sets[i % len(sets)][i] for i in range(count)]


def cut_to(documents: Sequence[Document], tokenizer: TextTokenizer, tokens: int) -> list[Document]:
    """The documents' first `tokens` tokens, both classes by the same cut."""
    texts = tokenizer.truncate([document.text for document in documents], tokens)
    return [
        replace(document, text=text.rstrip(REPLACEMENT))
        for document, text in zip(documents, texts, strict=True)
    ]


def cut_to_words(documents: Sequence[Document], words: int) -> list[Document]:
    """The documents' first words, as white space separates them, both classes by the same cut."""
    return [
        replace(document, text=_first_words(document.text, words)[0].rstrip())
        for document in documents
    ]


def parted(text: str, words: int) -> tuple[str, str]:
    """A text's first words, and what follows them; white space between the two is left out."""
    opening, rest = _first_words(text, words)
    return opening.strip(), rest.lstrip()


def _first_words(text: str, words: int) -> tuple[str, str]:
    opening = re.match(rf"(?:\s*\S+){{0,{words}}}", text)
    end = opening.end() if opening else 0
    return text[:end], text[end:]
