"""Is a text marked: one exact p-value for each key, scheme and tokenizer that may have marked it.

    text ─► pairs of a context and its token, by the candidate's tokenizer ─► values ─► their sum
         ─► p of that sum without the key ─► Holm over all candidates

A p-value is exact over keys: of a text that knows nothing of the key, a key drawn at random gives
p ≤ a with a chance of at most a. Over texts, under one key, the rate is the key's own
(`detectors.calibration.key_rates`).

A context counts once, where it first stands: a scheme marks it once only, and what comes again
would count the same chance twice; so would a draw that several contexts share (`Watermark.draws`).
Of a text without white space at its beginning nobody knows whether a blank stood there, which
copying takes away and which belongs to its first token. Both are read, and the pairs of either
count: what the readings share are the same contexts, so a handful of pairs are added, the sum of
values stays exact, and nothing is tested twice.

Axes: N pairs · W tokens of a context.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from staged.errors import PlanError
from staged.model.causal import TextTokenizer
from staged.stats.judging import holm
from staged.watermarks.contract import MISSING, Watermark
from staged.watermarks.scan import scan

__all__ = [
    "MIN_TOKENS",
    "Candidate",
    "MarkTest",
    "Passage",
    "pairs",
    "read_pairs",
    "test_text",
    "test_tokens",
    "tests_of",
]

# Below it a test that finds nothing says nothing, and what is found rests on a few phrases: of text
# that is marked throughout, at one nat a token, KGW and SBW find half at p ≤ 0.01 from about 35
# tokens on, Gumbel-max from 11 (`theory.tokens_needed`).
MIN_TOKENS = 25

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Tokens = Sequence[int] | Tensor | Ints  # ids, one after the other
Reading = tuple[Ints, Ints]  # (T,) token ids, and (T, 2) the characters of each


class Candidate(NamedTuple):
    """What may have marked a text.

    Attributes:
        key: the key's id.
        tokenizer: of the model that wrote, or may have written.
        model: whose tokenizer that is, for a person.
        warning: what has to be known of the key: that others had it, and since when.
    """

    key: str
    watermark: Watermark
    tokenizer: TextTokenizer
    model: str = ""
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """The part of a text in which evidence is densest: characters start … end − 1, and how many
    tokens of it were counted.
    """

    start: int
    end: int
    tokens: int


@dataclass(frozen=True, slots=True)
class MarkTest:
    """What the test for one candidate says of a text.

    Attributes:
        scheme, key, tokenizer: the candidate's; the tokenizer by its model's name.
        score: sum of the tokens' values.
        p_value: in (0, 1]: the chance of a score as high, or of so dense a passage, without the
            key; after Holm's correction over all that was tested. 1 where `enough` is false.
        tokens: that were counted, each distinct context once.
        enough: whether there are `MIN_TOKENS`; else nothing is said.
        passage: where the mark stands, where a part of the text is stronger evidence than all.
    """

    scheme: str
    key: str
    tokenizer: str
    score: float
    p_value: float
    tokens: int
    enough: bool
    passage: Passage | None = None


def test_tokens(
    tokens: Tokens,
    watermark: Watermark,
    *,
    key: str = "",  # noqa: PT028
    tokenizer: str = "",  # noqa: PT028
) -> MarkTest:
    """The test of token ids, as they were sampled or as a text gave them, without a correction.

    Args:
        tokens: as `pairs` takes them.
        key, tokenizer: what to call them.
    """
    values = np.asarray(watermark.values(*pairs(tokens, watermark)), dtype=np.float64)
    return _summed(values, watermark, key, tokenizer)


def _summed(values: Floats, watermark: Watermark, key: str, tokenizer: str) -> MarkTest:
    count, total = len(values), math.fsum(values)
    enough = count >= MIN_TOKENS
    p_value = watermark.p_value(total, count) if enough else 1.0
    return MarkTest(watermark.scheme, key, tokenizer, total, p_value, count, enough)


def test_text(
    text: str,
    candidates: Sequence[Candidate],
    *,
    passages: bool = False,  # noqa: PT028
) -> MarkTest:
    """The candidate with the strongest evidence, its p-value corrected for all that were tested.

    Args:
        text: whose characters are taken as they are: who hid something in them is answered before,
            by `detectors.normal.normalize`.
        candidates: at least one.
        passages: as `tests_of` takes it.

    Raises:
        PlanError: no candidates.
    """
    if not candidates:
        raise PlanError("no watermark to test for: give the key that may have marked the text")
    tests = tests_of(text, candidates, passages=passages)
    return min(tests, key=lambda test: (not test.enough, test.p_value, -test.tokens))


def tests_of(
    text: str,
    candidates: Sequence[Candidate],
    *,
    passages: bool = False,  # noqa: PT028
) -> list[MarkTest]:
    """The test of a text for each candidate, in their order, corrected for how many were tested.

    Whether a candidate has enough tokens does not depend on its key, so one that has not counts for
    nothing in the correction.

    Args:
        passages: test, beside the whole text, for a marked passage inside it; for each candidate
            that is one test more.
    """
    tokenizers = {id(candidate.tokenizer): candidate.tokenizer for candidate in candidates}
    readings = {name: _readings(text, tokenizer) for name, tokenizer in tokenizers.items()}
    tests = [
        _tests(readings[id(candidate.tokenizer)], candidate, passages) for candidate in candidates
    ]
    adjusted = iter(holm([test.p_value for several in tests for test in several if test.enough]))
    corrected = (
        [replace(test, p_value=next(adjusted)) if test.enough else test for test in several]
        for several in tests
    )
    return [min(several, key=lambda test: test.p_value) for several in corrected]


def _tests(readings: list[Reading], candidate: Candidate, passages: bool) -> list[MarkTest]:
    """The test of the whole text, and that of its densest passage where there is one."""
    key, watermark, model = candidate.key, candidate.watermark, candidate.model
    read = _pairs_of(readings, watermark)
    values = read.values(watermark)
    whole = _summed(values, watermark, key, model)
    densest = scan(values, watermark) if passages and whole.enough else None
    if densest is None:
        return [whole]
    passage = _passage(read, densest.first, densest.last)
    return [whole, replace(whole, p_value=densest.p_value, passage=passage)]


def _passage(read: Pairs, first: int, last: int) -> Passage:
    start, end = int(read.starts[first:last].min()), int(read.ends[first:last].max())
    return Passage(start, end, last - first)


@dataclass(frozen=True)
class Pairs:
    """Contexts, each once, and the tokens behind them, in the order of the text.

    Attributes:
        grams: (N, W + 1), a context and its token.
        starts, ends: (N,) characters of each token, the last one excluded.
    """

    grams: Ints
    starts: Ints
    ends: Ints

    def values(self, watermark: Watermark) -> Floats:
        """(N,) evidence of each pair."""
        return np.asarray(watermark.values(*_split(self.grams)), dtype=np.float64)


def pairs(tokens: Tokens, watermark: Watermark) -> tuple[Tensor, Tensor]:
    """(N, W) contexts and the (N,) tokens behind them, each distinct context where it first stands.

    Args:
        tokens: generated ones, or a text's; none of the prompt's, none that a tokenizer puts before
            a text. The first `width` count only where the scheme marks them.
    """
    grams = _grams(tokens, watermark)
    return _split(grams[_counted(grams, watermark)])


def read_pairs(text: str, watermark: Watermark, tokenizer: TextTokenizer) -> Pairs:
    """The pairs of a text, by both readings of its beginning."""
    return _pairs_of(_readings(text, tokenizer), watermark)


def _readings(text: str, tokenizer: TextTokenizer) -> list[Reading]:
    """A text as it is and, where none stands there, with a blank before it."""
    added = [0, 1] if text[:1].strip() else [0]
    before = len(tokenizer.before)
    return [
        (
            np.asarray(ids[before:], dtype=np.int64),
            np.maximum(np.asarray(spans[before:], dtype=np.int64).reshape(-1, 2) - blanks, 0),
        )
        for blanks in added
        for ids, spans in tokenizer.encode_spans([" " * blanks + text])
    ]


def _pairs_of(readings: list[Reading], watermark: Watermark) -> Pairs:
    grams = np.concatenate([_grams(tokens, watermark) for tokens, _ in readings])
    left_out = 0 if watermark.takes_short_contexts else watermark.width
    spans = np.concatenate([spans[left_out:] for _, spans in readings])
    places = _counted(grams, watermark)
    places = places[np.argsort(spans[places, 0], kind="stable")]
    return Pairs(grams[places], spans[places, 0], spans[places, 1])


def _grams(tokens: Tokens, watermark: Watermark) -> Ints:
    """(N, W + 1): every token behind its context, whether that comes again or not."""
    width = watermark.width
    if len(tokens) == 0:
        return np.empty((0, width + 1), dtype=np.int64)
    padded = np.concatenate([np.full(width, MISSING), np.asarray(tokens)]).astype(np.int64)
    grams = np.lib.stride_tricks.sliding_window_view(padded, width + 1)
    return grams if watermark.takes_short_contexts else grams[width:]


def _counted(grams: Ints, watermark: Watermark) -> Ints:
    """Where each distinct context first stands, ascending; of those that share a draw of the key,
    the first.
    """
    places = _firsts(grams[:, :-1])
    if len(places) == 0:
        return places
    draws = watermark.draws(*_split(grams[places])).numpy()
    return places[_firsts(draws[:, None])]


def _firsts(rows: Ints) -> Ints:
    """Where each distinct row first stands, ascending."""
    if len(rows) == 0:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.unique(rows, axis=0, return_index=True)[1])


def _split(grams: Ints) -> tuple[Tensor, Tensor]:
    both = torch.from_numpy(np.ascontiguousarray(grams))
    return both[:, :-1], both[:, -1]
