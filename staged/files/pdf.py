"""PDFs: the words that a reader sees, page by page, as PDFium finds them.

pdf_layout   a page's text, and which of its words are seen where the page is drawn
legible     whether its letters make words, or the fonts name other ones than they show
pdf_lines   running headers and footers, and words cut at the ends of lines
"""

from __future__ import annotations

import pypdfium2
import pypdfium2.raw as pdfium

from staged.errors import CorpusError
from staged.files.extracted import INSTEAD, Extract
from staged.files.legible import UNNAMED, why_illegible
from staged.files.pdf_layout import Ink, Page, read_page
from staged.files.pdf_lines import whole_words, without_running_lines

PAGES = 500
ADOBE_ONLY = (
    "this PDF is a form that only Adobe's reader shows; print it there into another PDF, or"
    f" {INSTEAD}"
)


def read(data: bytes) -> Extract:
    """The text of a PDF without running headers, footers and page numbers; a word cut at the end of
    a line is made whole.

    Raises:
        CorpusError: locked, damaged, scanned, too many pages, or in fonts that do not say which
            letters they show.
    """
    document = _opened(data)
    if len(document) > PAGES:
        raise CorpusError(
            f"this PDF has {len(document):,} pages; at most {PAGES} are read; save the part in"
            " question as .txt"
        )
    ink = Ink()
    pages = [read_page(document, i, ink) for i in range(len(document))]
    if not any(page.text.strip() for page in pages):
        raise CorpusError(
            "this PDF holds no text: it is probably a scan; run text recognition on it, or"
            f" {INSTEAD}"
        )
    legible = _legible_pages(pages)
    texts, running = without_running_lines([page.text for page in legible])
    text = whole_words(texts)
    illegible = len(pages) - len(legible)
    left_out = _left_out(document, pages, text, illegible=illegible, running=running)
    return Extract(UNNAMED.sub("", text), left_out)


def _left_out(
    document: pypdfium2.PdfDocument, pages: list[Page], text: str, *, illegible: int, running: int
) -> tuple[str, ...]:
    """What is not in the text, in words: how many of what.

    Args:
        illegible: pages in letters that are no words.
        running: lines at the heads and feet of pages.
    """
    counts = {
        ("page in letters that are no words", "pages in letters that are no words"): illegible,
        ("page without text, such as a picture", "pages without text, such as pictures"): sum(
            page.is_picture for page in pages
        ),
        ("running header or footer", "running headers, footers and page numbers"): running,
        ("hidden word", "hidden words"): sum(len(page.hidden) for page in pages),
        ("sign that its font does not name", "signs that their fonts do not name"): len(
            UNNAMED.findall(text)
        ),
        ("comment", "comments"): sum(page.comments for page in pages),
        ("attached file", "attached files"): document.count_attachments(),
    }
    return tuple(
        f"{count:,} {singular if count == 1 else plural}"
        for (singular, plural), count in counts.items()
        if count
    )


def _opened(data: bytes) -> pypdfium2.PdfDocument:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise CorpusError(
                f"this PDF is locked with a password; remove it, or {INSTEAD}"
            ) from None
        raise
    if document.get_formtype() == pdfium.FORMTYPE_XFA_FULL:
        raise CorpusError(ADOBE_ONLY)
    document.init_forms()  # draws the fields that were filled in
    return document


def _legible_pages(pages: list[Page]) -> list[Page]:
    """The pages whose letters can be read.

    Raises:
        CorpusError: none can, or all together cannot, though each is too short to say so.
    """
    legible = [page for page in pages if not why_illegible(page.text)]
    if why := why_illegible("\n".join(page.text for page in legible or pages)):
        raise CorpusError(
            f"the letters of this PDF cannot be read rightly: its fonts {why}; export it again with"
            f" another program, run text recognition on it, or {INSTEAD}"
        )
    return legible
