"""Evidence of marks: which pairs count, exact p-values, many candidates, texts as they arrive."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats

from staged.errors import PlanError
from staged.model.bpe import BPE
from staged.watermarks import evidence
from staged.watermarks.contract import MISSING, Watermark
from staged.watermarks.evidence import MIN_TOKENS, Candidate, pairs, read_pairs
from staged.watermarks.kinds.kgw import KGW
from staged.watermarks.kinds.sbw import SBW
from tests.conftest import prose
from tests.watermarks.marked import marked
from tests.watermarks.plain import Exponential, Listed
from tests.watermarks.rings import marked_text

EVEN = np.full((200, 16), 1 / 16)  # 2.8 nats a token


def naive_pairs(tokens: list[int], watermark: Watermark) -> dict[tuple[int, ...], int]:
    """Token by token, as the contract words it."""
    kept: dict[tuple[int, ...], int] = {}
    for at, token in enumerate(tokens):
        if at < watermark.width and not watermark.takes_short_contexts:
            continue
        before = [MISSING] * watermark.width + tokens[:at]
        kept.setdefault(tuple(before[-watermark.width :]), token)
    return kept


@pytest.mark.parametrize("watermark", [Exponential(1), Exponential(1, width=2), Listed(1)])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 300])
def test_each_context_counts_once_where_it_first_stands(watermark: Watermark, length: int) -> None:
    stream = random.Random(length)
    tokens = [stream.randrange(5) for _ in range(length)]  # nearly every context comes again
    contexts, following = pairs(tokens, watermark)
    expected = naive_pairs(tokens, watermark)
    assert [tuple(row) for row in contexts.tolist()] == list(expected)
    assert following.tolist() == list(expected.values())
    assert contexts.dtype == following.dtype == torch.int64


@pytest.mark.parametrize("watermark", [SBW(3), KGW(3, 400, seeding="selfhash")])
def test_a_value_that_contexts_share_counts_once(watermark: SBW | KGW) -> None:
    """Self-hash takes the least of a few products, which is often the same again."""
    stream = random.Random(2)
    tokens = [stream.randrange(1, 40) for _ in range(400)]
    contexts, following = pairs(tokens, watermark)
    drawn = watermark.draws(contexts, following)
    assert len(drawn.unique()) == len(following) < 0.9 * len(naive_pairs(tokens, watermark))


def test_self_hash_has_uniform_p_values_over_keys() -> None:
    """They are not where a shared value counts as often as its contexts."""
    stream, chance = random.Random(2), np.random.default_rng(1)
    tokens = [stream.randrange(1, 60) for _ in range(300)]
    p_values = [randomised(SBW(key), tokens, chance) for key in range(1_000, 2_000)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def randomised(watermark: Watermark, tokens: list[int], chance: np.random.Generator) -> float:
    """A p-value that is uniform, too, where values come in steps."""
    values = watermark.values(*pairs(tokens, watermark))
    total, count = float(values.sum()), len(values)
    above = watermark.p_value(total + 1, count)
    return above + (watermark.p_value(total, count) - above) * float(chance.random())


def test_too_few_tokens_say_nothing() -> None:
    watermark = Exponential(7)
    tokens = marked(watermark, EVEN, 1)
    short = evidence.test_tokens(tokens[: MIN_TOKENS - 1], watermark, key="k", tokenizer="t")
    assert (short.enough, short.p_value, short.tokens) == (False, 1.0, MIN_TOKENS - 1)
    enough = evidence.test_tokens(tokens[:MIN_TOKENS], watermark, key="k", tokenizer="t")
    assert enough.enough
    assert enough.p_value < 1e-6
    assert (enough.scheme, enough.key, enough.tokenizer) == ("gumbel", "k", "t")


def test_repetition_is_no_evidence() -> None:
    """What comes again and again counts once: a detector that counted all would be sure."""
    watermark = Exponential(3)
    line = next(
        line
        for line in ([i + 30 * j for i in range(12)] for j in range(100))
        if (watermark.values(*pairs(line, watermark)).sum() > 18)
    )
    test = evidence.test_tokens(line * 40, watermark)
    assert not test.enough
    assert watermark.p_value(40 * test.score, 480) < 1e-6


def test_a_marked_text_is_found_under_its_own_key_alone() -> None:
    watermark = Exponential(11)
    tokens = marked(watermark, EVEN, 5)
    assert evidence.test_tokens(tokens, watermark).p_value < 1e-40
    others = [evidence.test_tokens(tokens, Exponential(key)).p_value for key in range(200, 600)]
    assert stats.kstest(others, "uniform").pvalue > 0.01


def test_under_the_null_p_values_are_uniform_over_keys() -> None:
    """On one text, of which many pairs share contexts and tokens, for keys drawn at random."""
    stream = random.Random(0)
    tokens = [stream.randrange(40) for _ in range(300)]
    p_values = [
        evidence.test_tokens(tokens, Exponential(key, width=2)).p_value for key in range(2_000)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_a_text_that_lost_its_first_blank_loses_no_evidence(bpe: BPE) -> None:
    watermark = Exponential(5)
    text = marked_text(bpe, watermark, 1, MIN_TOKENS + 5)
    assert text.startswith(" ")
    copied = read_pairs(text[1:], watermark, bpe)
    whole = read_pairs(text, watermark, bpe)
    has = {tuple(gram) for gram in copied.grams.tolist()}
    lost = [gram for gram in whole.grams.tolist() if tuple(gram) not in has]
    assert len(lost) <= 1  # the first token: one context of nothing at all stands for both readings
    assert len(copied.grams) - len(whole.grams) <= 2 * watermark.width
    assert len({tuple(gram[:-1]) for gram in copied.grams.tolist()}) == len(copied.grams)


def test_each_pair_knows_its_characters(bpe: BPE) -> None:
    for text in (prose(3, 8), prose(4, 8)[1:], "ü" + prose(5, 8)):
        read = read_pairs(text, Exponential(1), bpe)
        assert (np.diff(read.starts) >= 0).all()
        for gram, start, end in zip(read.grams, read.starts, read.ends, strict=True):
            assert bpe.decode([int(gram[-1])]).strip() in (text[start:end].strip(), "\ufffd")


def test_what_a_tokenizer_puts_before_a_text_is_left_out(bpe: BPE) -> None:
    class Marked:
        """The same tokenizer, which begins each text with token 7."""

        before: ClassVar = [7]

        def encode_spans(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
            return [([7, *ids], [(0, 0), *spans]) for ids, spans in bpe.encode_spans(texts)]

    text = prose(9, 10)
    plain = read_pairs(text, Exponential(1), bpe)
    other = read_pairs(text, Exponential(1), Marked())  # type: ignore[arg-type]
    assert np.array_equal(plain.grams, other.grams)
    assert np.array_equal(plain.ends, other.ends)


def candidates(bpe: BPE, keys: range) -> list[Candidate]:
    return [Candidate(f"key-{key}", Exponential(key), bpe, "tiny") for key in keys]


def test_the_winning_candidate_is_named_with_its_corrected_p(bpe: BPE) -> None:
    text = marked_text(bpe, Exponential(14), 2, 150)
    alone = evidence.test_text(text, candidates(bpe, range(14, 15)))
    among = evidence.test_text(text, candidates(bpe, range(10, 20)))
    assert (alone.key, among.key, among.tokenizer) == ("key-14", "key-14", "tiny")
    assert among.p_value == pytest.approx(10 * alone.p_value)
    assert replace(among, p_value=alone.p_value) == alone


def test_many_keys_do_not_make_a_human_text_marked(bpe: BPE) -> None:
    """Of 150 texts each against 20 keys: the smallest corrected p keeps its rate."""
    tests = [evidence.test_text(prose(i, 12), candidates(bpe, range(20))) for i in range(150)]
    assert sum(test.p_value <= 0.1 for test in tests) <= 26  # mean 15; a chance of 0.003
    assert min(test.p_value for test in tests) > 1e-4


def test_candidates_without_enough_tokens_do_not_weaken_the_others(bpe: BPE) -> None:
    class Coarse:
        """A tokenizer for which a text is a handful of tokens."""

        before: ClassVar[list[int]] = []

        def encode_spans(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
            return [([1, 2, 3], [(0, 1), (1, 2), (2, 3)]) for _ in texts]

    text = marked_text(bpe, Exponential(14), 2, 150)
    coarse = Candidate("other", Exponential(9), Coarse(), "coarse")  # type: ignore[arg-type]
    own = candidates(bpe, range(14, 15))
    assert evidence.test_text(text, [coarse, *own]) == evidence.test_text(text, own)
    nothing = evidence.test_text(text, [coarse])
    assert not nothing.enough
    assert nothing.p_value == 1.0


def test_no_candidates_is_one_sentence() -> None:
    with pytest.raises(PlanError, match="no watermark to test for"):
        evidence.test_text("A text.", [])


@pytest.mark.parametrize("text", ["", " ", "a", "\n", "🎈"])
def test_hardly_a_text_is_not_enough(bpe: BPE, text: str) -> None:
    test = evidence.test_text(text, candidates(bpe, range(2)), passages=True)
    assert not test.enough
    assert test.p_value == 1.0
    assert test.passage is None


def test_time_grows_with_the_text_alone(bpe: BPE) -> None:
    def seconds(repeated: int) -> float:
        text = " ".join(prose(i, 40) for i in range(repeated))
        began = time.process_time()
        evidence.test_text(text, candidates(bpe, range(1)))
        return time.process_time() - began

    seconds(2)
    assert seconds(80) < 40 * max(seconds(8), 0.01)  # ten times the text
