"""Files of strangers: Word and PDF are read in a process of their own, and what is hostile or hopeless gets one sentence."""

from __future__ import annotations

import asyncio
import io
import zipfile

import docx
import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from staged.errors import ServeError
from staged.web import extract
from staged.web.limits import RefusedError
from staged.web.upload import Opener, kind_of, plain_text


def word_file() -> bytes:
    document = docx.Document()
    document.add_heading("On harbours")
    document.add_paragraph("The river crosses the garden: a café, 🙂.")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "left", "right"
    document.add_paragraph("Last.")
    return saved(document)


def saved(document: docx.document.Document) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def pdf_file(*, text: str = "The river crosses the garden.", password: str = "", pages: int = 1) -> bytes:
    writer = PdfWriter()
    font = DictionaryObject({NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1")})
    font[NameObject("/BaseFont")] = NameObject("/Helvetica")
    for _ in range(pages):
        page = writer.add_blank_page(300, 200)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(content)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def text_of(name: str, data: bytes) -> str:
    return asyncio.run(Opener().text_of(name, data))


def test_word_is_read_in_order() -> None:
    assert (
        text_of("Essay.DOCX", word_file()) == "On harbours\n\nThe river crosses the garden: a café, 🙂.\n\nleft\n\nright\n\nLast."
    )


def test_pdf_is_read() -> None:
    assert text_of("essay.pdf", pdf_file(pages=2)) == "The river crosses the garden.\n\nThe river crosses the garden."


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
        ("essay.doc", b"\xd0\xcf\x11\xe0"),
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


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("word/document.xml", "word/more.xml"):
            archive.writestr(name, b"\0" * (40 * 2**20))
    assert len(buffer.getvalue()) < 100_000
    return buffer.getvalue()


def entity_bomb() -> bytes:
    """A Word file whose main part is a billion laughs."""
    entities = '<!ENTITY a0 "lol">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    source, target = zipfile.ZipFile(io.BytesIO(word_file())), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            if name == "word/document.xml":
                head, body = data.split(b"?>", 1)
                data = head + f"?><!DOCTYPE w [{entities}]>".encode() + body.replace(b"Last.", b"&a9;")
            archive.writestr(name, data)
    return target.getvalue()


def archive_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


def test_hostile_files_get_one_sentence() -> None:
    """All in one test, as each takes a process."""
    hostile = {
        "unpacks to more than 64 MiB": ("a.docx", zip_bomb()),
        "not a Word file": ("a.docx", archive_of("archive/data.pkl")),
        "This Word file is damaged": ("a.docx", word_file()[:2000]),
        "Word file is damaged": ("laughs.docx", entity_bomb()),  # libxml2 stops at the amplification
        "locked with a password": ("a.pdf", pdf_file(password="secret")),
        "probably a scan": ("a.pdf", pdf_file(text="")),
        "PDF is damaged": ("a.pdf", b"%PDF-1.7 and nothing more"),
    }

    async def open_all() -> list[object]:
        opener = Opener()
        return await asyncio.gather(*(opener.text_of(*file) for file in hostile.values()), return_exceptions=True)

    for sentence, refusal in zip(hostile, asyncio.run(open_all()), strict=True):
        assert isinstance(refusal, RefusedError), (sentence, refusal)
        assert sentence in str(refusal)
        assert refusal.status == 422


def test_too_many_pages() -> None:
    with pytest.raises(ServeError, match=r"501 pages; at most 500"):
        extract.pdf_text(pdf_file(text="", pages=501))


def test_a_file_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staged.web.upload.OPENING_S", 0.01)
    with pytest.raises(RefusedError, match="takes too long to open"):
        text_of("essay.pdf", pdf_file())
