"""Openings and tasks: what models are given, and what is left of both classes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from staged.errors import PlanError
from staged.records import HUMAN, Document
from staged.studies.detection.plan import StudySettings
from staged.studies.generators.prompts import ChatSettings, Prompts, after_opening
from staged.studies.texts import cut_to_words, parted

SERVED = "openai:org/chatty@http://127.0.0.1:9/v1"
PLAIN = StudySettings(models=("mini-s",), lengths=(64,))


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("The boat  came\n\nin late.", 3, ("The boat  came", "in late.")),
        ("  The boat", 1, ("The", "boat")),
        ("one two", 5, ("one two", "")),
        ("one two", 0, ("", "one two")),
    ],
)
def test_parted(text: str, words: int, expected: tuple[str, str]) -> None:
    assert parted(text, words) == expected


def test_cut_to_words_keeps_what_stands_between_them() -> None:
    text = Document("1", "One\n\n two three  four", HUMAN, "s")
    assert cut_to_words([text], 3)[0].text == "One\n\n two three"
    assert cut_to_words([text], 9)[0].text == text.text


def test_an_opening_is_cut_off_only_where_it_stands_first() -> None:
    assert after_opening(" The boat came in.", "The boat") == "came in."
    assert after_opening("Once the boat", "The boat") == "Once the boat"
    assert after_opening("The old man sat", "The old\nman") == "sat"
    assert after_opening("In thermal tests", "In the") == "In thermal tests"
    assert after_opening("  and left", "") == "and left"


def test_tasks_are_taken_in_turn() -> None:
    prompts = Prompts(2, ("Continue: {opening}", "Report on {opening}, briefly."), "Be brief.")
    assert prompts.of(["a b", "c d", "{opening}"]) == (
        "Continue: a b",
        "Report on c d, briefly.",
        "Continue: {opening}",
    )


def test_who_is_given_what() -> None:
    assert PLAIN.openings(PLAIN.models) == 0
    assert PLAIN.prompts_for("mini-s", 0) is None
    served = replace(PLAIN, models=("mini-s", SERVED))
    assert served.openings(served.models) == 8
    assert served.openings(("mini-s",)) == 0  # the server's texts are there already
    assert served.prompts_for("mini-s", 8) == Prompts(8)
    with pytest.raises(PlanError, match="chatty is behind a server, which takes no empty prompt"):
        served.prompts_for(SERVED, 0)
    chat = ChatSettings(("Write a speech.",), models=("chatty",))
    mixed = replace(served, chat=chat)
    assert mixed.prompts_for(SERVED, 0) == Prompts(0, ("Write a speech.",), "")
    assert mixed.prompts_for("mini-s", 8) == Prompts(8)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"opening_words": -1}, "opening_words must be at least 0"),
        (
            {"chat": {"tasks": ("Begin: {opening}",)}, "opening_words": 0},
            "say by opening_words how many words",
        ),
        ({"chat": {"tasks": ("Begin: {openning}",)}}, r"\{openning\} is no placeholder"),
        ({"chat": {"tasks": ("Write.",), "models": ("mini-x",)}}, "unknown 'mini-x'.*mini-s"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict[str, object], sentence: str) -> None:
    def changed() -> StudySettings:
        chat = changes.get("chat")
        made = {"chat": ChatSettings(**chat)} if isinstance(chat, dict) else {}
        return replace(PLAIN, **(changes | made))  # type: ignore[arg-type]

    with pytest.raises(PlanError, match=sentence):
        changed()


def test_no_task_is_said() -> None:
    with pytest.raises(PlanError, match="at least one task"):
        ChatSettings(())


def test_new_keys_are_left_out_of_what_plans_recorded_before() -> None:
    later = {"tokenizer", "opening_words", "samples", "chat", "attacks"}
    assert not later & set(PLAIN.recorded())
    assert replace(PLAIN, opening_words=4).recorded()["opening_words"] == 4
