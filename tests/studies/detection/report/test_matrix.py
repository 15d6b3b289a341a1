"""The tables a reader looks at: rows were trained on, columns tested on, in the order of the
cells.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from staged.cells import Cell, load_cells, values
from staged.errors import ArtifactError
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.report.matrix import PUBLISHED, PUBLISHED_SIZES, by_method, by_size
from tests.studies.detection.made import every_key, measured

SETTINGS = StudySettings(
    models=("s", "xl", "m"),
    methods=("top-k-40", "nucleus"),
    detectors=("tfidf", "roberta"),
    lengths=(64,),
)
CELLS = [measured(key, 64, [True], [True]).cell for key in every_key(SETTINGS)]


def ids(table: tuple[tuple[Cell | None, ...], ...]) -> list[list[str]]:
    return [[cell.id if cell else "" for cell in row] for row in table]


def test_by_size() -> None:
    found = by_size(CELLS, "roberta", "nucleus")
    assert (found.detector, found.fixed) == ("roberta", "nucleus")
    assert found.rows == found.columns == ("s", "xl", "m")
    assert ids(found.cells) == [
        [f"roberta/{row}/nucleus/{column}/nucleus/64" for column in found.columns]
        for row in found.rows
    ]


def test_by_method() -> None:
    """The mix is trained on and never tested on, so this table is no square."""
    found = by_method(CELLS, "tfidf", "xl")
    assert (found.detector, found.fixed) == ("tfidf", "xl")
    assert (found.rows, found.columns) == (("top-k-40", "nucleus", MIX), ("top-k-40", "nucleus"))
    assert ids(found.cells) == [
        [f"tfidf/xl/{row}/xl/{column}/64" for column in found.columns] for row in found.rows
    ]


def test_what_was_not_measured_is_a_blank() -> None:
    cells = [cell for cell in CELLS if cell.id != "tfidf/s/nucleus/m/nucleus/64"]
    found = by_size(cells, "tfidf", "nucleus")
    assert [[cell is None for cell in row] for row in found.cells] == [
        [False, False, True],
        [False] * 3,
        [False] * 3,
    ]
    cells = [cell for cell in CELLS if cell.id != "tfidf/s/mix/s/nucleus/64"]
    assert [[cell is None for cell in row] for row in by_method(cells, "tfidf", "s").cells] == [
        *([False, False], [False, False], [False, True])
    ]
    assert {cell for row in by_size(CELLS, "other", "nucleus").cells for cell in row} == {None}


def test_values_come_in_the_order_of_the_cells() -> None:
    assert values(CELLS, "trained_on") == ("s", "xl", "m")
    assert values(CELLS[::-1], "trained_on") == ("m", "xl", "s")
    assert values(CELLS, "tested_method") == ("top-k-40", "nucleus")
    assert values([], "detector") == ()


def test_cells_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "cells.json"
    path.write_text(json.dumps([asdict(cell) for cell in CELLS]))
    assert load_cells(path) == CELLS
    for rows, says in (
        ([{"id": "a"}], r"\[0\] has no 'detector'; run the study again"),
        ([1], r"\[0\] is not an object"),
        (7, "it is not a list"),
    ):
        path.write_text(json.dumps(rows))
        with pytest.raises(ArtifactError, match=says):
            load_cells(path)


def test_the_published_table() -> None:
    """Trained on 124M, tested on 1.5B: 79.3; the other way round 96.9."""
    assert PUBLISHED_SIZES == ("124M", "355M", "774M", "1.5B")
    assert (PUBLISHED[0][3], PUBLISHED[3][0]) == (79.3, 96.9)
    assert [sum(row) for row in PUBLISHED] == pytest.approx([366.1, 386.2, 389.9, 386.2])
    assert [sum(column) for column in zip(*PUBLISHED, strict=True)] == pytest.approx(
        [393.6, 389.7, 382.3, 362.8]
    )
