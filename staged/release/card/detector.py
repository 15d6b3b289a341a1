"""The card of the detector in a package: its figures are its own, not the language model's."""

from __future__ import annotations

from collections.abc import Iterator

from staged.cells import Cell, length_of
from staged.release.card.card import shown_method
from staged.release.card.contents import DetectorCard, DetectorTable
from staged.release.card.measured import Evidence, Study
from staged.release.card.paragraphs import Words
from staged.storage.placeless import place_name

__all__ = ["detector_card"]


def detector_card(evidence: Evidence, words: Words, *, model: str, detector: str) -> DetectorCard:
    """What the studies measured of one detector.

    Args:
        words: the package's; of them licence and language.
        model: the package's language model, whose texts the figures are of.
        detector: `KIND/MODEL/METHOD` as the study that trained it calls it; empty where none did.
    """
    kind, trained_on, method = detector.split("/") if detector else ("", "", "")
    tables = tuple(
        table
        for study in evidence.studies
        for table in _tables(study, model, (kind, trained_on, method))
    )
    title = f"Detector of {model}'s text"
    return DetectorCard(title, words, model, kind, trained_on, method, tables)


def _tables(study: Study, model: str, detector: tuple[str, str, str]) -> Iterator[DetectorTable]:
    tokens, method = study.facts.settings.length_tokens, shown_method(study)
    own = [
        cell
        for cell in study.cells.values()
        if (cell.detector, cell.trained_on, cell.trained_method) == detector
    ]
    matrix = [c for c in own if c.length_tokens == tokens]
    by_method = [c for c in matrix if c.tested_on == model]
    by_model = [c for c in matrix if c.tested_method == method]
    by_length = [c for c in own if c.tested_on == model and c.tested_method == method]
    length = " ".join(map(str, length_of(matrix[0]))) if matrix else ""
    source = place_name(study.facts.settings.corpus.source)
    for what, cells in (
        (f"{model}'s texts by sampling method, {length}", by_method),
        (f"texts of every model, {method} samples, {length}", by_model),
        (f"{model}'s texts by length, {method} samples", sorted(by_length, key=_length)),
    ):
        if cells:
            yield DetectorTable(study.name, source, what, tuple(cells))


def _length(cell: Cell) -> int:
    return cell.length_tokens
