"""Human and machine texts of a fine-tuning study, in pairs of one length."""

from __future__ import annotations

from collections.abc import Sequence

from staged.model.causal import TextTokenizer
from staged.records import Document
from staged.studies.texts import cut_to

Pairs = tuple[list[Document], list[Document]]


def paired(
    human: Sequence[Document],
    machine: Sequence[Document],
    tokenizer: TextTokenizer,
    limits: Sequence[int] = (),
) -> Pairs:
    """Human and machine text i, both cut to the shorter one's tokens (and to limit i): no pair is
    told apart by its length.
    """
    sizes = [list(tokenizer.count([text.text for text in part])) for part in (human, machine)]
    both = zip(*sizes, *([limits] if limits else []), strict=True)
    lengths = [max(1, min(counts)) for counts in both]
    people, machines = (
        [cut_to([text], tokenizer, length)[0] for text, length in zip(part, lengths, strict=True)]
        for part in (human, machine)
    )
    return people, machines


def joined(several: Sequence[Pairs]) -> Pairs:
    """The pairs of several, one after the other."""
    people, machines = ([text for pairs in several for text in pairs[side]] for side in (0, 1))
    return people, machines
