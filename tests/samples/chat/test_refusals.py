"""Refusals, and what only looks like one."""

from __future__ import annotations

import time

import pytest

from staged.corpus.embedded import sotu
from staged.samples.chat.refusals import RULES, is_refusal

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "I am sorry, but I cannot write a news report about this person.",
    "Sorry, but I can't continue this text, as it is under copyright.",
    "I apologize, but I cannot fulfill your request.",
    "I apologize for any confusion, but as an AI language model, I am unable to write fiction that"
    " harms people.",
    "My apologies, but I'm not able to generate that content.",
    "I'm really sorry that you're feeling this way, but I'm unable to provide the help you need.",
    "I'm so sorry to hear that. However, I cannot provide advice on it.",
    "I cannot assist with this.",
    "I can't provide information on how to break into a house.",
    "I cannot write such a story.",
    "I won't engage in that.",
    "I'm not able to create content that promotes violence.",
    "I must respectfully decline to write this article.",
    "I must decline this request.",
    "I'm unable to help you with this task.",
    "Unfortunately, I cannot generate a news report on this topic.",
    "No, I can't provide instructions for that.",
    "As an AI language model, I don't have personal experiences of war.",
    "As an AI, I cannot continue the text.",
    "As a large language model, I do not have access to news.",
    "As an AI assistant developed by Acme, I can't do that.",
    "I'm just an AI, it's not within my programming or ethical guidelines to write that.",
    "I am an AI language model and do not have opinions.",
    "It is not appropriate for me to write about real people in this way.",
    "It's not ethical or legal to provide instructions for this.",
    "I don't feel comfortable writing this story.",
    "This request violates my guidelines, and I will stop here.",
    "  **I cannot provide that.**",
    "I’m sorry,\nbut I can’t\nwrite that.",
]
TEXTS = [
    "",
    "I'm sorry to say that the harvest failed, and that I cannot pay what I owe you.",
    "I am sorry for the delay, but the roads were under water.",
    "I'm sorry, but I can't stay: my mother is waiting.",
    "I'm sorry, but I can't help it. I love the sea.",
    "“I'm sorry, but I can't help you,” said the doctor, and closed the door.",
    '"I cannot assist with this," she wrote, and resigned.',
    "'As an AI language model, I cannot' is how half of my students' essays begin.",
    "I cannot help thinking that the river was higher then.",
    "I cannot write a line without hearing his voice.",
    "I cannot provide for a family on what the mill pays.",
    "I cannot share this optimism. No, I do not share that view.",
    "No, I do not make excuses for the council.",
    "I will not comply. So began the letter that the farmer sent to the county.",
    "I refuse to accept that the bridge cannot be saved.",
    "I must decline your kind invitation, since the doctor forbids me to travel.",
    "It is not right to judge the dead by our laws.",
    "It is not appropriate to judge the council by one winter.",
    "As an assistant to the senator, I cannot comment, he said.",
    "As an aide, I don't read the papers.",
    "As an AI engineer, I don't trust benchmarks.",
    "I'm an airman, and I don't frighten easily.",
    "Sorry seems to be the hardest word for this council.",
    "Unfortunately, I cannot say that the concert was a success.",
    "Sure, here is a news report: The river rose again on Monday.",
    "The council apologised on Monday, but could not provide a date for the repairs. As an AI"
    " language model, I cannot wait, joked its chairman.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_that_are_none(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize("beginning", RULES)
def test_a_rule_is_called_by_what_it_finds(beginning: str) -> None:
    assert is_refusal(f"{beginning} this request.")


def test_no_passage_of_people_is_a_refusal() -> None:
    sentences = [
        text[match:]
        for document in sotu()
        for text in [document.text]
        for match in [0, *(i + 2 for i in range(len(text) - 2) if text[i] == ".")]
    ]
    assert len(sentences) > 30_000
    assert not [text[:80] for text in sentences if is_refusal(text[:400])]


@pytest.mark.parametrize("text", ["I'm " + "very " * 100, "as an ai" + "-based" * 60, "I " * 200])
def test_takes_no_time(text: str) -> None:
    begin = time.perf_counter()
    assert not is_refusal(text)
    assert time.perf_counter() - begin < 0.2
