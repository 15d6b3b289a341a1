"""Which cells of a table are not drawn: those that go on with the cell above or on their left
(ECMA-376, part 1, 17.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from staged.files.word.markup import Element, child, number, value


@dataclass
class Grid:
    """A table while its rows are read.

    Attributes:
        open: columns in which a cell of the row before can go on in this row.
        opened: columns in which a cell of this row can go on in the next.
        column: where the next cell stands.
        is_wide: whether the cell before can go on in the next.
    """

    open: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)
    column: int = 0
    is_wide: bool = False

    def start_row(self, properties: Element | None) -> None:
        """From a row's `w:trPr`."""
        self.open, self.opened, self.is_wide = self.opened, set(), False
        self.column = number(value(child(properties, "w:gridBefore")), 0)

    def goes_on(self, properties: Element | None) -> bool:
        """Whether the next cell, with this `w:tcPr`, goes on with another; one that has none to go
        on with is drawn.
        """
        down, across = child(properties, "w:vMerge"), child(properties, "w:hMerge")
        goes_down = down is not None and value(down) != "restart" and self.column in self.open
        goes_across = across is not None and value(across) != "restart" and self.is_wide
        if down is not None:
            self.opened.add(self.column)
        self.is_wide = across is not None
        self.column += max(1, number(value(child(properties, "w:gridSpan")), 1))
        return goes_down or goes_across
