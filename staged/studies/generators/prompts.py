"""What the models of a study are given to write from: nothing, the openings of human passages, or
tasks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from staged.errors import PlanError
from staged.samples.prompts import check_prompts
from staged.studies.texts import parted

OPENING = "{opening}"
PLACEHOLDER = re.compile(r"\{\w+\}")
# of human passages, where a plan leaves it out and a model needs one: behind a server, which takes
# no empty prompt, or for a task
OPENING_WORDS = 8


@dataclass(frozen=True)
class ChatSettings:
    """How instruct models are asked.

    Attributes:
        tasks: what they are asked for, in turn; `{opening}` in one stands for the first
            `opening_words` words of a human passage.
        system: the system's text in front of each; empty is none.
        models: which of the plan's models are asked so; by default all.
    """

    tasks: tuple[str, ...]
    system: str = ""
    models: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.tasks or not all(task.strip() for task in self.tasks):
            raise PlanError("study: chat.tasks must hold at least one task, and none that is empty")
        check_prompts((*self.tasks, self.system))
        for task in self.tasks:
            for placeholder in PLACEHOLDER.findall(task):
                if placeholder != OPENING:
                    raise PlanError(
                        f"study: chat.tasks: {placeholder} is no placeholder; {OPENING} is"
                    )

    @property
    def has_openings(self) -> bool:
        """Whether a task holds an opening."""
        return any(OPENING in task for task in self.tasks)


@dataclass(frozen=True)
class Prompts:
    """What a model writes from.

    Attributes:
        opening_words: of human passages; 0 is none.
        tasks, system: of an instruct model; None of one that continues what it is given.
    """

    opening_words: int
    tasks: tuple[str, ...] | None = None
    system: str | None = None

    def of(self, openings: Sequence[str]) -> tuple[str, ...]:
        """The prompt of each text, from its opening."""
        if self.tasks is None:
            return tuple(openings)
        tasks = [self.tasks[i % len(self.tasks)] for i in range(len(openings))]
        return tuple(
            task.replace(OPENING, opening) for task, opening in zip(tasks, openings, strict=True)
        )


def after_opening(text: str, opening: str) -> str:
    """What follows the opening in an answer that begins with its words, whatever white space stands
    between them; else the answer. White space before it is left out, as it is before a human
    passage's rest.
    """
    words = opening.split()
    beginning, rest = parted(text, len(words))
    return rest if words and beginning.split() == words else text.lstrip()
