"""Word and PDF files are read in a process of their own, and what is hostile or hopeless gets one
sentence.
"""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import docx
import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from staged.errors import CorpusError
from staged.files import extract, pdf
from staged.files.extract import kind_of, opened


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


def pdf_file(
    *, text: str = "The river crosses the garden.", password: str = "", pages: int = 1
) -> bytes:
    writer = PdfWriter()
    font = DictionaryObject(
        {NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1")}
    )
    font[NameObject("/BaseFont")] = NameObject("/Helvetica")
    for _ in range(pages):
        page = writer.add_blank_page(300, 200)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(content)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_word_is_read_in_order() -> None:
    assert (
        opened("docx", word_file()).text
        == "On harbours\n\nThe river crosses the garden: a café, 🙂.\n\nleft\n\nright\n\nLast."
    )


def test_pdf_is_read() -> None:
    assert (
        opened("pdf", pdf_file(pages=2)).text
        == "The river crosses the garden.\n\nThe river crosses the garden."
    )


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("essay.txt", b"PK\x03\x04", "docx"),
        ("essay", b"%PDF-1.7", "pdf"),
        ("essay.pdf", b"\n\n%PDF-1.7", "pdf"),
        ("essay.txt", b"A file that begins with %PDF-1.7 is a PDF.", "txt"),
        ("essay.docx", b"words", "txt"),
        ("essay.doc", b"\xd0\xcf\x11\xe0", "docx"),
        ("essay", b"{\\rtf1", "docx"),
        ("essay.txt", b"", "txt"),
    ],
)
def test_kinds(name: str, data: bytes, kind: str) -> None:
    assert kind_of(name, data) == kind


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * (80 * 2**20))
    assert len(buffer.getvalue()) < 100_000
    return buffer.getvalue()


def entity_bomb() -> bytes:
    """A Word file whose main part is a billion laughs."""
    entities = '<!ENTITY a0 "lol">' + "".join(
        f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10)
    )
    source, target = zipfile.ZipFile(io.BytesIO(word_file())), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            if name == "word/document.xml":
                head, body = data.split(b"?>", 1)
                data = (
                    head + f"?><!DOCTYPE w [{entities}]>".encode() + body.replace(b"Last.", b"&a9;")
                )
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
        "unpacks to more than 64 MiB": ("docx", zip_bomb()),
        "not a Word file": ("docx", archive_of("archive/data.pkl")),
        "this Word file is damaged": ("docx", word_file()[:2000]),
        "Word file is damaged": ("docx", entity_bomb()),  # libxml2 stops at the amplification
        "locked with a password": ("pdf", pdf_file(password="secret")),
        "probably a scan": ("pdf", pdf_file(text="")),
        "PDF is damaged": ("pdf", b"%PDF-1.7 and nothing more"),
    }

    def refusal(file: tuple[str, bytes]) -> str:
        with pytest.raises(CorpusError) as error:
            opened(*file)
        return str(error.value)

    with ThreadPoolExecutor(4) as pool:
        for sentence, said in zip(hostile, pool.map(refusal, hostile.values()), strict=True):
            assert sentence in said


def test_too_many_pages() -> None:
    with pytest.raises(CorpusError, match=r"501 pages; at most 500"):
        pdf.read(pdf_file(text="", pages=501))


def test_a_file_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "OPENING_S", 0.01)
    with pytest.raises(CorpusError, match="takes too long to open"):
        opened("pdf", pdf_file())
