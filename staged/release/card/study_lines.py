"""What a card's Evaluation Data says of a study: its human text, and how its machine texts came to
be.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

from staged.release.card.contents import StudyLine
from staged.release.card.measured import Study, is_given, is_served
from staged.release.card.read_language import last_name
from staged.storage.placeless import place_name
from staged.storage.records import from_json
from staged.studies.detection.results import AGAIN, STUDY, RecordedCorpus
from staged.studies.generators.prompts import ChatSettings

__all__ = ["study_line"]

SHOWN_TASKS, SHOWN_LETTERS = 3, 300  # of a prompt


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
        written=tuple(filter(None, (of(study) for of in (_openings, _tasks, _given, _served)))),
    )


def _described(corpus: RecordedCorpus) -> str | None:
    """What the plan said of a text, in a line; None where it said nothing."""
    return ", ".join(filter(None, (corpus.title, corpus.licence, corpus.url))) or None


def _length_words(study: Study) -> int | None:
    """What the matrix's texts are cut to; None where that is tokens."""
    tokens = study.facts.settings.length_tokens
    matrix = (cell for cell in study.cells.values() if cell.length_tokens == tokens)
    return next((cell.length_words for cell in matrix), None)


def _openings(study: Study) -> str:
    """What models continue, in a sentence; empty where they begin by themselves."""
    words = study.facts.settings.opening_words
    if not words:
        return ""
    asked = _asked(study)
    continuing = [name for name in _writing(study) if name not in asked]
    cut = f"The first {words} words of human passages are cut off"
    if not continuing:
        return f"{cut}."
    names = _names(study, continuing)
    return f"{cut}; {names} continued such words, which are no part of what is tested."


def _tasks(study: Study) -> str:
    """What instruct models were asked, in a sentence; empty without."""
    chat = _chat(study)
    if chat is None:
        return ""
    shown = ", ".join(map(_quoted, chat.tasks[:SHOWN_TASKS]))
    more = len(chat.tasks) - SHOWN_TASKS
    opening = "; {opening} stands for such words, which are cut off an answer that begins with them"
    return (
        f"Tasks of {_names(study, _asked(study))}{', in turn' if len(chat.tasks) > 1 else ''}:"
        f" {shown}"
        + (f" and {more} more" if more > 0 else "")
        + (opening if chat.has_openings else "")
        + (f"; before each stood the system text {_quoted(chat.system)}" if chat.system else "")
        + "."
    )


def _given(study: Study) -> str:
    """Which texts somebody had, in a sentence; empty without."""
    texts = study.facts.settings.samples
    if texts is None:
        return ""
    rows = [row.model for row in study.facts.given or ()]
    names = list(dict.fromkeys([*rows, *(m.name for m in study.facts.models if is_given(m))]))
    described = _described(texts)
    return (
        f"Texts of {_names(study, names)} were given, not written for the study:"
        f" {place_name(texts.source)}" + (f" ({described})." if described else ".")
    )


def _served(study: Study) -> str:
    """What a server leaves open, in a sentence; empty without."""
    names = [model.name for model in study.facts.models if is_served(model)]
    if not names:
        return ""
    return (
        f"{', '.join(names)} wrote behind a server: the methods are what it was asked for, its own"
        " sampling may differ, and the same seed need not give the same text."
    )


def _chat(study: Study) -> ChatSettings | None:
    """How the study's instruct models were asked."""
    table = study.facts.settings.others.get("chat")
    if not table:
        return None
    return from_json(ChatSettings, table, where=f"{study.folder / STUDY}: chat", again=AGAIN)


def _asked(study: Study) -> list[str]:
    """The models that answered tasks."""
    chat = _chat(study)
    if chat is None:
        return []
    named = [last_name(model) for model in chat.models]
    return [name for name in _writing(study) if not named or name in named]


def _writing(study: Study) -> list[str]:
    """The models that wrote for the study."""
    return [model.name for model in study.facts.models if not is_given(model)]


def _names(study: Study, models: Sequence[str]) -> str:
    """Models in a sentence."""
    is_all = len(models) > 1 and len(models) == len(study.facts.models)
    return "all models" if is_all else ", ".join(models)


def _quoted(text: str) -> str:
    return f"“{shorten(text, SHOWN_LETTERS, placeholder=' …')}”"
