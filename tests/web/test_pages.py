"""What the page says in words and draws, against closed forms."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.detectors.contract import HUMAN_LIKE, VERDICTS, Segment, TokenRank, Verdict
from staged.web.drawing import score_picture
from staged.web.examination import Examination, examine_text
from staged.web.highlights import bucket_of, legend, percent, pieces
from staged.web.limits import Limits
from staged.web.pages import (
    describe,
    found,
    kinds,
    line_in_words,
    page,
    parts,
    rate_in_words,
)
from tests.web.fake import HUMAN_TEXT, FakeExaminer

VERDICT = Verdict("a", 0.3, 0.01, HUMAN_LIKE, "fake", "why", 0.01, 240, 999, (), "text")


def test_rate_in_words() -> None:
    """p = (1 + 9) / 1000: nine of 999 texts score as high; Wilson's interval for 9 of 999 is 0.0047
    to 0.0170.
    """
    assert (
        rate_in_words(VERDICT)
        == "Of 1,000 human texts this long, about 10 would score as high or higher (95% interval 5"
        " to 17, from 999 human texts)."
    )


def test_rate_where_no_text_scored_as_high() -> None:
    said = rate_in_words(replace(VERDICT, p_value=1 / 200, n_human=199))
    assert (
        said == "None of the 199 human texts this long that it was compared with scores as high; of"
        " 1,000, about 5 or fewer would (95% interval 0 to 19)."
    )


def test_rate_without_calibration() -> None:
    assert "No error rate can be given" in rate_in_words(replace(VERDICT, p_value=None, n_human=0))


@pytest.mark.parametrize(
    ("fpr", "count"), [(0.01, "10"), (0.001, "1"), (0.0005, "0.5"), (0.05, "50")]
)
def test_line_in_words(fpr: float, count: str) -> None:
    assert f"at most {count} of 1,000 human texts" in line_in_words(replace(VERDICT, fpr=fpr))


@pytest.mark.parametrize(
    ("rank", "bucket"),
    [(None, None), (1, 0), (10, 0), (11, 1), (100, 1), (101, 2), (1000, 2), (1001, 3)],
)
def test_buckets_are_gltrs(rank: int | None, bucket: int | None) -> None:
    assert bucket_of(rank) == bucket


@pytest.mark.parametrize(
    ("share", "said"),
    [(1, "100%"), (0.123, "12%"), (0.034, "3.4%"), (0.0005, "0.05%"), (1e-6, "< 0.01%")],
)
def test_percent(share: float, said: str) -> None:
    assert percent(share) == said


@given(
    st.text(max_size=60),
    st.lists(
        st.tuples(
            st.integers(0, 60), st.integers(0, 12), st.one_of(st.none(), st.integers(1, 9999))
        )
    ),
)
def test_pieces_put_together_are_the_text(
    text: str, spans: list[tuple[int, int, int | None]]
) -> None:
    """Whatever the tokens: overlapping, empty, sharing a character."""
    places = sorted(
        ((min(a, len(text)), min(a + length, len(text)), rank) for a, length, rank in spans),
        key=lambda place: place[:2],
    )
    tokens = [TokenRank(start, end, rank, rank and 0.1, ()) for start, end, rank in places]
    drawn = "".join(piece.text for piece in pieces(text, tokens))
    assert drawn == text[: max((token.end for token in tokens), default=0)]


def test_pieces_keep_the_space_outside_the_colour() -> None:
    tokens = [
        TokenRank(0, 3, None, None, ()),
        TokenRank(3, 7, 2000, 0.001, (("the", 0.5),)),
    ]
    drawn = list(pieces("One two", tokens))
    assert [(piece.text, piece.bucket) for piece in drawn] == [
        ("One", None),
        (" ", None),
        ("two", 3),
    ]
    assert drawn[2].title == "rank 2,000 · probability 0.10%\nlikeliest: “the” 50%"


def test_legend_counts_tokens_with_a_rank() -> None:
    tokens = [TokenRank(0, 1, rank, 0.1, ()) for rank in (1, 5, 50, 5000)] + [
        TokenRank(0, 1, None, None, ())
    ]
    assert [(count, share) for _, _, count, share in legend(tokens)] == [
        (2, "50%"),
        (1, "25%"),
        (0, "0%"),
        (1, "25%"),
    ]


def test_parts_of_overlapping_windows_show_each_character_once() -> None:
    windows = [
        Segment(0, 8, 1.0, 0.5, VERDICTS[0]),
        Segment(4, 12, 1.0, 0.5, VERDICTS[1]),
        Segment(5, 11, 1.0, 0.5, VERDICTS[1]),
    ]
    shown = list(parts("One two thre", windows))
    assert "".join(part["text"] + part["space"] for part in shown).strip() == "One two thre"
    assert kinds(windows) == [("machine", "machine", 1), ("human", "human-like", 2)]


def rectangles(picture: str, name: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(tall))
        for x, tall in re.findall(rf'class="{name}" x="([\d.]+)".*?height="([\d.]+)"', picture)
    ]


def test_picture_draws_both_sides_and_the_score() -> None:
    human, machine = [0.0] * 50 + [1.0] * 25, [2.0] * 10
    picture = score_picture(1.5, human, machine, line=1.2, describe="A & B", width=680)
    low, high = rectangles(picture, "human")
    assert low[0] < high[0] < rectangles(picture, "machine")[0][0]
    assert low[1] == pytest.approx(2 * high[1], abs=0.1)
    line, here = (
        float(re.search(rf'class="{name}" x1="([\d.]+)"', picture).group(1))
        for name in ("threshold", "here")
    )  # type: ignore[union-attr]
    assert high[0] < line < here
    assert 'aria-label="A &amp; B"' in picture


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.floats(-1e6, 1e6), max_size=20),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    st.one_of(st.none(), st.floats(-1e6, 1e6)),
)
def test_picture_of_anything_stays_inside(
    score: float, human: list[float], machine: list[float], line: float | None
) -> None:
    picture = score_picture(score, human, machine, line=line, describe="", width=330)
    assert "nan" not in picture
    assert all(0 <= float(x) <= 330 for x in re.findall(r' x[12]?="([-\d.]+)"', picture))


def test_describe() -> None:
    assert (
        describe(1.0, [0.0, 2.0], [0.0] * 3 + [5.0])
        == "This text scores 1.00: higher than 50% of 2 human texts and than 75% of 4 machine texts"
        " of like length."
    )


@pytest.mark.parametrize(("human", "machine"), [([], []), ([0.5], []), ([], [0.5])])
def test_page_without_calibration(human: list[float], machine: list[float]) -> None:
    seen = examine_text(FakeExaminer(), HUMAN_TEXT, lambda: None)
    bare = Examination(
        replace(seen.verdict, p_value=None, n_human=0), [], [], human, machine, seen.counts
    )
    shown = page(root="", limits=Limits(), text=HUMAN_TEXT, found=found(bare, Limits()))
    assert "<svg" not in shown
    assert "No error rate can be given" in shown
    assert "Word by word" not in shown
    assert "Part by part" not in shown


@pytest.mark.parametrize("words", [500, 600])
def test_page_says_how_much_was_read(words: int) -> None:
    seen = examine_text(FakeExaminer(), "milk and water " * (words // 3), lambda: None)
    shown = page(root="", limits=Limits(), found=found(seen, Limits(tokens_shown=100)))
    assert ("It rests on the text's first 510 of 600 tokens" in shown) == (words == 600)
    assert f"The first 100 of {seen.verdict.words} tokens." in shown


def test_page_of_a_text_without_a_score() -> None:
    seen = examine_text(FakeExaminer(), "\u200b", lambda: None)
    assert seen.verdict.score is None
    assert "Not enough evidence" in page(root="", limits=Limits(), found=found(seen, Limits()))
