"""PDFs made by hand: each page a content stream, each construct as little as shows it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

HELVETICA = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
LEADING = 14


def raw_pdf(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Numbered objects, the first of them the catalogue, as a whole file."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return bytes(
        out
        + b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, trailer, start)
    )


def stream(data: bytes, head: bytes = b"") -> bytes:
    packed = zlib.compress(data)
    return b"<<%s/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (head, len(packed), packed)


def pdf_of(
    *contents: bytes,
    fonts: Sequence[bytes] = (HELVETICA,),
    more: Sequence[bytes] = (),
    catalog: bytes = b"",
    page: bytes = b"",
    only_first: bool = False,
    properties: bytes = b"",
) -> bytes:
    """A page of 400 × 600 points for each content stream; fonts are called /F0, /F1, …

    Args:
        more: further objects; the first one has the number 3.
        catalog, page: further entries of the catalogue, and of every page or of the first one.
        properties: names of layers.
    """
    first_font = 3 + len(more)
    first_page = first_font + len(fonts)
    kids = b" ".join(b"%d 0 R" % (first_page + 2 * i) for i in range(len(contents)))
    names = b"".join(b"/F%d %d 0 R" % (i, first_font + i) for i in range(len(fonts)))
    resources = b"/Resources<</Font<<%s>>/ExtGState<</Clear<</ca 0>>>>/Properties<<%s>>>>" % (
        names,
        properties,
    )
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog,
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(contents), kids),
    ]
    objects += [*more, *fonts]
    for i, content in enumerate(contents):
        at = b"/Contents %d 0 R" % (first_page + 2 * i + 1)
        more_of_it = page if i == 0 or not only_first else b""
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 600]%s%s%s>>" % (resources, at, more_of_it)
        )
        objects.append(stream(content))
    return raw_pdf(objects)


def lines(*texts: str, x: int = 40, y: int = 550, font: int = 0, before: str = "") -> bytes:
    """Lines one under the other, in 12 points; `before` holds operators that come first."""
    shown = "".join(f"({escaped(one)}) Tj 0 -{LEADING} Td " for one in texts)
    return f"{before} BT /F{font} 12 Tf {x} {y} Td {shown}ET\n".encode("cp1252")


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def text_pdf(*pages: str) -> bytes:
    """Every page's lines in Helvetica."""
    return pdf_of(*(lines(*page.split("\n")) for page in pages))


def unicode_map(pairs: dict[int, str], *, digits: int = 2) -> bytes:
    """A ToUnicode stream, character code → text."""
    rows = "\n".join(
        f"<{code:0{digits}x}> <{text.encode('utf-16-be').hex()}>" for code, text in pairs.items()
    )
    head = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def /CMapType 2"
        " def\n"
    )
    head += (
        f"1 begincodespacerange <{'00' * (digits // 2)}> <{'ff' * (digits // 2)}>"
        " endcodespacerange\n"
    )
    return stream(f"{head}{len(pairs)} beginbfchar\n{rows}\nendbfchar endcmap end end".encode())
