"""PDFs are read as a reader sees them: every word once, no word cut, and what cannot be read
rightly is refused or named.
"""

from __future__ import annotations

import io
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from staged.errors import CorpusError
from staged.files import pdf
from staged.files.extract import opened
from staged.files.legible import why_illegible
from staged.files.pdf_lines import whole_words, without_running_lines
from tests.conftest import prose
from tests.files.pdfs import HELVETICA, lines, pdf_of, stream, text_pdf, unicode_map

SEEN = "The river crosses the garden."
MAPPED = HELVETICA[:-2] + b"/ToUnicode 3 0 R>>"


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ("an exam-\nple", "an example"),
        ("an exam\u2010\nple", "an example"),
        ("an exam\xad\nple", "an example"),
        ("ready, exam-  \n ple.", "ready, example."),
        ("a re\xadmark\xadable soft\xadness", "a remarkable softness"),
        ("well-\nknown", "well-known"),
        ("well\u2011\nknown", "well\u2011known"),
        (
            "a long-\nterm under-\nstanding of self-\ninterest",
            "a long-term understanding of self-interest",
        ),
        ("non-\nlinear and co-\noperate", "non-linear and cooperate"),
        ("his mother-in-\nlaw, state-of-\nthe-art", "his mother-in-law, state-of-the-art"),
        (
            "pre-\nWar, Müller-\nSchmidt, GPT-\n2, 1914-\n1918",
            "pre-War, Müller-Schmidt, GPT-2, 1914-1918",
        ),
        ("EXAM-\nPLES of it", "EXAMPLES of it"),
        ("pre-\nand post-war, Haupt-\nund Nebensatz", "pre- and post-war, Haupt- und Nebensatz"),
        (
            "see https://example.org/exam-\nple and a@exam-\nple.org",
            "see https://example.org/exam-ple and a@exam-ple.org",
        ),
        (
            "a glorp-\nzeug, glorp-zeug",
            "a glorp-zeug, glorp-zeug",
        ),  # as the document writes it elsewhere
        ("a blue-\ngreen sea, bluegreen", "a bluegreen sea, bluegreen"),
        ("Zür-\nich, pota-\nto, and -\nnot", "Zürich, potato, and -\nnot"),
        ("one-\ntwo-\nthree", "one-two-three"),
    ],
)
def test_words_cut_at_line_ends(cut: str, whole: str) -> None:
    assert whole_words([cut]) == whole


def test_a_word_goes_on_over_the_page_and_what_stands_between() -> None:
    pages = [
        "On harbours\nThe river is an exam-\n1",
        "On harbours\nple of that.\n2",
        "On harbours\nMore of it\nis here.\n3",
    ]
    assert (
        opened("pdf", text_pdf(*pages)).text
        == "The river is an example of that.\n\nMore of it\nis here."
    )
    assert opened("pdf", text_pdf(*pages)).left_out == (
        "6 running headers, footers and page numbers",
    )


@pytest.mark.parametrize(
    ("pages", "kept"),
    [
        (["Head 1\na", "Head 2\nb", "Head 3\nc"], ["a", "b", "c"]),
        (["a\nPage 7 of 9", "b\nPage 8 of 9"], ["a", "b"]),
        (["a\n7", "b\n7"], ["a\n7", "b\n7"]),  # a number that does not count pages
        (["same\na", "same\nb"], ["same\na", "same\nb"]),  # twice is no habit
        (["alone", "alone", "alone"], ["alone", "alone", "alone"]),
        (
            ["Left\na\n-- 1 --", "Right\nb\n-- 2 --", "Left\nc\n-- 3 --"],
            ["Left\na", "Right\nb", "Left\nc"],
        ),
    ],
)
def test_running_lines(pages: list[str], kept: list[str]) -> None:
    assert without_running_lines(pages)[0] == kept


@pytest.mark.parametrize(
    ("content", "hidden"),
    [
        pytest.param(lines("two words", y=400, before="1 g"), 2, id="white on white"),
        pytest.param(
            b"0 g 0 380 400 40 re f 1 g " + lines("two words", y=400), 0, id="white on black"
        ),
        pytest.param(lines("two words", y=400, before=".97 g"), 2, id="nearly white"),
        pytest.param(lines("two words", y=400, before=".85 g"), 0, id="light grey"),
        pytest.param(lines("two words", y=400, before="1 1 0 rg"), 0, id="yellow"),
        pytest.param(b"BT /F0 .2 Tf 40 300 Td (two words) Tj ET", 2, id="tiny"),
        pytest.param(b"BT /F0 4 Tf 40 300 Td (i words .) Tj ET", 0, id="small"),
        pytest.param(lines("two words", y=400) + b"0 g 0 380 400 40 re f", 2, id="covered"),
        pytest.param(b"q 0 0 10 10 re W n " + lines("two words", y=400) + b"Q", 2, id="clipped"),
        pytest.param(b"q /Clear gs " + lines("two words", y=400) + b"Q", 2, id="transparent"),
        pytest.param(lines("two words", y=400, before="3 Tr"), 2, id="invisible"),
        pytest.param(lines("two words", x=900), 2, id="beside the page"),
        pytest.param(b"BT /F0 12 Tf 0 1 -1 0 200 100 Tm (two words) Tj ET", 0, id="sideways"),
        pytest.param(b"BT 1 Tr /F0 12 Tf 200 100 Td (two words) Tj ET", 0, id="outlined"),
    ],
)
@pytest.mark.parametrize("page", [b"", b"/Rotate 90", b"/CropBox[20 0 400 580]/Rotate 180"])
def test_hidden_words_are_named_and_not_read(content: bytes, hidden: int, page: bytes) -> None:
    found = pdf.read(pdf_of(lines(SEEN) + content, page=page))
    assert SEEN in found.text
    assert ("words" in found.text) is not hidden
    assert found.left_out == (("2 hidden words",) if hidden else ())


def test_a_layer_that_is_off_is_hidden() -> None:
    content = lines(SEEN) + b"/OC /L BDC " + lines("two words", y=400) + b"EMC"
    off = b"/OCProperties<</OCGs[3 0 R]/D<</OFF[3 0 R]>>>>"
    made = pdf_of(content, more=[b"<</Type/OCG/Name(x)>>"], catalog=off, properties=b"/L 3 0 R")
    assert pdf.read(made).left_out == ("2 hidden words",)


def test_recognised_text_behind_a_scan_is_read() -> None:
    assert pdf.read(pdf_of(lines(SEEN, "And more.", before="3 Tr"))).text == f"{SEEN}\nAnd more."


def test_letters_outside_the_file_are_not_taken_for_hidden() -> None:
    child = b"<</Type/Font/Subtype/CIDFontType0/BaseFont/HeiseiMin-W3/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>"
    child += b"/FontDescriptor<</Type/FontDescriptor/FontName/HeiseiMin-W3/Flags 4>>>>"
    font = (
        b"<</Type/Font/Subtype/Type0/BaseFont/HeiseiMin-W3/Encoding/UniJIS-UCS2-H/DescendantFonts[%s]>>"
        % child
    )
    made = pdf_of(
        lines(SEEN, font=1) + b"BT /F0 12 Tf 40 400 Td <65e5672c8a9e> Tj ET",
        fonts=[font, HELVETICA],
    )
    assert pdf.read(made).text == f"{SEEN}\n日本語"


def test_what_is_filled_in_and_written_on_the_page_is_read_and_the_rest_named() -> None:
    widget = (
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(n)/V(Ann of the river)/Rect[100 540 300 560]/F"
        b" 4/DA(/F0 12 Tf 0 g)>>"
    )
    remark = (
        b"<</Type/Annot/Subtype/FreeText/Contents(A remark)/Rect[100 440 300 460]/F 4/AP<</N 6 0"
        b" R>>>>"
    )
    sticky = b"<</Type/Annot/Subtype/Text/Contents(Unseen)/Rect[100 340 120 360]/F 4>>"
    look = stream(
        b"BT /F0 12 Tf 2 4 Td (A remark) Tj ET",
        b"/Type/XObject/Subtype/Form/BBox[0 0 200 20]/Resources<</Font<</F0 8 0 R>>>>",
    )
    file = b"<</Type/Filespec/F(a.txt)/UF(a.txt)/EF<</F 9 0 R>>>>"
    form = (
        b"/AcroForm<</Fields[3 0 R]/DR<</Font<</F0 8 0 R>>>>/NeedAppearances"
        b" true>>/Names<</EmbeddedFiles<</Names[(a)7 0 R]>>>>"
    )
    made = pdf_of(
        *(lines("Name:"), b"0 0 9 9 re f", b""),
        more=[widget, remark, sticky, look, file, HELVETICA, stream(b"x")],
        catalog=form,
        page=b"/Annots[3 0 R 4 0 R 5 0 R]",
        only_first=True,
    )
    found = pdf.read(made)
    assert found.text.split() == ["Name:", "Ann", "of", "the", "river", "A", "remark"]
    assert found.left_out == (
        "1 page without text, such as a picture",
        "1 comment",
        "1 attached file",
    )


def test_a_form_that_only_adobe_shows() -> None:
    catalog = b"/NeedsRendering true/AcroForm<</Fields[]/XFA 3 0 R>>"
    with pytest.raises(CorpusError, match="only Adobe's reader shows"):
        opened("pdf", pdf_of(lines("Please wait"), more=[stream(b"<xdp/>")], catalog=catalog))


@pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128", "AES-128", "AES-256-R5", "AES-256"])
def test_locked_for_permissions_only(algorithm: str) -> None:
    def locked(password: str) -> bytes:
        writer, buffer = PdfWriter(clone_from=PdfReader(io.BytesIO(text_pdf(SEEN)))), io.BytesIO()
        writer.encrypt(password, "owner", algorithm=algorithm)
        writer.write(buffer)
        return buffer.getvalue()

    assert opened("pdf", locked("")).text == SEEN
    with pytest.raises(CorpusError, match="locked with a password"):
        opened("pdf", locked("secret"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"[(T)80(he)-333(ri)20(v)15(er)-250(cro)-30(sses)-300(it)] TJ", "The river crosses it"),
        (b"4 Tc (the river) Tj", "the river"),  # letters set apart
        (b"(the) Tj 25 0 Td (river) Tj", "the river"),  # a blank that is only a distance
        (b"(t) Tj 3.4 0 Td (h) Tj 6.7 0 Td (e) Tj", "the"),
        (b"(the   river) Tj", "the river"),
    ],
)
def test_blanks_are_told_from_places(content: bytes, text: str) -> None:
    found = pdf.read(pdf_of(b"BT /F0 12 Tf 40 500 Td %s ET" % content))
    assert " ".join(found.text.split()) == text


def test_ligatures_and_hyphens_of_a_font() -> None:
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding<</Differences[1/fi/ffl/hyphen/softhyphen]>>>>"
    assert (
        pdf.read(pdf_of(lines("a \1ne ba\2e", "of exam\3", "ple", font=0), fonts=[font])).text
        == "a fine baffle\nof example"
    )
    letters = {ord(one): one for one in "examplofwknst "} | {
        1: "\u2010",
        2: "\u2011",
        3: "\xad",
        4: "\uf0b7",
    }
    made = pdf_of(
        lines("\4 exam\1", "ple of well\2", "known s\3", "oft"),
        fonts=[MAPPED],
        more=[unicode_map(letters)],
    )
    assert pdf.read(made).text.strip() == "example of well\u2011known soft"
    assert pdf.read(made).left_out == ("1 sign that its font does not name",)


def shifted(text: str, by: int) -> str:
    small, large = ("".join(chr(first + i) for i in range(26)) for first in (97, 65))
    return text.translate(
        str.maketrans(small + large, small[by:] + small[:by] + large[by:] + large[:by])
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("do not say", lambda text: text.replace("e", "\ufffd")),
        (
            "do not say",
            lambda text: "".join(chr(0xE000 + ord(one)) if one.isalpha() else one for one in text),
        ),
        ("set blanks", " ".join),
        ("lose the blanks", lambda text: "".join(text.split())),
        *(("name other letters", lambda text, by=by: shifted(text, by)) for by in range(1, 26)),
    ],
)
def test_letters_that_cannot_be_read(name: str, wrong: object) -> None:
    assert name in why_illegible(wrong(ENGLISH))  # type: ignore[operator]


ENGLISH = (
    "It was a bright day in the second week of winter, and the clocks of the harbour were striking."
    " The captain, whose letters had been opened on the way, walked quickly through the market and"
    " over the bridge, though not quickly enough to keep some of the dust from entering along with"
    " him. There was nobody in the garden but the old woman who repairs the windows; she counted"
    " the ladders twice, wrote the number down, and said that she would have to ask for another one"
    " before it was noon."
)
HONEST = [
    ENGLISH,
    ENGLISH.upper(),
    (
        "Řeka protéká zahradou u starého mlýna; vlk zmrzl, trh je zavřený a ve čtvrtek prší na krk"
        " i na prst."
    ),
    (
        "Mae hen wlad fy nhadau yn annwyl i mi, gwlad beirdd a chantorion, enwogion o fri; ei gwrol"
        " ryfelwyr, gwladgarwyr tra mad."
    ),
    (
        "Donaudampfschifffahrtsgesellschaftskapitän und"
        " Rindfleischetikettierungsüberwachungsaufgabe sind lange Wörter."
    ),
    "Ο ποταμός διασχίζει τον κήπο κοντά στον παλιό μύλο.",
    "Река пересекает сад у старой мельницы, а он и она в нём.",
    "川は古い水車のそばの庭を横切る。" * 20,
    "नदी पुरानी चक्की के पास बगीचे को पार करती है। " * 20,
    "강은 오래된 물레방아 옆의 정원을 가로지른다. a b c " * 20,
    "x = y + 1; a b c",
    "1 2 3 4 5 6 7 8 9 10 " * 20,
    "",
]


@pytest.mark.parametrize("text", HONEST, ids=range(len(HONEST)))
def test_honest_letters_can_be_read(text: str) -> None:
    assert why_illegible(text) == ""


def test_a_font_without_names_is_refused_and_one_page_of_it_named() -> None:
    drawn = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 10 10]/FontMatrix[.1 0 0 .1 0 0]/CharProcs<</g1 3"
        b" 0 R>>/FirstChar 33/LastChar 122"
    )
    drawn += (
        b"/Encoding<</Type/Encoding/Differences[33"
        + b"/g1" * 90
        + b"]>>/Widths["
        + b"6 " * 90
        + b"]/Resources<<>>>>"
    )
    shape = [stream(b"6 0 d0 0 0 5 8 re f")]
    with pytest.raises(
        CorpusError, match="its fonts do not say which letters they show; export it again"
    ):
        opened("pdf", pdf_of(lines(SEEN), fonts=[drawn], more=shape))
    found = pdf.read(pdf_of(lines(SEEN), lines(SEEN, font=1), fonts=[HELVETICA, drawn], more=shape))
    assert found.text == SEEN
    assert found.left_out == ("1 page in letters that are no words",)


def test_a_shifted_font_is_refused() -> None:
    pairs = {ord(one): shifted(one, 1) for one in map(chr, range(32, 127))}
    made = pdf_of(
        lines(*(ENGLISH[i : i + 50] for i in range(0, len(ENGLISH), 50))),
        fonts=[MAPPED],
        more=[unicode_map(pairs)],
    )
    with pytest.raises(CorpusError, match="its fonts name other letters than they show"):
        opened("pdf", made)


def test_damaged_tables_are_mended() -> None:
    assert pdf.read(text_pdf(SEEN).replace(b"xref", b"xxxx")).text == SEEN


def exported(command: list[str], folder: Path) -> Path:
    page = folder / "page.html"
    page.write_text(
        f"<html lang=en><p style='text-align: justify; width: 9cm; hyphens: auto'>{ENGLISH} It’s"
        " well&shy;known."
    )
    subprocess.run([*command, str(page)], check=True, capture_output=True, cwd=folder, timeout=240)
    return folder / "page.pdf"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        [
            "soffice",
            "-env:UserInstallation=file:///tmp/staged-test-office",
            "--headless",
            "--convert-to",
            "pdf:writer_web_pdf_Export",
        ],
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--no-pdf-header-footer",
            "--print-to-pdf=page.pdf",
        ],
    ],
    ids=lambda command: command[0],
)
def test_what_programs_export(command: list[str], tmp_path: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    text = opened("pdf", exported(command, tmp_path).read_bytes()).text
    assert " ".join(text.split()) == f"{ENGLISH} It’s wellknown."


def mutants(seed: int, count: int) -> list[bytes]:
    """Whole PDFs in which some bytes were changed, taken out, doubled or cut off."""
    stream_of = random.Random(seed)
    wholes = [
        text_pdf(prose(1, 3), prose(2, 3)),
        pdf_of(lines(SEEN), fonts=[MAPPED], more=[unicode_map({84: "T"})]),
    ]
    found = []
    for _ in range(count):
        data = bytearray(stream_of.choice(wholes))
        for _ in range(stream_of.choice((1, 1, 3, 20))):
            at, length = stream_of.randrange(len(data)), stream_of.choice((1, 1, 4, 40))
            data[at : at + length] = stream_of.choice(
                (stream_of.randbytes(length), b"", bytes(data[at : at + length]) * 2, b"9" * 9)
            )
            data = data or bytearray(b"x")
        found.append(bytes(data))
    return found


def answer(data: bytes) -> str:
    try:
        return opened("pdf", data).text
    except CorpusError as error:
        return f"refused: {error}"


@pytest.mark.parametrize(
    "count", [30, pytest.param(2_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_damaged_files_get_a_text_or_a_sentence(count: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        refused = [
            one for one in pool.map(answer, mutants(count, count)) if one.startswith("refused")
        ]
    assert 0 < len(refused) < count
    assert all("Traceback" not in one and "\n" not in one for one in refused)
