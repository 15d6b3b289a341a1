"""A story of a Word file (its body, a note, a text box) as paragraphs, with what every element of
it shows or hides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from staged.files.word import formulas, symbols
from staged.files.word.elements import COUNTED, NEVER_SHOWN, SHOWN
from staged.files.word.fields import Box, Mark, Piece, paragraphs
from staged.files.word.markup import SPACE, Element, child, is_office, is_on, name, number, value
from staged.files.word.styles import HIDDEN, Styles
from staged.files.word.tables import Grid

DELETED = "deleted word"
LINE_ENDS = re.compile(r"[\r\n]+")
# such fields keep no result
COMPUTED = re.compile(r"\s*(EQ|SYMBOL|MACROBUTTON|GOTOBUTTON|LISTNUM|AUTONUM\w*)\b")


@dataclass(frozen=True)
class Place:
    """Where an element stands.

    Attributes:
        unseen: why nothing here is seen, or nothing where it is.
        paragraph, table: the `w:pPr` and `w:tblPr` around it.
        is_paper: nothing is known to lie behind it but white paper.
        keeps_space: blanks at the ends of a `w:t` count.
    """

    unseen: str = ""
    paragraph: Element | None = None
    table: Element | None = None
    grid: Grid = field(default_factory=Grid)
    is_paper: bool = False
    keeps_space: bool = False

    def unless(self, why: str) -> Place:
        """The same place, where nothing is seen if there is a reason why not."""
        return replace(self, unseen=why) if why and not self.unseen else self


@dataclass
class Remainder:
    """What all stories of a file have besides their paragraphs.

    Attributes:
        unseen: text that no reader sees, by why.
        left_out: how many pictures and the like.
        notes: (`footnote` or `endnote`, id) of those referred to, in order.
    """

    styles: Styles
    unseen: dict[str, list[str]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: dict[tuple[str, str], None] = field(default_factory=dict)


def read_story(root: Element, remainder: Remainder, place: Place) -> list[str]:
    """The paragraphs of a story, table cells and text boxes among them, in reading order.

    Args:
        remainder: is told of all that is left out.
    """
    story = _Story(remainder)
    story.children(root, replace(place, keeps_space=_keeps_space(root, place)))
    return list(paragraphs(story.pieces))


def _keeps_space(element: Element, place: Place) -> bool:
    """Whether blanks at the ends of a text are kept."""
    setting = element.get(SPACE)
    return place.keeps_space if setting is None else setting == "preserve"


class _Story:
    def __init__(self, remainder: Remainder) -> None:
        self.remainder = remainder
        self.pieces: list[Piece] = []

    def children(self, element: Element, place: Place) -> None:
        for part in element:
            self.visit(part, place)

    def visit(self, element: Element, place: Place) -> None:
        kind = name(element)
        if kind in COUNTED and not place.unseen:
            self.remainder.left_out[COUNTED[kind]] += 1
        if kind in SHOWN:
            self.show(SHOWN[kind], place)
        elif kind in _READ:
            _READ[kind](self, element, place)
        elif kind.startswith("m:"):
            self.formula(element, place)
        elif kind.startswith("v:"):
            self.shape(element, place)
        elif kind and kind not in NEVER_SHOWN and not kind.endswith("Pr"):
            self.children(element, place)

    def show(self, text: str, place: Place) -> None:
        if place.unseen:
            self.remainder.unseen.setdefault(place.unseen, []).append(text)
        else:
            self.pieces.append(text)

    def end_paragraph(self, place: Place) -> None:
        for texts in self.remainder.unseen.values():
            texts.append("\n")
        if not place.unseen:
            self.pieces.append(Mark.PARAGRAPH)

    # text

    def text(self, element: Element, place: Place) -> None:
        text = LINE_ENDS.sub(" ", element.text or "")
        keeps = _keeps_space(element, place) or not name(element).startswith("w:")
        self.show(text if keeps else text.strip(" \t"), place)

    def deleted_text(self, element: Element, place: Place) -> None:
        self.text(element, place.unless(DELETED))

    def symbol(self, element: Element, place: Place) -> None:
        character = symbols.character(element)
        if not character and not place.unseen:
            self.remainder.left_out["symbol"] += 1
        self.show(character or " ", place)

    def formula(self, element: Element, place: Place) -> None:
        if name(element) == "m:t":
            self.text(element, place)
        elif not name(element).endswith("Pr"):
            self.show(formulas.before(element), place)
            self.run(element, place)
            self.show(formulas.after(element), place)

    # runs and what holds them

    def run(self, element: Element, place: Place) -> None:
        why = self.remainder.styles.why_unseen(
            child(element, "w:rPr"), place.paragraph, place.table, on_white=place.is_paper
        )
        self.children(element, place.unless(why))

    def deleted(self, element: Element, place: Place) -> None:
        self.children(element, place.unless(DELETED))

    def paragraph(self, element: Element, place: Place) -> None:
        properties = child(element, "w:pPr")
        inside = replace(place, paragraph=properties)
        self.children(element, inside)
        mark = child(properties, "w:rPr")
        is_gone = any(child(mark, change) is not None for change in ("w:del", "w:moveFrom"))
        if (
            not is_gone
            and self.remainder.styles.why_unseen(mark, properties, place.table) != HIDDEN
        ):
            self.end_paragraph(place)

    def drawn_paragraph(self, element: Element, place: Place) -> None:
        self.children(element, place)
        self.end_paragraph(place)

    def field(self, element: Element, place: Place) -> None:
        kind = value(element, "w:fldCharType")
        choices = child(element, "w:ffData", "w:ddList")
        if place.unseen == DELETED or kind not in ("begin", "separate", "end"):
            return
        if choices is not None:
            self.show(_chosen(choices), place)
        self.pieces.append(Mark(kind) if choices is None else Mark.CHOICE)

    def instruction(self, element: Element, place: Place) -> None:
        if COMPUTED.match(element.text or "") and not place.unseen:
            self.remainder.left_out["computed field"] += 1

    def control(self, element: Element, place: Place) -> None:
        if not is_on(child(element, "w:sdtPr", "w:showingPlcHdr")):
            self.children(element, place)
        elif not place.unseen:
            self.remainder.left_out["placeholder"] += 1

    def ruby(self, element: Element, place: Place) -> None:
        self.children(element, place)
        if not place.unseen and child(element, "w:rt", "w:r") is not None:
            self.remainder.left_out["phonetic guide"] += 1

    def note(self, element: Element, place: Place) -> None:
        if not place.unseen:
            kind = name(element).removeprefix("w:").removesuffix("Reference")
            self.remainder.notes[kind, value(element, "w:id")] = None

    # tables

    def table(self, element: Element, place: Place) -> None:
        self.end_paragraph(place)
        properties = child(element, "w:tblPr")
        inside = replace(place, table=properties, grid=Grid(), paragraph=None, is_paper=False)
        self.children(element, inside)

    def row(self, element: Element, place: Place) -> None:
        properties = child(element, "w:trPr")
        if child(properties, "w:del") is not None:
            self.deleted(element, replace(place, grid=Grid()))
        else:
            place.grid.start_row(properties)
            self.children(element, place)

    def cell(self, element: Element, place: Place) -> None:
        properties = child(element, "w:tcPr")
        why = HIDDEN if place.grid.goes_on(properties) else ""
        why = DELETED if child(properties, "w:cellDel") is not None else why
        inside = place.unless(why)
        self.children(element, inside)
        self.end_paragraph(inside)

    # shapes

    def alternatives(self, element: Element, place: Place) -> None:
        """The first choice that programs of today know, as they take it, or else what stands there
        for older ones.
        """
        choices = [part for part in element if name(part) == "mc:Choice" and _is_known(part)]
        fallbacks = [part for part in element if name(part) == "mc:Fallback"]
        for part in (choices + fallbacks)[:1]:
            self.children(part, place)

    def box(self, element: Element, place: Place) -> None:
        inside = replace(place, paragraph=None, table=None, grid=Grid(), is_paper=False)
        self.pieces.append(Box(read_story(element, self.remainder, inside)))

    def lettering(self, element: Element, place: Place) -> None:
        text = value(element, "string").strip()
        if text and place.unseen:
            self.show(f"\n{text}\n", place)
        elif text:
            self.pieces.append(Box([text]))

    def drawing(self, element: Element, place: Place) -> None:
        # each frame itself, and its `wp:docPr`
        parts = [part for frame in element for part in (frame, *frame)]
        is_hidden = any(is_on(part, "hidden", absent=False) for part in parts)
        self.children(element, place.unless(HIDDEN * is_hidden))

    def shape(self, element: Element, place: Place) -> None:
        is_hidden = "visibility:hidden" in value(element, "style").replace(" ", "").lower()
        self.children(element, place.unless(HIDDEN * is_hidden))


_READ: dict[str, Callable[[_Story, Element, Place], None]] = {
    "w:t": _Story.text,
    "a:t": _Story.text,
    "m:t": _Story.formula,
    "w:delText": _Story.deleted_text,
    "w:sym": _Story.symbol,
    "w:r": _Story.run,
    "w:del": _Story.deleted,
    "w:p": _Story.paragraph,
    "a:p": _Story.drawn_paragraph,
    "w:fldChar": _Story.field,
    "w:instrText": _Story.instruction,
    "w:sdt": _Story.control,
    "w:ruby": _Story.ruby,
    "w:footnoteReference": _Story.note,
    "w:endnoteReference": _Story.note,
    "w:tbl": _Story.table,
    "w:tr": _Story.row,
    "w:tc": _Story.cell,
    "mc:AlternateContent": _Story.alternatives,
    "w:txbxContent": _Story.box,
    "a:txBody": _Story.box,
    "v:textpath": _Story.lettering,
    "w:drawing": _Story.drawing,
}


def _is_known(choice: Element) -> bool:
    needed = choice.get("Requires", "").split()
    return all(is_office(choice.nsmap.get(prefix)) for prefix in needed)


def _chosen(choices: Element) -> str:
    """The entry that a drop-down field shows."""
    chosen = value(child(choices, "w:result")) or value(child(choices, "w:default"))
    entries = [value(entry) for entry in choices if name(entry) == "w:listEntry"]
    return dict(enumerate(entries)).get(number(chosen, 0), "")
