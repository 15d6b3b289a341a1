"""Whether a run's letters are seen: its own properties, then its styles', then the document's
(ECMA-376, part 1, 17.7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from staged.files.word.markup import Element, child, is_on, name, number, value

HIDDEN, WHITE, TINY = "hidden word", "white-on-white word", "word too tiny to read"
TINIEST_HALF_POINTS = 4  # 2 points: nobody reads a letter of 0.7 mm
WHITES = re.compile("(F[A-F]){3}", re.IGNORECASE)  # white, and what no eye tells from it
CHARACTER, PARAGRAPH, TABLE = "character", "paragraph", "table"
MOST_BASES = 64  # of a style, each on the next
Chosen = tuple[tuple[str, str], ...]  # the kind and the name of each style, nearest first


class Styles:
    """The styles of a document, from the root of its styles part, or without any."""

    def __init__(self, root: Element | None) -> None:
        styles = [style for style in root if name(style) == "w:style"] if root is not None else []
        self._styles = {
            (value(style, "w:type") or PARAGRAPH, value(style, "w:styleId")): style
            for style in styles
        }
        self._default = {
            value(style, "w:type"): value(style, "w:styleId")
            for style in styles
            if is_on(style, "w:default", absent=False)
        }
        self._document = child(root, "w:docDefaults", "w:rPrDefault", "w:rPr")
        self._inherited, self._hide = cache(self._look_up), cache(self._do_hide)

    def why_unseen(
        self,
        run: Element | None,
        paragraph: Element | None,
        table: Element | None,
        *,
        on_white: bool = False,
    ) -> str:
        """Why letters are not seen, as a noun, or nothing where they are.

        Args:
            run: the `w:rPr` of a run or of a paragraph's mark.
            paragraph, table: the `w:pPr` and `w:tblPr` around it.
            on_white: nothing but paper lies behind the paragraph, as far as it does not say
                otherwise itself.
        """
        styles: Chosen = (
            (CHARACTER, value(child(run, "w:rStyle"))),
            (PARAGRAPH, value(child(paragraph, "w:pStyle"))),
        )
        if table is not None:
            styles += ((TABLE, value(child(table, "w:tblStyle"))),)

        def nearest(property_name: str) -> Element | None:
            element = child(run, property_name)
            return self._inherited(styles, property_name) if element is None else element

        vanish = child(run, "w:vanish")
        if self._hide(styles) if vanish is None else is_on(vanish):
            return HIDDEN
        if number(value(nearest("w:sz")), TINIEST_HALF_POINTS + 1) <= TINIEST_HALF_POINTS:
            return TINY
        if on_white and WHITES.fullmatch(value(nearest("w:color"))):
            behind = (
                nearest("w:shd"),
                nearest("w:highlight"),
                child(paragraph, "w:shd"),
                self._shade(styles[1][1]),
            )
            return "" if any(_is_dark(shade) for shade in behind) else WHITE
        return ""

    def _look_up(self, styles: Chosen, property_name: str) -> Element | None:
        """A property of letters as the first of these styles that says it, or else the document."""
        elements = (
            child(base, "w:rPr", property_name)
            for kind, style in styles
            for base in self._bases(kind, style)
        )
        default = child(self._document, property_name)
        return next((element for element in elements if element is not None), default)

    def _do_hide(self, styles: Chosen) -> bool:
        """`w:vanish` is a toggle: a style that hides, upon another that hides, shows."""
        if is_on(child(self._document, "w:vanish")):
            return True
        switches = (
            [child(base, "w:rPr", "w:vanish") for base in self._bases(*style)] for style in styles
        )
        nearest = (
            next((switch for switch in of_style if switch is not None), None)
            for of_style in switches
        )
        return sum(map(is_on, nearest)) % 2 == 1

    def _shade(self, style: str) -> Element | None:
        """What lies behind paragraphs of a style."""
        shades = (child(base, "w:pPr", "w:shd") for base in self._bases(PARAGRAPH, style))
        return next((shade for shade in shades if shade is not None), None)

    def _bases(self, kind: str, style: str) -> Iterator[Element]:
        base = self._styles.get(
            (kind, style), self._styles.get((kind, self._default.get(kind, "")))
        )
        for _ in range(MOST_BASES):
            if base is None:
                return
            yield base
            base = self._styles.get((kind, value(child(base, "w:basedOn"))))


def _is_dark(behind: Element | None) -> bool:
    """Whether a `w:shd` or a `w:highlight` may be anything but white."""
    if name(behind) == "w:highlight":
        return value(behind) not in ("none", "white")
    fill, pattern = value(behind, "w:fill"), value(behind)
    is_white = fill in ("", "auto") or WHITES.fullmatch(fill) is not None
    return behind is not None and not (
        is_white and pattern in ("", "clear", "nil") and not value(behind, "w:themeFill")
    )
