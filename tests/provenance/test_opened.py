"""Text of pages, as their readers see it."""

from __future__ import annotations

import pytest

from staged.provenance.opened import opened_places

SAID = "Grüße aus Köln – “ein Zitat”."
PAGE = "<html><head>{}</head><body><p>{}</p></body></html>"
UTF8, LATIN = '<meta charset="utf-8">', "<meta charset=iso-8859-15>"


def text_of(tmp_path, data: bytes) -> str:
    path = tmp_path / "a.html"
    path.write_bytes(data)
    [opened] = opened_places([str(path)])
    return opened.text


@pytest.mark.parametrize(
    "data",
    [
        PAGE.format("", SAID).encode(),
        PAGE.format(UTF8, SAID).encode(),
        b"\xef\xbb\xbf" + PAGE.format("", SAID).encode(),
        PAGE.format(
            '<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">', SAID
        ).encode("cp1252"),
        PAGE.format("", SAID.encode("ascii", "xmlcharrefreplace").decode()).encode(),
    ],
)
def test_a_page_is_read_in_its_encoding(tmp_path, data: bytes) -> None:
    assert text_of(tmp_path, data) == SAID


def test_a_page_that_is_no_utf_8_and_names_nothing(tmp_path) -> None:
    assert text_of(tmp_path, PAGE.format("", "Grüße").encode("latin-1")) == "Grüße"


@pytest.mark.parametrize("data", [b"", b" \n", b"<!-- nothing -->", b"<html></html>"])
def test_a_page_without_text(tmp_path, data: bytes) -> None:
    assert text_of(tmp_path, data) == ""


def test_what_nobody_reads_is_left_out(tmp_path) -> None:
    body = "One <b>word</b>.<script>x()</script><p>Two.<!-- three --> Four.<style>p{}</style>"
    assert text_of(tmp_path, f"<title>T</title><body>{body}".encode()) == "One word.\nTwo. Four."
