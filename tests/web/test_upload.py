"""Files of strangers: names and contents must agree, and what cannot be opened is refused in one
sentence.
"""

from __future__ import annotations

import asyncio
import threading

import pytest

from staged.files.extracted import Extract
from staged.web.limits import RefusedError
from staged.web.upload import Opener, kind_of, plain_text
from tests.files.test_extract import pdf_file, word_file


def text_of(name: str, data: bytes) -> str:
    return asyncio.run(Opener().open(name, data)).text


def test_word_and_pdf_are_read() -> None:
    assert text_of("Essay.DOCX", word_file()).startswith(
        "On harbours\n\nThe river crosses the garden: a café, 🙂."
    )
    assert text_of("essay.pdf", pdf_file()) == "The river crosses the garden."


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("naïve\n".encode(), "naïve\n"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("wide 🙂".encode("utf-16"), "wide 🙂"),
        (b"", ""),
    ],
)
def test_plain_text(data: bytes, expected: str) -> None:
    assert plain_text(data) == expected


@pytest.mark.parametrize("data", [b"caf\xe9", b"\xff\xfe\x00\xd8", b"nul\0nul"])
def test_plain_text_that_is_none(data: bytes) -> None:
    with pytest.raises(RefusedError) as refusal:
        plain_text(data)
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.pt", b"PK\x03\x04"),
        ("essay.doc", b"words"),
        ("essay.bin", b"\xd0\xcf\x11\xe0"),
        ("essay.txt", b"%PDF-1.7"),
        ("essay.txt", b"PK\x03\x04"),
        ("essay.pdf", b"PK\x03\x04"),
        ("essay.docx", b"words"),
        ("essay.html", b"<p>words"),
    ],
)
def test_name_and_content_must_agree(name: str, data: bytes) -> None:
    with pytest.raises(RefusedError, match=r"choose a \.txt, \.md, \.docx or \.pdf") as refusal:
        kind_of(name, data)
    assert refusal.value.status == 415


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("essay.doc", b"\xd0\xcf\x11\xe0", "This is an old Office file"),
        (
            "essay.docx",
            b"{\\rtf1 words}",
            "This is a rich-text file (.rtf); save it as .docx, or save its text as .txt.",
        ),
        (
            "essay.rtf",
            b"{\\rtf1 words}",
            "This is a rich-text file (.rtf); save it as .docx, or save its text as .txt.",
        ),
        ("essay.docx", b"<html>words", "This is a web page (.html), not a Word file"),
    ],
)
def test_files_that_are_called_words_are_named(name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        text_of(name, data)
    assert refusal.value.status == 422
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize("name", ["a.docm", "a.dotx", "a.dotm"])
def test_templates_and_macro_files_are_opened(name: str) -> None:
    assert kind_of(name, word_file()) == "docx"


def test_what_cannot_be_opened_is_refused() -> None:
    with pytest.raises(
        RefusedError,
        match=r"^This PDF is locked with a password; remove it, or save its text as \.txt\.$",
    ) as refusal:
        text_of("a.pdf", pdf_file(password="secret"))
    assert refusal.value.status == 422


def test_two_are_opened_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where whoever sent them has gone: a thread that opens a file is not interrupted."""
    release, at_work = threading.Event(), []

    def slow(kind: str, data: bytes) -> Extract:
        at_work.append(kind)
        release.wait()
        return Extract("")

    monkeypatch.setattr("staged.files.extract.opened", slow)

    async def three() -> int:
        opener = Opener()
        tasks = [asyncio.create_task(opener.open("a.pdf", b"%PDF-")) for _ in range(3)]
        await asyncio.sleep(0.1)
        for one in tasks[:2]:
            one.cancel()
        await asyncio.sleep(0.1)
        begun = len(at_work)
        release.set()
        await tasks[2]
        return begun

    assert asyncio.run(three()) == 2
