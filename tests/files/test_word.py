"""Every word that a reader of a Word file sees is read once, and what is not read is named."""

from __future__ import annotations

import io
import subprocess
import time
from pathlib import Path

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.files import extract, word
from tests.files import word_made
from tests.files.word_made import (
    BEGIN,
    CASES,
    END,
    SEPARATE,
    TRACKED,
    VANISH,
    made,
    p,
    r,
    run,
    sdt,
    shape,
    tbl,
    tc,
    tr,
)

OFFICE = "/usr/bin/soffice"


@pytest.mark.parametrize("name", CASES)
def test_every_construct(name: str) -> None:
    """The expected text is golden: what Word shows with all changes accepted."""
    case = CASES[name]
    found = word.read(case.file())
    assert (found.text, found.left_out) == (case.text, case.left_out)


DIFFERENT = {
    "its text has no text boxes, lettering, notes or formulas": (
        *(
            "text box",
            "old text box",
            "choice of tomorrow",
            "only a fallback",
            "table in a text box",
            "lettering",
        ),
        *("notes", "notes on no page", "note that is missing", "formula", "formula with exponents"),
    ),
    "it shows what tracked changes deleted": (
        *(
            "deletion",
            "deletion with plain text",
            "deleted insertion",
            "move",
            "deleted paragraph mark",
            "deleted field",
        ),
        *("rows in and out", "cells in and out"),
    ),
    "it exports hidden words, also of cells that another covers (its drawing has none of these)": (
        *(
            "hidden",
            "hidden by a character style",
            "hidden by a style's base",
            "hidden by a paragraph style",
            "hidden twice is shown",
        ),
        *(
            "hidden by the default style",
            "hidden by the document",
            "white on white",
            "nearly white on white shade",
            "too tiny",
        ),
        *("cell over three rows", "cell over rows behind spans", "cells merged the old way"),
    ),
    "it writes characters of other kinds for these": ("hyphens", "symbols", "symbol that is none"),
    "it takes prompts for text": ("placeholder", "computed field"),
    "it loses text": ("field that does not end", "drop-down list", "drop-down list with a result"),
    "it reads markup that Word passes over": ("foreign markup",),
}


@pytest.mark.skipif(not Path(OFFICE).exists(), reason=f"LibreOffice is not installed ({OFFICE})")
def test_words_are_those_that_libreoffice_exports(tmp_path: Path) -> None:
    """For every construct but those where it differs for a known reason."""
    differing = {name for names in DIFFERENT.values() for name in names}
    compared = [name for name in CASES if name not in differing]
    assert differing <= CASES.keys()
    for name in compared:
        (tmp_path / f"{name}.docx").write_bytes(CASES[name].file())
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [
        OFFICE,
        profile,
        "--headless",
        "--convert-to",
        "txt:Text (encoded):UTF8",
        "--outdir",
        str(tmp_path),
    ]
    subprocess.run(
        [*command, *map(str, sorted(tmp_path.glob("*.docx")))],
        check=True,
        capture_output=True,
        timeout=280,
    )
    exported = {
        name: (tmp_path / f"{name}.txt").read_text(encoding="utf-8-sig").split()
        for name in compared
    }
    assert exported == {name: CASES[name].text.split() for name in compared}


# the faults that were


def test_merged_cells_are_read_once() -> None:
    """An honest text of 255 words in a cell over four columns was read four times, and called
    machine-written.
    """
    document = docx.Document()
    text = " ".join(f"word{number}" for number in range(255))
    table = document.add_table(rows=3, cols=4)
    table.cell(0, 0).merge(table.cell(0, 3)).text = text
    table.cell(1, 1).merge(table.cell(2, 2)).text = "block"
    inner = table.cell(1, 0).add_table(rows=2, cols=2)
    inner.cell(0, 0).merge(inner.cell(1, 0)).text = "nested"
    buffer = io.BytesIO()
    document.save(buffer)
    assert word.read(buffer.getvalue()).text.split() == [*text.split(), "nested", "block"]


def test_large_tables_are_read_in_time() -> None:
    """Half a million words in 40,000 cells, in the processor time that the confined reader has."""
    row = tr(*(tc(p(r("some honest words of a person, " * 2))) for _ in range(20)))
    data, start = made(tbl(row * 2_000, columns=20)), time.process_time()
    assert len(word.read(data).text.split()) == 480_000
    assert time.process_time() - start < extract.PROCESSOR_S


def test_deep_nesting_is_read() -> None:
    body = p(r("deep"))
    for _ in range(60):
        body = sdt(body)
    assert word.read(made(body)).text == "deep"


# nested constructs


class Nest:
    """A tree of constructs as XML, with the words that it shows and the number of those that it
    hides.
    """

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.n_unseen = self.n_words = 0

    def words(self, seen: bool, *, count: bool = True) -> str:
        self.n_words += 1
        one = f"word{self.n_words}"
        if seen:
            self.shown.append(one)
        elif count:
            self.n_unseen += 1
        return one

    def blocks(self, tree: list[tuple], seen: bool) -> str:
        return "".join(getattr(self, kind)(*inside, seen) for kind, *inside in tree)

    inlines = blocks

    def paragraph(self, tree: list[tuple], change: str, seen: bool) -> str:
        return p(self.inlines(tree, seen), r(" "), mark=change)

    def plain(self, seen: bool) -> str:
        return r(self.words(seen) + " ")

    def halves(self, seen: bool) -> str:
        one = self.words(seen)
        return r(one[:3]) + "<w:proofErr w:type='spellStart'/>" + r(one[3:] + " ")

    def vanished(self, seen: bool) -> str:
        return r(self.words(False) + " ", VANISH)

    def wrapped(self, start: str, tree: list[tuple], seen: bool) -> str:
        end = start.split()[0]
        return f"<w:{start}>{self.inlines(tree, seen)}</w:{end}>"

    def deleted(self, tree: list[tuple], seen: bool) -> str:
        return f"<w:del {TRACKED}>{self.inlines(tree, False)}</w:del>"

    def moved(self, seen: bool) -> str:
        one = self.words(seen)
        return (
            f"<w:moveFrom {TRACKED}>{r(one)}</w:moveFrom><w:moveTo"
            f" {TRACKED}>{r(one + ' ')}</w:moveTo>"
        )

    def field(self, tree: list[tuple], seen: bool) -> str:
        asked = word_made.field_of("REF x", r(self.words(False, count=not seen) + " "))
        return BEGIN + asked + SEPARATE + self.inlines(tree, seen) + END

    def controlled(self, tree: list[tuple], seen: bool) -> str:
        return sdt(self.blocks(tree, seen))

    def custom(self, tree: list[tuple], seen: bool) -> str:
        return f'<w:customXml w:element="e">{self.blocks(tree, seen)}</w:customXml>'

    def boxed(self, tree: list[tuple], seen: bool) -> str:
        inside = self.blocks(tree, seen)
        return run(word_made.either(shape(inside), word_made.old_shape(inside)))

    def table(
        self, spans: list[int], rows: list[tuple[str, list[tuple[str, list[tuple]]]]], seen: bool
    ) -> str:
        drawn, above = [], [""] * len(spans)
        for change, cells in rows:
            gone = "w:del" in change
            xml = []
            for column, (span, (merge, tree)) in enumerate(zip(spans, cells, strict=False)):
                covered = merge == CONTINUE and above[column] != ""
                inside = self.blocks(tree, seen and not gone and not covered)
                xml.append(tc(inside, f'<w:gridSpan w:val="{span}"/>{merge}'))
            above = above if gone else [merge for merge, _ in cells]
            drawn.append(tr(*xml, properties=change))
        return tbl(
            *(
                sdt(one) if "sdt" in change else one
                for one, (change, _) in zip(drawn, rows, strict=True)
            )
        )


CONTINUE, RESTART = "<w:vMerge/>", '<w:vMerge w:val="restart"/>'
LEAVES = st.sampled_from([("plain",), ("halves",), ("vanished",), ("moved",)])
WRAPPERS = st.sampled_from(
    [
        f"ins {TRACKED}",
        'hyperlink w:anchor="a"',
        'smartTag w:element="s"',
        'fldSimple w:instr="REF"',
        'bdo w:val="rtl"',
    ]
)


def inlines_of(blocks: st.SearchStrategy) -> st.SearchStrategy:
    def more(inlines: st.SearchStrategy) -> st.SearchStrategy:
        tree = st.lists(inlines, max_size=3)
        kinds = (st.tuples(st.just(kind), tree) for kind in ("deleted", "field", "controlled"))
        return st.one_of(*kinds, st.tuples(st.just("wrapped"), WRAPPERS, tree))

    boxed = st.tuples(st.just("boxed"), st.lists(blocks, max_size=2))
    return st.recursive(st.one_of(LEAVES, boxed), more, max_leaves=4)


def paragraphs_of(blocks: st.SearchStrategy) -> st.SearchStrategy:
    marks = st.sampled_from(["", "", f"<w:del {TRACKED}/>", f"<w:ins {TRACKED}/>", VANISH])
    return st.tuples(st.just("paragraph"), st.lists(inlines_of(blocks), max_size=3), marks)


@st.composite
def tables_of(draw: st.DrawFn, blocks: st.SearchStrategy) -> tuple:
    spans = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    cell = st.tuples(st.sampled_from(["", "", RESTART, CONTINUE]), st.lists(blocks, max_size=2))
    change = st.sampled_from(["", "", f"<w:ins {TRACKED}/>", f"<w:del {TRACKED}/>"])
    rows = st.lists(
        st.tuples(change, st.lists(cell, min_size=len(spans), max_size=len(spans))),
        min_size=1,
        max_size=3,
    )
    return "table", spans, draw(rows)


def blocks_of(blocks: st.SearchStrategy) -> st.SearchStrategy:
    wrapped = (
        st.tuples(st.just(kind), st.lists(blocks, max_size=3)) for kind in ("controlled", "custom")
    )
    return st.one_of(paragraphs_of(blocks), tables_of(blocks), *wrapped)


BLOCKS = st.recursive(st.just(("paragraph", [("plain",)], "")), blocks_of, max_leaves=8)


@settings(deadline=None, max_examples=300)
@given(st.lists(BLOCKS, max_size=4))
def test_nested_constructs_show_each_word_once(tree: list[tuple]) -> None:
    nest = Nest()
    found = word.read(made(p(r("first")) + nest.blocks(tree, True) + p(r("last"))))
    assert sorted(found.text.split()) == sorted(["first", *nest.shown, "last"])
    assert sum(int(one.split()[0].replace(",", "")) for one in found.left_out) == nest.n_unseen
