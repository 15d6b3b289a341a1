"""A card's JSON → the hub's README.md, and the same card as one HTML page. Nothing is measured or
rounded anywhere else.
"""

from __future__ import annotations

import re
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment
from markupsafe import Markup, escape

from staged.cells import Cell
from staged.pages.figures import estimate, figure, percent
from staged.pages.rendering import environment
from staged.release.card.card import RATES, SECTIONS
from staged.release.card.contents import Card
from staged.release.card.measured import Credibility, Effect, ModelDrop, rate_of
from staged.release.outcomes import AT_ADVANCE, MET, NOT_MEASURED, NOT_MET, Decision

__all__ = ["card_html", "card_markdown", "rate_text", "templates"]

BLANK = "—"  # a figure that was not measured; never 0
STATES = (MET, NOT_MET, NOT_MEASURED, AT_ADVANCE)
INLINE = ((r"`([^`]+)`", "code"), (r"\*\*([^*]+)\*\*", "b"), (r"\*([^*]+)\*", "em"))


def card_markdown(card: Card) -> str:
    """The hub's model card: YAML that the hub validates, with model-index, and nine sections."""
    text = templates(html=False).get_template("card.md").render(card=card, **_names(card))
    return f"---\n{_metadata(card).to_yaml(line_break=chr(10))}\n---\n\n{text.strip()}\n"


def card_html(card: Card) -> str:
    """The same card as one self-contained page."""
    return templates(html=True).get_template("card.html").render(card=card, **_names(card))


def rate_text(cell: Cell, field: str) -> str:
    """A rate with its 95% interval in %, as every table shows it: `80.0 [78.7, 81.2]`."""
    measured = rate_of(cell, field)
    return BLANK if measured is None else percent(*measured)


def templates(*, html: bool) -> Environment:
    """Templates of this room."""
    engine = environment("staged.release.card", html=html)
    engine.filters |= {
        "rate": rate_text,
        "number": _number,
        "paragraphs": _paragraphs,
        "interval": _interval,
        "inline": _inline,
        "summary": _summary,
        "points": _points,
    }
    return engine


def _names(card: Card) -> dict[str, Any]:
    unfilled = {blank.key: blank for blank in card.blanks}
    return {"rates": RATES, "sections": SECTIONS, "unfilled": unfilled}


def _number(value: float | int | None, digits: int = 3) -> str:
    if value is None:
        return BLANK
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def _interval(row: Effect | Credibility, field: str) -> str:
    """A value with its interval where it has one: `0.12 [0.03, 0.21]`."""
    return figure(getattr(row, field), row.low, row.high, form=".2f")


def _points(row: ModelDrop, field: str) -> str:
    """A fraction with its interval in %: `21.3 [18.0, 24.9]`."""
    return BLANK if getattr(row, field) is None else percent(*estimate(row, field))


def _paragraphs(text: str) -> Markup:
    """Paragraphs of Markdown, parted by blank lines, as HTML, with what `_inline` knows."""
    return Markup("").join(
        Markup("<p>{}</p>").format(_inline(" ".join(part.split())))
        for part in text.split("\n\n")
        if part.strip()
    )


def _inline(text: str) -> Markup:
    """A line of Markdown as HTML: code, bold, emphasis; everything else stays text."""
    shown = str(escape(text))
    for mark, tag in INLINE:
        shown = re.sub(mark, rf"<{tag}>\1</{tag}>", shown)
    return Markup(shown)


def _summary(decision: Decision) -> list[str]:
    """How many gates are in each state, and which are open: a line each."""
    gates = {
        state: [outcome.gate for outcome in decision.gates if outcome.state == state]
        for state in STATES
    }
    shown = {AT_ADVANCE: "left to the building of the package"}
    return [
        f"{len(names)} {shown.get(state, state)}"
        + (f": {'; '.join(names)}" if state != MET else "")
        for state, names in gates.items()
        if names
    ]


def _metadata(card: Card) -> ModelCardData:
    words, languages = card.words, card.words.languages
    return ModelCardData(
        model_name=card.title,
        license=words.license or None,
        license_name=words.license_name or None,
        license_link=words.license_link or None,
        language=languages[0] if len(languages) == 1 else languages or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["staged-release", "machine-text-detection"],
        metrics=["accuracy", "roc_auc"],
        eval_results=_results(card) or None,
    )


def _results(card: Card) -> list[EvalResult]:
    """The model-index: how well a detector trained on each model and method tells its samples from
    human text.
    """
    sources = {study.name: study.source for study in card.studies}
    kinds = {"accuracy": "accuracy", "auroc": "roc_auc", "tpr_at_fpr_1": "recall"}
    return [
        EvalResult(
            task_type="text-classification",
            task_name="detection of generated text",
            dataset_type=sources[table.study],
            dataset_name=(
                f"{sources[table.study]} (human) against {cell.tested_on}, {cell.tested_method}"
            ),
            dataset_config=f"{cell.tested_on}/{cell.tested_method}/{cell.length_tokens}",
            dataset_split="test",
            metric_type=kind,
            metric_name=f"{RATES[field]}, {cell.detector}",
            metric_value=getattr(cell, field),
            metric_args=_trace(cell, field),
        )
        for table in card.analyses
        if table.what.startswith("by sampling method")
        for cell in table.cells
        for field, kind in kinds.items()
        if getattr(cell, field) is not None
    ]


def _trace(cell: Cell, field: str) -> dict[str, Any]:
    _, low, high = estimate(cell, field)
    return {
        "cell": cell.id,
        "field": field,
        "low": low,
        "high": high,
        "n_human": cell.n_human,
        "n_machine": cell.n_machine,
    }
