"""What trained readers are shown: words, without what tells a source from a writer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.detectors.kinds.readers.plain import plain


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Two\n\nparagraphs,\n  and   spaces.", "Two paragraphs, and spaces."),
        ("“It’s late,” she said — ‘too late’…", "\"It's late,\" she said - 'too late'..."),
        (
            "## A heading\n\n- **First**: one\n* _second_\n1. third\n> quoted",
            "A heading First: one second third quoted",
        ),
        (
            "He did n't say `` yes '' , but ( he ) nodded .",
            'He didn\'t say " yes ", but (he) nodded.',
        ),
        (
            "Sure! Here is a short essay about the harbour:\n\nThe harbour is old.",
            "The harbour is old.",
        ),
        (
            "Here are three paragraphs about ferries:\nFerries leave at seven.",
            "Ferries leave at seven.",
        ),
        ("As an AI language model, I cannot see the harbour.", "I cannot see the harbour."),
        ("---\nA rule above.\n***", "A rule above."),
        ("snake_case_name and 2 * 3 * 4 stay", "snake_case_name and 2 * 3 * 4 stay"),
        ("Here is where the ferry landed.", "Here is where the ferry landed."),
        ("a well-known twenty-year-old boat", "a well-known twenty-year-old boat"),
    ],
)
def test_by_hand(text: str, read: str) -> None:
    assert plain(text) == read


@given(st.text(st.sampled_from("ab .,-—*_#>'’\"\n1)(`"), max_size=40))
def test_one_line_without_space_around_it(text: str) -> None:
    read = plain(text)
    assert read == " ".join(read.split())
