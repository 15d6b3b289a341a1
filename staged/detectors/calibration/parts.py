"""The texts of a calibration: human ones to fit on and others to measure on, no source in both;
machine texts; all cut to every length that they have.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePosixPath

from staged.corpus.passages import cut, word_counts
from staged.corpus.splits import assign
from staged.detectors.calibration.calibration import EDGES_WORDS, PLAIN_DOMAIN
from staged.detectors.coverage.reasons import comparable_words, is_unspaced
from staged.detectors.normal.normalize import normalize
from staged.errors import CorpusError
from staged.records import Document

HELD_OUT = 0.3  # share of the human text, by characters, that a calibration is measured on
SHORTEST_BUDGET = 1.25  # times a bin's shortest length: room for whole sentences
ROW = re.compile(r"(.+):\d+(?:#\d+)*")  # the id of a file's row, or of a passage of it

Parts = tuple[list[Document], list[Document], list[Document]]  # fitted on, machine, measured on


def parted(
    human: Sequence[Document],
    machine: Sequence[Document],
    held_out: Sequence[Document] | None,
    *,
    seed: int,
) -> Parts:
    """Human texts to fit on, machine texts, and human texts to measure on, none of them twice.

    Args:
        held_out: human texts to measure on; None takes 30% of the others, by whole sources.

    Raises:
        CorpusError: a single source and no `held_out`; a text that stands in two of the three.
    """
    human, machine = _distinct(human), _distinct(machine)
    held_out = None if held_out is None else _distinct(held_out)
    refuse_shared(
        [*human, *(held_out or ())],
        machine,
        "machine-written texts are among the human ones; a text is one or the other",
    )
    if held_out is None:
        fitted_on, measured_on = _held_out(human, seed)
        return fitted_on, machine, measured_on
    refuse_shared(
        human, held_out, "held-out texts are among the human texts to fit on; hold out others"
    )
    return human, machine, held_out


def _held_out(human: list[Document], seed: int) -> tuple[list[Document], list[Document]]:
    """By whole sources: documents to fit on, and those to measure on.

    Raises:
        CorpusError: there is a single source.
    """
    if len({document.source for document in human}) == 1:
        raise CorpusError(
            "the human text has a single source, so none can be held out; give more, or"
            " --held-out other human text"
        )
    part = assign(human, {"valid": 1 - HELD_OUT, "test": HELD_OUT}, seed=seed)
    valid = [document for document in human if part[document.source] == "valid"]
    test = [document for document in human if part[document.source] == "test"]
    return valid, test


def _distinct(documents: Sequence[Document]) -> list[Document]:
    """Of equal texts the first."""
    by_text: dict[str, Document] = {}
    for document in documents:
        by_text.setdefault(document.text, document)
    return list(by_text.values())


def refuse_shared(documents: Sequence[Document], others: Sequence[Document], sentence: str) -> None:
    """Refuse texts that stand in both.

    Raises:
        CorpusError: there are some; `sentence` goes on behind their number.
    """
    if shared := {document.text for document in documents} & {document.text for document in others}:
        raise CorpusError(f"{len(shared):,} of the {sentence}")


def cut_up(parts: Parts, *, seed: int, edges_words: Sequence[int]) -> Parts:
    """Each part's passages, normalised.

    Raises:
        CorpusError: no text to fit on is long enough.
    """
    people, machines, unseen = (
        [
            replace(passage, text=normalize(passage.text).text)
            for document in part
            for passage in passages(document, seed=seed, edges_words=edges_words)
        ]
        for part in parts
    )
    if not people:
        spaces = (
            "; in scripts without spaces words do not say how long a text is"
            if any(is_unspaced(document.text) for document in parts[0])
            else ""
        )
        raise CorpusError(
            f"no human text to calibrate on has {edges_words[0]} words; give longer ones{spaces}"
        )
    return people, machines, unseen


def passages(
    document: Document, *, seed: int, edges_words: Sequence[int] = EDGES_WORDS
) -> list[Document]:
    """A document at every length it has: at most one text a bin.

    In its own bin a document stands whole (beyond twice the last edge, as a passage of up to that);
    in each shorter one as a passage of whole sentences, of random length and from a random place.
    Passages of different bins may overlap: they are never compared with each other.
    """
    words = comparable_words(document.text)
    texts = []
    for low, high in pairwise((*edges_words, 2 * edges_words[-1] + 1)):
        if low <= words < high:
            texts.append(document)
        elif words >= high:
            stream = random.Random(f"{seed} {low} {document.id}")
            choices = cut(
                document,
                word_counts,
                budget=stream.randint(min(int(low * SHORTEST_BUDGET), high - 1), high - 1),
                minimum=low,
            )
            texts += [stream.choice(choices)] if choices else []
    return texts


def domain_of(document: Document) -> str:
    """What a document is grouped by: the folder it lies in below the corpus's own, or the .jsonl or
    .parquet file; else `text`.
    """
    row = ROW.fullmatch(document.id)
    path = PurePosixPath(row[1] if row else document.id)
    if len(path.parts) > 1:
        return path.parts[0]
    return path.stem if row else PLAIN_DOMAIN
