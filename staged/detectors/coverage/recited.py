"""Texts that the model which reads knows by heart, though no list names them.

Measures  its mean surprise a token. Text that a model samples keeps about the surprise of the
          distribution that it was drawn from; only what was learned word for word has next to none.
Fails     on text that a model wrote by taking the likeliest word each time, where that does not
          repeat itself: it is spared, too.
Cost      one more forward pass, over texts alone that would be called machine-written.
Source    Carlini et al. 2021, Extracting Training Data from Large Language Models: likelihood as a
          sign of memorisation.
"""

from __future__ import annotations

from staged.detectors.contract import ReadsWithModel
from staged.detectors.kinds.evidence import one_line
from staged.model.reading.token_statistics import token_statistics

LEAST_NATS = 1.8  # a token; docs/coverage.md has what known texts and generated ones have
REASON = (
    "The model that reads this text knows it nearly word for word, so that it is no surprise says"
    " nothing of who wrote it."
)


def is_recited(detector: ReadsWithModel, text: str) -> bool:
    """Whether a normalised text surprises its model as little as what that learned by heart."""
    ids = detector.scorer.tokenizer.encode(one_line(text))[: detector.most_tokens]
    (statistics,) = token_statistics(detector.scorer, [ids])
    return len(statistics.logprob) > 0 and -float(statistics.logprob.mean()) < LEAST_NATS
