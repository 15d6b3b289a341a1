"""What page templates are filled in with."""

from __future__ import annotations

import pytest

from staged.pages.rendering import LONGEST, is_web_address, unbroken


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("mini-s", '<span class="name">mini-s</span>'),
        (
            "on mini-xl, top-k-40:",
            'on <span class="name">mini-xl</span>, <span class="name">top-k-40</span>:',
        ),
        ("a - b, -1 to 2–3", "a - b, -1 to 2–3"),
        ("<a-b>", '&lt;<span class="name">a-b</span>&gt;'),
        ("Qwen2.5-0.5B@x", '<span class="name">Qwen2.5-0.5B@x</span>'),
        ("", ""),
    ],
)
def test_names_hold_together(text: str, html: str) -> None:
    assert str(unbroken(text)) == html


def test_a_name_that_no_phone_has_room_for_may_break() -> None:
    name = "-".join(["long"] * LONGEST)
    assert str(unbroken(name)) == name


@pytest.mark.parametrize(
    ("url", "is_link"),
    [
        ("https://example.org/a", True),
        ("http://example.org", True),
        ("HTTPS://example.org", True),
        ("javascript:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("https:example.org", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_which_addresses_become_links(url: str, is_link: bool) -> None:
    assert is_web_address(url) is is_link
