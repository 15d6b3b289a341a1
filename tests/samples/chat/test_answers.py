"""Answers without the reasoning before them, as a whole and piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.samples.chat.answers import AnswerStream, answer_apart, answer_columns


@pytest.mark.parametrize(
    ("text", "opened", "reasoning", "answer"),
    [
        ("The river rose.", False, "", "The river rose."),
        (" \n The river rose. ", False, "", "The river rose. "),
        ("<think>\nA river?\n</think>\n\nIt rose.", False, "A river?\n", "It rose."),
        ("A river?</think>It rose.", True, "A river?", "It rose."),
        ("It is </think> that closes it.", False, "", "It is </think> that closes it."),
        ("<think>A?</think>It is </think>.", False, "A?", "It is </think>."),
        ("<think>A river, I", False, "A river, I", ""),
        ("A river, I", True, "A river, I", ""),
        ("<thin", False, "", "<thin"),
        ("", False, "", ""),
    ],
)
def test_answer_apart(text: str, opened: bool, reasoning: str, answer: str) -> None:
    assert answer_apart(text, opened=opened) == (reasoning, answer)
    row = answer_columns(text, "Be kind.", opened=opened)
    assert row == {
        "text": answer,
        "system": "Be kind.",
        "refused": False,
        "reasoning": reasoning,
    }


def test_refusals_are_told_by_the_answer_not_by_the_reasoning() -> None:
    refusal = "I'm sorry, but I can't help with that."
    assert answer_columns(f"<think>Hm.</think>{refusal}", "")["refused"]
    assert not answer_columns(f"<think>{refusal}</think>Well.", "")["refused"]


PIECES = st.lists(
    st.sampled_from(["<", "think", ">", "<think>", "</think>", "a", " ", "\n", "river", "🎈"])
)


@given(PIECES, st.booleans())
def test_pieces_are_the_answer(pieces: list[str], opened: bool) -> None:
    given_out: list[str] = []
    stream = AnswerStream(given_out.append, opened=opened)
    for piece in pieces:
        stream.feed(piece)
    stream.finish()
    assert "".join(given_out) == answer_apart("".join(pieces), opened=opened)[1]


def test_an_answer_is_not_held_back() -> None:
    given_out: list[str] = []
    stream = AnswerStream(given_out.append)
    for piece in ["<", "b", "> The"]:
        stream.feed(piece)
    assert given_out == ["<b", "> The"]
