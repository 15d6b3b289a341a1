"""A story's pieces, and how they become paragraphs: of fields the results alone, paragraphs joined
where their mark is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Mark(Enum):
    """What stands between texts: the characters of a field, and the ends of a paragraph."""

    BEGIN = "begin"
    CHOICE = "choice"  # a drop-down list begins: what it shows is before it, and its result is none
    SEPARATE = "separate"
    END = "end"
    PARAGRAPH = "paragraph"


@dataclass(frozen=True)
class Box:
    """Paragraphs of a text box, which stand beside the paragraph that holds it."""

    paragraphs: list[str] = field(default_factory=list)


Piece = str | Mark | Box


def paragraphs(pieces: Sequence[Piece]) -> Iterator[str]:
    """The paragraphs that are not blank; behind each the text boxes that it holds."""
    line, boxes = list[str](), list[str]()
    for piece in (*_shown(pieces), Mark.PARAGRAPH):
        if isinstance(piece, Box):
            boxes += piece.paragraphs
        elif isinstance(piece, str):
            line.append(piece)
        elif piece is Mark.PARAGRAPH:
            if (text := "".join(line)).strip():
                yield text
            yield from boxes
            line, boxes = [], []


def _shown(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The pieces without what stands between a field's beginning and its result, or its end where
    it has none.
    """
    depth, steps = 0, _steps(pieces)
    for place, piece in enumerate(pieces):
        depth += steps.get(place, 0)
        if depth == 0:
            yield piece


def _steps(pieces: Sequence[Piece]) -> dict[int, int]:
    """Where an instruction begins (+1) and ends (-1). A mark without its partner is no field's, as
    when part of it was deleted.
    """
    steps, open_fields = dict[int, int](), list[list[int]]()
    for place, piece in enumerate(pieces):
        if piece in (Mark.BEGIN, Mark.CHOICE):
            open_fields.append([place])
        elif piece is Mark.SEPARATE and open_fields and pieces[open_fields[-1][0]] is Mark.BEGIN:
            open_fields[-1].append(place)
        elif piece is Mark.END and open_fields:
            begin, until = (*open_fields.pop(), place)[:2]
            steps[begin], steps[until] = 1, steps.get(until, 0) - 1
    return steps
