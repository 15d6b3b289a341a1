"""What a reader of Word files or PDFs gives: the words that a person sees, and in words what it
left out.
"""

from __future__ import annotations

from dataclasses import dataclass

INSTEAD = "save its text as .txt"  # the advice of every reader that gives up


@dataclass(frozen=True)
class Extract:
    """A file's text.

    Attributes:
        text: what a person who opens the file reads, once and in reading order.
        left_out: what is in the file and not in `text`, each with its number: `2 pictures`, `31
            hidden words`.
    """

    text: str
    left_out: tuple[str, ...] = ()
