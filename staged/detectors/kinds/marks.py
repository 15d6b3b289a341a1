"""A key's watermark as a detector: whether a text carries a mark that this key makes.

Measures  the evidence of the key's choices in a text's tokens, in every scheme and tokenizer that
          the key has marked with (`watermarks/evidence.py`).
Fails     on text that was not marked, whoever wrote it; that was rewritten, translated, or is
          short; that its model had hardly a choice in. A text without the mark is not thereby
          human.
Cost      no model: a tokenizer and a hash a token, about a millisecond for 1,000 tokens (KGW: about
          half a millisecond for each different token).
Source    of each scheme, its module in `staged/watermarks`; many candidates: Holm 1979.
Threshold none to fit: the score is −log10 of an exact p-value. What the rate is on one's own texts,
          `staged calibrate --watermark KEY` measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from staged.detectors.contract import Opinion, Scored
from staged.detectors.names import DetectorName
from staged.errors import CheckpointError
from staged.pages.figures import counted
from staged.storage.placeless import place_name
from staged.watermarks.candidates import candidates_of
from staged.watermarks.evidence import MIN_TOKENS, Candidate, MarkTest, test_text

TESTED = 1e-12  # the score of a test whose p-value is 1


class MarkDetector:
    """The test for one key's marks.

    Args:
        name: as `load_marks` takes it.
        candidates: what the key may have marked with, at least one.
    """

    def __init__(self, name: str, candidates: Sequence[Candidate]) -> None:
        self.name, self.candidates = name, tuple(candidates)

    def score(self, texts: Sequence[str]) -> list[float]:
        """−log10 of each text's p-value, above 0; 0 where there are too few tokens to test."""
        return [_score(test) for test in self.tests(texts)]

    def scored(self, texts: Sequence[str]) -> list[Scored]:
        """The same, with the mark that was looked for."""
        return [Scored(_score(test), (), (_opinion(test),)) for test in self.tests(texts)]

    def tests(self, texts: Sequence[str]) -> list[MarkTest]:
        """The strongest evidence in each text, corrected for how many candidates were tested."""
        return [test_text(text, self.candidates) for text in texts]


def _score(test: MarkTest) -> float:
    return max(-math.log10(test.p_value), TESTED) if test.enough else 0.0


def _opinion(test: MarkTest) -> Opinion:
    model = place_name(test.tokenizer) if test.tokenizer else "its model"
    of = f"the {test.scheme} mark of key {test.key} in tokens of {model}"
    if not test.enough:
        tokens = counted(test.tokens, "token")
        return Opinion(of, None, f"{tokens} of the {MIN_TOKENS} that a test needs")
    return Opinion(of, None, f"{counted(test.tokens, 'token')} counted, each context once")


def load_marks(name: DetectorName) -> MarkDetector:
    """A key's watermark as a detector, by name: `watermark@KEY`.

    Raises:
        CheckpointError: no key is named, or a tokenizer is not here.
        ProvenanceError: no such key, or it has marked nothing.
    """
    if len(name.models) != 1:
        raise CheckpointError(
            f"detector {name.given!r}: write watermark@KEY, with the id of one key that `staged"
            " keys list` shows"
        )
    return MarkDetector(name.full, candidates_of(name.models))
