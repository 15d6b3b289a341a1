"""Files that are opened as Word's: by which bytes and names they are known, and which of them other
programs wrote.
"""

from __future__ import annotations

import codecs
import re
from pathlib import PurePath

from staged.files.extracted import INSTEAD
from staged.files.word.package import Package

SUFFIXES = (".docx", ".docm", ".dotx", ".dotm")  # those that are read
# refused by what they are, unless they hold one that is read
OTHERS = (".doc", ".dot", ".rtf", ".odt", ".ott", ".pages")
ARCHIVE, COMPOUND, RICH = b"PK", b"\xd0\xcf\x11\xe0", b"{\\rtf"
ARCHIVES = tuple(ARCHIVE + more for more in (b"\x03\x04", b"\x05\x06", b"\x07\x08"))
MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # text in UTF-16, which has NUL bytes
MARKUP = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml|<!doctype|<html|<!--|mime-version:)", re.IGNORECASE
)
SAVE = f"save it as .docx, or {INSTEAD}"

COMPOUND_STREAMS = {
    "EncryptedPackage": f"this file is locked with a password; remove it, or {INSTEAD}",
    "WordDocument": f"this is an old Word file (.doc); {SAVE}",
    "Workbook": f"this is an old Excel file (.xls), not a Word file; {INSTEAD}",
    "Book": f"this is an old Excel file (.xls), not a Word file; {INSTEAD}",
    "PowerPoint Document": f"this is an old PowerPoint file (.ppt), not a Word file; {INSTEAD}",
    "__properties_version1.0": f"this is a message of Outlook (.msg), not a Word file; {INSTEAD}",
}
MIME = {
    "application/epub+zip": f"this is an e-book (.epub), not a Word file; {INSTEAD}",
    "application/vnd.oasis.opendocument.text": f"this is an OpenDocument text (.odt); {SAVE}",
    "application/vnd.oasis.opendocument.spreadsheet": (
        f"this is an OpenDocument spreadsheet (.ods), not a Word file; {INSTEAD}"
    ),
    "application/vnd.oasis.opendocument.presentation": (
        f"this is an OpenDocument presentation (.odp), not a Word file; {INSTEAD}"
    ),
    "application/vnd.oasis.opendocument": f"this is an OpenDocument file; {SAVE}",
}
MEMBERS = {
    "xl/": f"this is an Excel file (.xlsx), not a Word file; {INSTEAD}",
    "ppt/": f"this is a PowerPoint file (.pptx), not a Word file; {INSTEAD}",
    "visio/": f"this is a Visio file (.vsdx), not a Word file; {INSTEAD}",
    "index/document.iwa": (
        f"this is a file of Apple's Pages, Numbers or Keynote, not a Word file; {SAVE}"
    ),
    "index.zip": f"this is a file of Apple's Pages, Numbers or Keynote, not a Word file; {SAVE}",
    "fixeddocseq.fdseq": f"this is an XPS file, not a Word file; {INSTEAD}",
    "meta-inf/container.xml": MIME["application/epub+zip"],
}
MARKED = {
    b"schemas.microsoft.com/office/2006/xmlpackage": f"this is a Word file as one XML file; {SAVE}",
    b"schemas.microsoft.com/office/word/2003/wordml": (
        f"this is a Word file as one XML file of 2003; {SAVE}"
    ),
    b"<html": f"this is a web page (.html), not a Word file; {SAVE}",
    b"mime-version:": f"this is a web page in one file (.mht), not a Word file; {SAVE}",
}


def is_meant_for_word(file_name: str, data: bytes) -> bool:
    """Whether `read` is to open a file, or to say what it is: by its first bytes, or by its name
    where they are no plain text.
    """
    is_known = data.startswith((*ARCHIVES, COMPOUND, RICH))
    is_named = PurePath(file_name).suffix.lower() in SUFFIXES + OTHERS
    is_binary = b"\0" in data[:4096] and not data.startswith(MARKS)
    return is_known or (is_named and (is_binary or MARKUP.match(data) is not None))


def what_it_is(data: bytes) -> str:
    """One sentence about a file that is no archive."""
    if data.startswith(RICH):
        return f"this is a rich-text file (.rtf); {SAVE}"
    if data.startswith(COMPOUND):
        names = (
            sentence for stream, sentence in COMPOUND_STREAMS.items() if _entry(stream) in data
        )
        return next(
            names, f"this is an old Office file, damaged or of another program than Word; {SAVE}"
        )
    head = data[:4096].lower()
    return next(
        (sentence for mark, sentence in MARKED.items() if mark in head),
        f"this is not a Word file, whatever it is called; {INSTEAD}",
    )


def _entry(stream: str) -> bytes:
    """A stream's name in a compound file's directory: 64 bytes, then its length in bytes."""
    wide = stream.encode("utf-16-le")
    return wide.ljust(64, b"\0") + (len(wide) + 2).to_bytes(2, "little")


def what_archive_it_is(package: Package) -> str:
    """One sentence about an archive without a Word document in it."""
    mime_type = (
        package.read("mimetype")[:100].decode("ascii", "replace").strip()
        if "mimetype" in package
        else ""
    )
    sentences = [sentence for kind, sentence in MIME.items() if mime_type.startswith(kind)]
    sentences += [
        sentence
        for start, sentence in MEMBERS.items()
        if any(part.startswith(start) for part in package.names)
    ]
    return (
        sentences or [f"this is an archive, but not a Word file (.docx); {INSTEAD}, .docx or .pdf"]
    )[0]
