"""Cells → the tables a reader looks at: transfer by size, transfer by method, accuracy by length.

Rows and columns come in the order in which the cells name them: models from the smallest to the
largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staged.cells import Cell, values
from staged.model.sources.releases import RELEASES, released

# The post's table, exact as published (5 Nov 2019): accuracy in % on nucleus samples, trained on
# (row), tested on (column).
PUBLISHED_SIZES = ("124M", "355M", "774M", "1.5B")
PUBLISHED = (
    (99.3, 96.6, 90.9, 79.3),
    (99.0, 98.5, 96.9, 91.8),
    (98.4, 97.9, 97.9, 95.7),
    (96.9, 96.7, 96.6, 96.0),
)
# The output dataset's baseline, TF-IDF and logistic regression, by sampling method: accuracy in %,
# trained and tested on each of these sizes; of nucleus samples none was published.
PUBLISHED_TFIDF = {
    "temperature-1": (88.29, 88.94, 77.16, 74.31),
    "top-k-40": (96.79, 95.22, 94.43, 92.69),
}


def are_published(models: Sequence[str]) -> bool:
    """Whether these are the four sizes of the published tables, in their order."""
    return [released(name) for name in models] == list(RELEASES)


@dataclass(frozen=True)
class Matrix:
    """One table: `cells[i][j]` is measured on column j by the detector trained on row i, or None
    where it was not.
    """

    detector: str
    fixed: str  # what rows and columns have in common: the sampling method, or the model
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]


def by_size(cells: Sequence[Cell], detector: str, method: str) -> Matrix:
    """The post's table, of one sampling method: trained on a size (row), tested on one (column)."""
    sizes = values(cells, "trained_on")
    fixed = {"detector": detector, "trained_method": method, "tested_method": method}
    rows = tuple(
        tuple(_find(cells, trained_on=row, tested_on=column, **fixed) for column in sizes)
        for row in sizes
    )
    return Matrix(detector, method, sizes, sizes, rows)


def by_method(cells: Sequence[Cell], detector: str, model: str) -> Matrix:
    """Of one model: trained on a sampling method or the mix (row), tested on one (column)."""
    trained, tested = values(cells, "trained_method"), values(cells, "tested_method")
    fixed = {"detector": detector, "trained_on": model, "tested_on": model}
    rows = tuple(
        tuple(_find(cells, trained_method=row, tested_method=column, **fixed) for column in tested)
        for row in trained
    )
    return Matrix(detector, model, trained, tested, rows)


def _find(cells: Sequence[Cell], **wanted: str) -> Cell | None:
    return next(
        (
            cell
            for cell in cells
            if all(getattr(cell, key) == value for key, value in wanted.items())
        ),
        None,
    )
