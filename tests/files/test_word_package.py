"""Word files as programs pack them are opened; what is only called so is said to be what it is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from staged.errors import CorpusError
from staged.files import word
from staged.files.extract import kind_of
from staged.files.texts import read_text
from staged.files.word import package
from tests.files.word_made import (
    HEAD,
    LINKS,
    OFFICE,
    PICTURE,
    RELATIONS,
    STRICT,
    TYPES,
    VANISH,
    W,
    hidden_by,
    made,
    p,
    part,
    r,
    run,
    style,
)

BODY = p(r("Harbour"))
ROOT = "_rels/.rels"


def link_to(target: str, kind: str = "officeDocument", more: str = "") -> str:
    relation = f'<Relationship Id="x" Type="{RELATIONS}/{kind}" Target="{target}"{more}/>'
    return f'{HEAD}<Relationships xmlns="{LINKS}">{relation}</Relationships>'


def renamed(data: bytes, names: dict[str, str]) -> bytes:
    """The same archive with other names of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            member = zipfile.ZipInfo(
                names.get(name, name)
            )  # as no writer would, it may be there already
            new.NameToInfo.pop(member.filename, None)
            new.writestr(member, old.read(name))
    return buffer.getvalue()


def streamed(data: bytes) -> bytes:
    """The same archive with sizes behind the data, as a program writes that cannot seek."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

    buffer = Pipe()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            with new.open(name, "w", force_zip64=True) as member:
                member.write(old.read(name))
    return buffer.getvalue()


def strict() -> bytes:
    """In the namespaces of ISO 29500 strict, its relations among them."""
    data = made(
        p(r("Harbour"), r("no", '<w:rStyle w:val="H"/>')),
        **hidden_by(style("character", "H", VANISH)),
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            text = old.read(name).decode().replace(W, STRICT)
            new.writestr(
                name,
                text.replace(RELATIONS, "http://purl.oclc.org/ooxml/officeDocument/relationships"),
            )
    return buffer.getvalue()


MAIN = "word/document.xml"
WIDE = part("document", f"<w:body>{BODY}</w:body>").replace("UTF-8", "UTF-16")
OPENED = {
    "Word Online's": made(BODY, main="word/document2.xml"),
    "in another folder": made(BODY, main="Content/Text/main.xml"),
    "with an absolute target": made(BODY, parts={ROOT: link_to("/word/document.xml")}),
    "with a way around": made(BODY, parts={ROOT: link_to("./word/../word/document.xml")}),
    "with back slashes": made(BODY, parts={ROOT: link_to("word\\document.xml")}),
    "with an escaped target": made(BODY, parts={ROOT: link_to("word/%64ocument.xml")}),
    "packed with back slashes": renamed(
        made(BODY), {MAIN: "word\\document.xml", ROOT: "_rels\\.rels"}
    ),
    "in other case": renamed(
        made(BODY), {MAIN: "Word/Document.XML", "[Content_Types].xml": "[content_types].xml"}
    ),
    "without relations": made(BODY, parts={ROOT: ""}),
    "without relations, named by its type": made(BODY, main="text/main.xml", parts={ROOT: ""}),
    "without types": made(BODY, parts={"[Content_Types].xml": ""}),
    "with a dangling main relation": made(BODY, parts={ROOT: link_to("word/none.xml")}),
    "with dangling relations": made(
        BODY,
        links="".join(
            f'<Relationship Id="{x}" Type="{RELATIONS}/{x}" Target="{x}.xml"/>'
            for x in ("styles", "footnotes")
        ),
    ),
    "with a relation without a target": made(
        BODY, links=f'<Relationship Id="s" Type="{RELATIONS}/styles"/>'
    ),
    "with styles elsewhere": made(
        BODY,
        links=(
            f'<Relationship Id="s" Type="{RELATIONS}/styles" Target="http://other.example/"'
            ' TargetMode="External"/>'
        ),
    ),
    "strict": strict(),
    "in UTF-16": made(parts={MAIN: WIDE.encode("utf-16")}),
    "with a mark": made(
        parts={MAIN: b"\xef\xbb\xbf" + part("document", f"<w:body>{BODY}</w:body>").encode()}
    ),
    "a template": made(BODY, kind=f"{OFFICE}.template.main+xml"),
    "a macro file": made(BODY, kind="application/vnd.ms-word.document.macroEnabled.main+xml"),
    "a macro template": made(
        BODY,
        kind="application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
        parts={ROOT: ""},
    ),
    "streamed": streamed(made(BODY)),
    "with its other document": made(
        BODY, parts={"word/glossary/document.xml": part("glossaryDocument", p(r("no")))}
    ),
    "with large pictures": made(
        BODY, parts={"word/media/image1.png": b"\0" * (package.UNPACKED_BYTES + 1)}
    ),
    "with a picture that is there twice": made(
        BODY, parts={"word/media/a.png": b"a", "word/media/A.png": b"b"}
    ),
}


@pytest.mark.parametrize("name", OPENED)
def test_opened_however_it_is_packed(name: str) -> None:
    assert word.read(OPENED[name]).text == "Harbour"


def test_macros_are_named() -> None:
    link = (
        '<Relationship Id="m"'
        ' Type="http://schemas.microsoft.com/office/2006/relationships/vbaProject"'
        ' Target="vbaProject.bin"/>'
    )
    assert word.read(made(BODY, links=link, parts={"word/vbaProject.bin": b"x"})).left_out == (
        "macros",
    )


def test_a_file_without_text_says_what_it_holds() -> None:
    body = p(run('<w:pict><v:shape><v:imagedata r:id="a"/></v:shape></w:pict>')) * 3
    with pytest.raises(
        CorpusError,
        match=r"^this Word file holds no text to read, only 3 pictures; save its text as \.txt$",
    ):
        word.read(made(body))
    assert word.read(made(p())).text == ""


def archive(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for name, data in members.items():
            new.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return buffer.getvalue()


def compound(*streams: str) -> bytes:
    """The beginning of a compound file and its directory: 128 bytes an entry, names in UTF-16,
    their length in bytes at 64.
    """
    entries = b""
    for stream in ("Root Entry", *streams):
        wide = (stream + "\0").encode("utf-16-le")
        entries += wide.ljust(64, b"\0") + len(wide).to_bytes(2, "little") + b"\0" * 62
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(512, b"\0") + entries


def locked_archive() -> bytes:
    """The flag that a member is encrypted, in its own head and in the directory."""
    data = bytearray(made(BODY))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


def held_twice() -> bytes:
    other = {"word/Document.xml": part("document", f"<w:body>{p(r('other'))}</w:body>")}
    return renamed(made(BODY, parts=other), {"word/Document.xml": MAIN})


def office(kind: str, folder: str) -> bytes:
    parts = {
        ROOT: link_to(f"{folder}/main.xml"),
        f"{folder}/main.xml": f"{HEAD}<{kind}/>",
        MAIN: "",
    }
    return made(
        parts=parts
        | {
            "word/_rels/document.xml.rels": "",
            "[Content_Types].xml": f'{HEAD}<Types xmlns="{TYPES}"/>',
        }
    )


REFUSED = {
    "locked with a password": [compound("EncryptionInfo", "EncryptedPackage"), locked_archive()],
    "is an old Word file (.doc); save it as .docx": [compound("1Table", "WordDocument")],
    "is an old Excel file": [compound("Workbook"), compound("Book")],
    "is an old PowerPoint file": [compound("PowerPoint Document")],
    "is a message of Outlook": [compound("__properties_version1.0")],
    "is an old Office file, damaged or of another program": [
        compound(),
        compound() + "about WordDocument streams".encode("utf-16-le"),
        b"\xd0\xcf\x11\xe0",
    ],
    "is a rich-text file (.rtf); save it as .docx": [rb"{\rtf1\ansi Harbour}"],
    "is an OpenDocument text (.odt); save it as .docx": [
        archive(mimetype="application/vnd.oasis.opendocument.text", content_dot_xml="<a/>")
    ],
    "is an OpenDocument spreadsheet": [
        archive(mimetype="application/vnd.oasis.opendocument.spreadsheet")
    ],
    "is an e-book (.epub)": [
        archive(mimetype="application/epub+zip"),
        archive(**{"META-INF/container.xml": "<a/>"}),
    ],
    "is a file of Apple's Pages": [
        archive(**{"Index/Document.iwa": "x"}),
        archive(**{"Index.zip": "x"}),
    ],
    "is an Excel file (.xlsx)": [office("workbook", "xl")],
    "is a PowerPoint file (.pptx)": [office("presentation", "ppt")],
    "is an archive, but not a Word file": [archive(**{"data.pkl": "x"}), archive()],
    "is a web page (.html)": [b"<!DOCTYPE html>\n<html><p>Harbour</p></html>", b"\n<HTML>"],
    "is a web page in one file": [b"MIME-Version: 1.0\nContent-Type: multipart/related"],
    "is a Word file as one XML file;": [
        b'<?xml version="1.0"?><p xmlns="http://schemas.microsoft.com/office/2006/xmlPackage"/>'
    ],
    "is a Word file as one XML file of 2003": [
        b'<?xml version="1.0"?><p xmlns="http://schemas.microsoft.com/office/word/2003/wordml"/>'
    ],
    "is not a Word file, whatever it is called": [
        b"\0" * 2_000,
        b"\x05Anna".ljust(162, b"\0"),
        b"<?xml version='1.0'?><a/>",
    ],
    "holds word/document.xml twice": [held_twice()],
    "its main part is missing": [made(parts={MAIN: ""}, styles="")],
    "unpacks to more than 64 MiB": [made(parts={MAIN: b" " * (package.UNPACKED_BYTES + 1)})],
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_one_true_sentence(sentence: str) -> None:
    for data in REFUSED[sentence]:
        assert kind_of("essay.docx", data) == "docx"
        with pytest.raises(CorpusError) as refusal:
            word.read(data)
        assert sentence in str(refusal.value)


@pytest.mark.parametrize("name", ["a.docx", "a.DOCM", "a.dotx", "a.dotm", "a.doc", "a"])
def test_word_files_are_known_by_their_bytes(name: str) -> None:
    assert kind_of(name, made(BODY)) == "docx"


@pytest.mark.parametrize("name", ["page.txt", "page.html", "essay"])
def test_markup_is_text_unless_it_is_called_a_word_file(name: str) -> None:
    assert kind_of(name, b"<!doctype html><html>") == "txt"
    assert kind_of("essay.doc", b"<!doctype html><html>") == "docx"
    assert kind_of("essay.doc", "words".encode("utf-16")) == "txt"


def test_nothing_is_fetched_or_expanded() -> None:
    """A document type, which no Office file has, would let a part name files of this machine."""
    inside = f'{HEAD}<!DOCTYPE w [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
    xml = part("document", f"<w:body>{p(run('<w:t>&e;</w:t>'))}</w:body>").replace(HEAD, inside)
    with pytest.raises(ValueError, match="document type"):
        word.read(made(parts={MAIN: xml}))


def test_what_is_left_out_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "essay.docm"
    path.write_bytes(made(p(r("Harbour "), r("far away", VANISH), run(PICTURE)), styles=""))
    assert read_text(path) == "Harbour "
    assert [record.message for record in caplog.records] == [
        f"{path}: not read: 2 hidden words, 1 picture"
    ]
