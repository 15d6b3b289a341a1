"""One page of a PDF as PDFium finds it: its text in reading order, and which of its words
a reader sees.

A word is seen where the drawn page is not of one colour: so white letters, covered, clipped and
tiny ones, layers that are switched off and text beside the page are all found in the same way. A
page whose text is all invisible is a scan with its recognised text behind it; that is read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import pypdfium2
import pypdfium2.raw as pdfium
import regex

SCALE = 2.0  # pixels a point
LARGEST_PX = 2_000  # of a drawn page's longer side
DRAWN_PX = 200_000_000  # of all pages, their pictures included: a hundred pages of A4 without any
SMALLEST = 1.0  # points: letters below are not seen, if only because one cannot read them
CONTRAST = 8  # of 255 levels of grey: what differs by no more is not seen (yellow on white is)
# how PDFium marks a hyphen at the end of a line, which it joins with the next one
HYPHENS = regex.compile("[\x02\ufffe]")
# points: how far apart two places are whose pixels show how the page lies in its picture
FAR = 10_000
UNNAMED = "\ufffd"  # a letter for which its font has no name
Box = tuple[float, float, float, float]  # left, bottom, right, top, in points of the page
INVISIBLE = pdfium.FPDF_TEXTRENDERMODE_INVISIBLE
REMARKS = {
    pdfium.FPDF_ANNOT_TEXT,
    pdfium.FPDF_ANNOT_HIGHLIGHT,
    pdfium.FPDF_ANNOT_UNDERLINE,
    pdfium.FPDF_ANNOT_STRIKEOUT,
    pdfium.FPDF_ANNOT_SQUIGGLY,
    pdfium.FPDF_ANNOT_CARET,
}
_WORD = regex.compile(r"\S*[\p{L}\p{N}]\S*")


@dataclass(frozen=True, slots=True)
class Page:
    """What one page holds.

    Attributes:
        text: the words that a reader sees, `UNNAMED` for each letter that its font does not name.
        hidden: the others.
        comments: remarks that open when a reader points at them.
        is_picture: it has no text, but something else.
    """

    text: str
    hidden: tuple[str, ...]
    comments: int
    is_picture: bool


class Ink:
    """How much is drawn: of pages beyond it every word counts as seen, or large pictures would take
    all the time there is.
    """

    def __init__(self) -> None:
        self._left_px = DRAWN_PX

    def allows(self, page: pypdfium2.PdfPage, scale: float) -> bool:
        """Whether a page is drawn; where it is, what it takes is gone."""
        pictures = (
            image.get_px_size() for image in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE])
        )
        self._left_px -= round(scale**2 * page.get_width() * page.get_height()) + sum(
            width * height for width, height in pictures
        )
        return self._left_px >= 0


def read_page(document: pypdfium2.PdfDocument, index: int, ink: Ink) -> Page:
    """A page's text and what it has besides; form fields and remarks written on the page are part
    of its text.
    """
    page = document[index]
    comments = _comments(page)
    pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY)
    page.close()
    page = document[index]  # what was made part of it is found by reading it again
    textpage = page.get_textpage()
    text = _letters(textpage)
    hidden = _hidden(page, textpage, text, ink)
    seen = HYPHENS.sub("-\n", _without(text, hidden).replace("\r\n", "\n"))
    is_picture = not text.strip() and pdfium.FPDFPage_CountObjects(page.raw) > 0
    words = tuple(text[start:end] for start, end in hidden)
    textpage.close()
    page.close()
    return Page(seen, words, comments, is_picture)


def _comments(page: pypdfium2.PdfPage) -> int:
    comments = 0
    for i in range(pdfium.FPDFPage_GetAnnotCount(page.raw)):
        remark = pdfium.FPDFPage_GetAnnot(page.raw, i)
        if remark:
            comments += pdfium.FPDFAnnot_GetSubtype(remark) in REMARKS and bool(
                pdfium.FPDFAnnot_HasKey(remark, b"Contents")
            )
            pdfium.FPDFPage_CloseAnnot(remark)
    return comments


def _letters(textpage: pypdfium2.PdfTextPage) -> str:
    """One character for each of PDFium's, so that places in the text are places on the page."""
    raw, places = textpage.raw, range(textpage.count_chars())
    text = textpage.get_text_range()
    if len(text) != len(places):  # what is no character of its own is left out there
        text = "".join(chr(min(pdfium.FPDFText_GetUnicode(raw, i), 0x10FFFF)) for i in places)
    has_no_name = pdfium.FPDFText_HasUnicodeMapError
    unnamed = {i for i in places if has_no_name(raw, i) == 1 and not text[i].isspace()}
    return (
        "".join(UNNAMED if i in unnamed else letter for i, letter in enumerate(text))
        if unnamed
        else text
    )


def _hidden(
    page: pypdfium2.PdfPage, textpage: pypdfium2.PdfTextPage, text: str, ink: Ink
) -> list[tuple[int, int]]:
    """(start, end) of each word that a reader does not see."""
    scale = min(SCALE, LARGEST_PX / max(*page.get_size(), 1))
    if not text.strip() or _is_behind_a_scan(page) or not ink.allows(page, scale):
        return []
    drawn = _Drawn.of(page, scale)
    words = [match.span() for match in _WORD.finditer(text) if UNNAMED not in match[0]]
    unseen = [
        (start, end)
        for start, end in words
        if not drawn.shows(*(textpage.get_charbox(i) for i in (start, end - 1)))
    ]
    return [(start, end) for start, end in unseen if _has_shapes(textpage, text, start, end)]


def _is_behind_a_scan(page: pypdfium2.PdfPage) -> bool:
    texts = page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT])
    return all(pdfium.FPDFTextObj_GetTextRenderMode(text.raw) == INVISIBLE for text in texts)


def _has_shapes(textpage: pypdfium2.PdfTextPage, text: str, start: int, end: int) -> bool:
    """Whether letters can be drawn here at all: those of a font outside the file are only where
    they are Latin.
    """
    if text[start:end].isascii():
        return True
    text_object = pdfium.FPDFText_GetTextObject(textpage.raw, start)
    font = text_object and pdfium.FPDFTextObj_GetFont(text_object)
    return bool(font) and pdfium.FPDFFont_GetIsEmbedded(font) == 1


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    return "".join([*kept, text[at:]])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A page as a picture, a byte of grey a pixel.

    Attributes:
        across, down: what x, y and 1 of the page are multiplied with, to give a pixel's column and
            row.
    """

    grey: bytes
    width: int
    height: int
    stride: int
    across: tuple[float, float, float]
    down: tuple[float, float, float]

    @classmethod
    def of(cls, page: pypdfium2.PdfPage, scale: float) -> _Drawn:
        picture = page.render(scale=scale, grayscale=True)

        def pixel(x: float, y: float) -> tuple[int, int]:
            column, row = ctypes.c_int(), ctypes.c_int()
            pdfium.FPDF_PageToDevice(
                page.raw, 0, 0, picture.width, picture.height, 0, x, y, column, row
            )
            return column.value, row.value

        origin, right, up = pixel(0, 0), pixel(FAR, 0), pixel(0, FAR)
        across = ((right[0] - origin[0]) / FAR, (up[0] - origin[0]) / FAR, float(origin[0]))
        down = ((right[1] - origin[1]) / FAR, (up[1] - origin[1]) / FAR, float(origin[1]))
        return cls(
            bytes(picture.buffer), picture.width, picture.height, picture.stride, across, down
        )

    def shows(self, first: Box, last: Box) -> bool:
        """Whether a word from the first letter to the last one, which may stand left of it or
        above, has more than one colour.
        """
        if max(max(box[2] - box[0], box[3] - box[1]) for box in (first, last)) < SMALLEST:
            return False
        columns = _span(first + last, self.across, self.width)
        rows = _span(first + last, self.down, self.height)
        if not columns or not rows:
            return False
        shade = self.grey[rows[0] * self.stride + columns[0]]
        alike = bytes(range(max(shade - CONTRAST, 0), min(shade + CONTRAST, 255) + 1))
        starts = (y * self.stride + columns[0] for y in rows)
        return any(self.grey[at : at + len(columns)].strip(alike) for at in starts)


def _span(corners: Sequence[float], along: tuple[float, float, float], end: int) -> range:
    """The pixels below `end` between the outermost of the corners, x and y in turn."""
    places = [
        along[0] * x + along[1] * y + along[2]
        for x, y in zip(corners[::2], corners[1::2], strict=True)
    ]
    return range(max(int(min(places)), 0), min(int(max(places)) + 1, end))
