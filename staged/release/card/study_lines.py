"""What a card's Evaluation Data says of a study: its human text, and how its machine texts came to
be.
"""

from __future__ import annotations

from staged.release.card.contents import StudyLine
from staged.release.card.measured import Study
from staged.storage.placeless import place_name
from staged.studies.detection.results import STUDY, RecordedCorpus

__all__ = ["study_line"]


def study_line(study: Study) -> StudyLine:
    """A study as a card shows it."""
    settings, corpus = study.facts.settings, study.facts.corpus
    return StudyLine(
        name=study.name,
        title=settings.title,
        source=place_name(settings.corpus.source),
        length_tokens=settings.length_tokens,
        methods=settings.methods,
        detectors=settings.detectors,
        passages=corpus.passages,
        sources=corpus.sources,
        versions=study.facts.versions,
        id=f"{study.name}/{STUDY}",
        human_text=_described(settings.corpus),
        length_words=_length_words(study),
    )


def _described(corpus: RecordedCorpus) -> str | None:
    """What the plan said of a text, in a line; None where it said nothing."""
    return ", ".join(filter(None, (corpus.title, corpus.licence, corpus.url))) or None


def _length_words(study: Study) -> int | None:
    """What the matrix's texts are cut to; None where that is tokens."""
    tokens = study.facts.settings.length_tokens
    matrix = (cell for cell in study.cells.values() if cell.length_tokens == tokens)
    return next((cell.length_words for cell in matrix), None)
