"""What a chat model writes: its answer, and the reasoning that may stand before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from staged.samples.chat.refusals import is_refusal

OPEN, CLOSE = "<think>", "</think>"


def answer_columns(text: str, system: str, *, opened: bool = False) -> dict[str, Any]:
    """Of a row, `text` and the columns that a chat has besides.

    Args:
        text: all that the model wrote.
        opened: as `answer_apart` takes it.
    """
    reasoning, answer = answer_apart(text, opened=opened)
    return {
        "text": answer,
        "system": system,
        "refused": is_refusal(answer),
        "reasoning": reasoning,
    }


def answer_apart(text: str, *, opened: bool = False) -> tuple[str, str]:
    """A model's reasoning and its answer, each without white space before it.

    CLOSE ends a reasoning that the model's first word or the prompt opened; elsewhere it is a part
    of the answer.

    Args:
        text: all that it wrote.
        opened: the prompt ends in OPEN, as some templates write it.
    """
    if not (opened or text.lstrip().startswith(OPEN)):
        return "", text.lstrip()
    before, _, after = text.partition(CLOSE)
    return before.lstrip().removeprefix(OPEN).lstrip(), after.lstrip()


class AnswerStream:
    """A model's text piece by piece in, its answer out as soon as it is certain.

    Args:
        write: takes pieces of the answer.
        opened: as `answer_apart` takes it.
    """

    def __init__(self, write: Callable[[str], None], *, opened: bool = False) -> None:
        self._write, self._opened = write, opened
        self._text, self._written = "", 0

    def feed(self, piece: str) -> None:
        """More text; what may still become OPEN is held back."""
        self._text += piece
        if not OPEN.startswith(self._text.lstrip()):
            self._give()

    def finish(self) -> None:
        """No more text comes."""
        self._give()

    def _give(self) -> None:
        answer = answer_apart(self._text, opened=self._opened)[1]
        self._write(answer[self._written :])
        self._written = len(answer)
