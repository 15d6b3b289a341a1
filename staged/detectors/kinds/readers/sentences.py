"""Where in a text the signs are: sentence by sentence, how much of it looks machine-written, and
which words weigh most.

Measures  of each sentence what the encoder says of its words when it reads the sentence between its
          neighbours; the share of the text's words that stand in sentences above `cut`, corrected
          for how often people's and machines' sentences lie there; the exact part of each word in
          the lexical reader's log-odds.
Fails     on single sentences, of which next to nothing can be said: the share is one of the whole
          text, with a wide interval; on texts that a person edited throughout.
Cost      the encoder reads each sentence about three times.
Source    correction: Rogan and Gladen 1978, "Estimating prevalence from the results of a screening
          test"; interval: bootstrap over sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import regex

from staged.corpus.passages import sentence_spans
from staged.detectors.kinds.readers.encoder import EncoderReader
from staged.detectors.kinds.readers.lexical import LexicalReader
from staged.detectors.kinds.readers.plain import plain

FEWEST_SENTENCES = 8  # of fewer, a share says nothing
WIDEST = 0.8  # interval of a share that says something
FEWEST_WORDS = 4  # of a sentence that counts
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
RESAMPLES, CONFIDENCE = 1000, 0.95
RARE = 6  # letters of a word that hardly stands further down by chance
LONGEST_CUT = 200  # characters that `plain` cuts out before a word

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: characters start … end − 1 of the normalised text, its words, and the encoder's
    log-odds of it.
    """

    start: int
    end: int
    words: int
    log_odds: float


@dataclass(frozen=True, slots=True)
class Mixing:
    """How sentences tell who wrote them.

    Attributes:
        cut: log-odds from which a sentence looks machine-written.
        of_people, of_machines: the share of words of each class's texts that stand in such
            sentences.
    """

    cut: float
    of_people: float
    of_machines: float


@dataclass(frozen=True, slots=True)
class Share:
    """The share of a text's words in sentences that a machine wrote, in [0, 1], with its 95%
    interval; of so many sentences.
    """

    share: float
    low: float
    high: float
    sentences: int


@dataclass(frozen=True, slots=True)
class WordWeight:
    """What one word adds to the lexical reader's log-odds: characters start … end − 1 of the
    normalised text.
    """

    start: int
    end: int
    log_odds: float


def sentences(encoder: EncoderReader, text: str) -> list[Sentence]:
    """A normalised text's sentences of `FEWEST_WORDS` words, each read between its neighbours."""
    spans = [(a, b, line) for a, b in sentence_spans(text) if (line := plain(text[a:b]))]
    lines = [line for _, _, line in spans]
    around = [" ".join(lines[max(i - 1, 0) : i + 2]) for i in range(len(lines))]
    read_sentences = []
    for i, ((a, b, line), odds) in enumerate(zip(spans, encoder.token_odds(around), strict=True)):
        start = len(lines[i - 1]) + 1 if i else 0
        end = start + len(line)
        own_odds = [value for first, last, value in odds if start <= first and last <= end]
        words = len(line.split())
        if own_odds and words >= FEWEST_WORDS:
            read_sentences.append(Sentence(a, b, words, float(np.mean(own_odds))))
    return read_sentences


def share_of(read_sentences: Sequence[Sentence], mixing: Mixing) -> Share | None:
    """How much of a text looks machine-written; None of too few sentences, or where they leave
    nearly everything possible.
    """
    if len(read_sentences) < FEWEST_SENTENCES:
        return None
    words = np.asarray([sentence.words for sentence in read_sentences], dtype=float)
    above = np.asarray(
        [sentence.log_odds >= mixing.cut for sentence in read_sentences], dtype=float
    )
    chosen = np.random.default_rng(0).integers(
        len(read_sentences), size=(RESAMPLES, len(read_sentences))
    )
    draws = _corrected((words * above)[chosen].sum(axis=1) / words[chosen].sum(axis=1), mixing)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if high - low > WIDEST:
        return None
    share = _corrected(np.asarray([(words * above).sum() / words.sum()]), mixing)
    return Share(float(share[0]), float(low), float(high), len(read_sentences))


def _corrected(above: Floats, mixing: Mixing) -> Floats:
    """The share of machine text that such a share of words in suspicious sentences means."""
    share: Floats = np.clip(
        (above - mixing.of_people) / (mixing.of_machines - mixing.of_people), 0, 1
    )
    return share


def fit_mixing(people: Sequence[Sentence], machines: Sequence[Sentence]) -> Mixing:
    """The cut that parts the sentences of two classes best, and the share of either above it."""
    scores = np.asarray([sentence.log_odds for sentence in (*people, *machines)])
    words = np.asarray([sentence.words for sentence in (*people, *machines)], dtype=float)
    machine = np.arange(len(scores)) >= len(people)
    order = np.argsort(-scores)
    of_machines = np.cumsum((words * machine)[order]) / words[machine].sum()
    of_people = np.cumsum((words * ~machine)[order]) / words[~machine].sum()
    best = int(np.argmax(of_machines - of_people))
    return Mixing(float(scores[order[best]]), float(of_people[best]), float(of_machines[best]))


def word_weights(lexical: LexicalReader, text: str) -> list[WordWeight]:
    """What each word of a normalised text adds to the lexical reader's log-odds of it, in reading
    order; signs count to the word after them, and those at the end to the last.
    """
    line = plain(text)
    added = np.append(0.0, np.cumsum(lexical.contributions(line)))
    spans = [word.span() for word in _WORD.finditer(line)]
    ends = [*(b for _, b in spans[:-1]), len(line)]
    weights, at, counted = [], 0, 0.0
    for (a, b), end in zip(spans, ends, strict=True):
        start = text.find(line[a:b], at, at + b - a + LONGEST_CUT)
        if start < 0 and b - a >= RARE:  # what was cut out before it is longer
            start = text.find(line[a:b], at)
        if start >= 0:
            at = start + b - a
            weights.append(WordWeight(start, at, float(added[end] - counted)))
        counted = float(added[end])
    return weights
