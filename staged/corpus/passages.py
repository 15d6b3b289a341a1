"""Documents → passages: cut at paragraph or sentence ends to a budget of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from staged.records import Document, count_words

# A sentence ends at . ! or ? with closing quotes, before white space and something that can begin a
# sentence.
SENTENCE_END = re.compile(r"""(?<=[.!?])["')\]”’]*\s+(?=["'(\[“‘]?[A-Z0-9])""")
ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|No|Nos|Gen|Col|Hon|Messrs|vs|[A-Z])\.$")
LONGEST = len("Messrs.") + 1  # characters before the white space that decide it
PARAGRAPH_END = re.compile(r"\n\s*\n")


def cut(
    document: Document, count_tokens: Callable[[list[str]], list[int]], *, budget: int, minimum: int
) -> list[Document]:
    """Passages of `minimum`…`budget` tokens, in reading order, none overlapping.

    Whole sentences are added until the next would pass the budget. A sentence longer than the
    budget, and a remainder shorter than the minimum, are left out.

    Args:
        count_tokens: number of tokens of each text given.
        budget, minimum: in tokens.
    """
    sentences = list(_sentences(document.text))
    first = count_tokens([sentence for _, sentence in sentences])
    joined = count_tokens([joint + sentence for joint, sentence in sentences])
    passages: list[str] = []
    current, used = "", 0
    for (joint, sentence), alone, length in zip(sentences, first, joined, strict=True):
        if current and used + length <= budget:
            current, used = current + joint + sentence, used + length
            continue
        if used >= minimum:
            passages.append(current)
        current, used = (sentence, alone) if alone <= budget else ("", 0)
    if used >= minimum:
        passages.append(current)
    return [
        replace(document, id=f"{document.id}#{i:04d}", text=text) for i, text in enumerate(passages)
    ]


def word_counts(texts: list[str]) -> list[int]:
    """For `cut`, where budgets are in words."""
    return [count_words(text) for text in texts]


def _sentences(text: str) -> Iterator[tuple[str, str]]:
    """(white space that joins it to the one before, sentence); a paragraph's first is joined by an
    empty line.
    """
    for paragraph in PARAGRAPH_END.split(text):
        joint = "\n\n"
        line = " ".join(paragraph.split())
        for start, end in _spans(line, 0, len(line)):
            yield joint, line[start:end]
            joint = " "


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Characters start … end − 1 of each sentence, white space around it left out; paragraphs end
    sentences.
    """
    start = 0
    for end in [*(match.end() for match in PARAGRAPH_END.finditer(text)), len(text)]:
        yield from _spans(text, start, end)
        start = end


def _spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in SENTENCE_END.finditer(text, start, end):
        if not ABBREVIATION.search(
            text[max(start, match.start() - LONGEST) : match.end()].rstrip()
        ):
            yield start, start + len(text[start : match.end()].rstrip())
            start = match.end()
    if text[start:end].strip():
        yield (
            start + len(text[start:end]) - len(text[start:end].lstrip()),
            start + len(text[start:end].rstrip()),
        )
