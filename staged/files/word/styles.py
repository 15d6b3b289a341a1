"""Whether a run's letters are seen: its own properties, then its styles', then the document's (ECMA-376, part 1, 17.7)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from staged.files.word.markup import Element, child, is_on, name, number, value

HIDDEN, WHITE, TINY = "hidden word", "white-on-white word", "word too tiny to read"
TINIEST_HALF_POINTS = 4  # 2 points: nobody reads a letter of 0.7 mm
WHITE_COLOURS = ("FFFFFF", "WHITE")
CHARACTER, PARAGRAPH, TABLE = "character", "paragraph", "table"
MOST_BASES = 64  # of a style, each on the next


class Styles:
    """The styles of a document, from the root of its styles part, or without any."""

    def __init__(self, root: Element | None) -> None:
        styles = [one for one in root if name(one) == "w:style"] if root is not None else []
        self._styles = {(value(one, "w:type") or PARAGRAPH, value(one, "w:styleId")): one for one in styles}
        self._default = {value(one, "w:type"): value(one, "w:styleId") for one in styles if is_on(one, "w:default", absent=False)}
        self._document = child(root, "w:docDefaults", "w:rPrDefault", "w:rPr")
        self._inherited = cache(self._look_up)

    def why_unseen(self, run: Element | None, paragraph: Element | None, table: Element | None, *, on_white: bool = False) -> str:
        """Why letters are not seen, as a noun, or nothing where they are.

        Args:
            run: the `w:rPr` of a run or of a paragraph's mark.
            paragraph, table: the `w:pPr` and `w:tblPr` around it.
            on_white: nothing but paper lies behind the paragraph, as far as it does not say otherwise itself.
        """
        chosen = {CHARACTER: value(child(run, "w:rStyle")), PARAGRAPH: value(child(paragraph, "w:pStyle"))}
        if table is not None:
            chosen[TABLE] = value(child(table, "w:tblStyle"))
        if self._is_hidden(run, chosen):
            return HIDDEN

        def nearest(wanted: str) -> Element | None:
            places = (self._inherited(kind, chosen[kind], "w:rPr", wanted) for kind in chosen)
            own = child(run, wanted)
            return own if own is not None else next((one for one in places if one is not None), child(self._document, wanted))

        if number(value(nearest("w:sz")), TINIEST_HALF_POINTS + 1) <= TINIEST_HALF_POINTS:
            return TINY
        if on_white and value(nearest("w:color")).upper() in WHITE_COLOURS:
            of_style = self._inherited(PARAGRAPH, chosen[PARAGRAPH], "w:pPr", "w:shd")
            behind = (nearest("w:shd"), nearest("w:highlight"), child(paragraph, "w:shd"), of_style)
            return "" if any(one is not None for one in behind) else WHITE
        return ""

    def _is_hidden(self, run: Element | None, chosen: dict[str, str]) -> bool:
        """`w:vanish` is a toggle: a style that hides, upon another that hides, shows."""
        own = child(run, "w:vanish")
        if own is not None:
            return is_on(own)
        hiding = sum(is_on(self._inherited(kind, style, "w:rPr", "w:vanish")) for kind, style in chosen.items())
        return is_on(child(self._document, "w:vanish")) or hiding % 2 == 1

    def _look_up(self, kind: str, style: str, properties: str, wanted: str) -> Element | None:
        """A property as a style says it, or else the styles that it is based on."""
        found = (child(one, properties, wanted) for one in self._bases(kind, style))
        return next((one for one in found if one is not None), None)

    def _bases(self, kind: str, style: str) -> Iterator[Element]:
        one = self._styles.get((kind, style), self._styles.get((kind, self._default.get(kind, ""))))
        for _ in range(MOST_BASES):
            if one is None:
                return
            yield one
            one = self._styles.get((kind, value(child(one, "w:basedOn"))))
