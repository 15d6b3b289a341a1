"""A card's content → the hub's README.md, and the same Markdown as one HTML page. Nothing is
measured or rounded anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment
from markupsafe import Markup

from staged.cells import Cell, length_of
from staged.pages.figures import estimate, figure, percent
from staged.pages.rendering import environment
from staged.release.card.card import SECTIONS
from staged.release.card.contents import Card, DetectorCard
from staged.release.card.markdown import (
    RATES,
    code,
    fenced,
    html_of,
    in_table,
    plain,
    quoted,
    shell_word,
)
from staged.release.card.measured import (
    Credibility,
    Effect,
    ModelDrop,
    Quality,
    StudiedModel,
    Training,
    rate_of,
)
from staged.release.card.metadata import (
    QUALITIES,
    detector_results,
    front_matter,
    language_results,
)
from staged.release.outcomes import AT_ADVANCE, MET, NOT_MEASURED, NOT_MET, Decision

__all__ = ["card_html", "card_markdown", "detector_markdown", "rate_text", "templates"]

BLANK = "—"  # a figure that was not measured; never 0
STATES = (MET, NOT_MET, NOT_MEASURED, AT_ADVANCE)
# a table of more columns is wider than the hub's page: figures stand in two
HALVES = (("accuracy", "auroc"), ("tpr_at_fpr_1", "fpr_1", "tpr_at_fpr_5", "fpr_5"))


def card_markdown(card: Card) -> str:
    """The hub's model card: YAML that the hub validates, with model-index, and nine sections."""
    head = front_matter(
        card.title,
        card.words,
        language_results(card.qualities),
        library_name="transformers" if card.loads else None,
        pipeline_tag="text-generation",
        tags=["staged-release"],
        metrics=[kind for kind, _ in QUALITIES.values()] if card.qualities else None,
    )
    return f"{head}\n{_body(card)}\n"


def card_html(card: Card) -> str:
    """The same card as one self-contained page."""
    page = templates(html=True).get_template("card.html")
    return page.render(title=card.title, body=Markup(html_of(_body(card))))


def detector_markdown(card: DetectorCard) -> str:
    """The card of the detector that a package holds."""
    results = detector_results(
        {cell: table.source for table in card.tables for cell in table.cells}
    )
    head = front_matter(
        card.title,
        card.words,
        results,
        library_name="staged",
        pipeline_tag="text-classification",
        tags=["staged-release", "machine-text-detection"],
        metrics=["accuracy", "roc_auc", "recall"] if results else None,
    )
    text = templates(html=False).get_template("detector.md").render(card=card, halves=HALVES)
    return f"{head}\n{text.strip()}\n"


def rate_text(cell: Cell, field: str) -> str:
    """A rate with its 95% interval in %, as every table shows it: `80.0 [78.7, 81.2]`."""
    measured = rate_of(cell, field)
    return BLANK if measured is None else percent(*measured)


def templates(*, html: bool) -> Environment:
    """Templates of this room."""
    engine = environment("staged.release.card", html=html)
    engine.globals |= {"rates": RATES}
    engine.filters |= {
        "plain": plain,
        "code": code,
        "row_name": _row_name,
        "fenced": fenced,
        "quoted": quoted,
        "shell_word": shell_word,
        "rate": rate_text,
        "number": _number,
        "interval": _interval,
        "bits": _bits,
        "summary": _summary,
        "points": _points,
        "cell_name": _cell_name,
        "size": _size,
        "trained": _trained,
    }
    return engine


def _body(card: Card) -> str:
    unfilled = {blank.key: blank for blank in card.blanks}
    template = templates(html=False).get_template("card.md")
    text = template.render(card=card, sections=SECTIONS, unfilled=unfilled, halves=HALVES)
    return text.strip()


def _number(value: float | int | None, digits: int = 3) -> str:
    if value is None:
        return BLANK
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def _interval(row: Effect | Credibility, field: str) -> str:
    """A value with its interval where it has one: `0.12 [0.03, 0.21]`."""
    return figure(getattr(row, field), row.low, row.high, form=".2f")


def _bits(row: Quality) -> str:
    return figure(*estimate(row, "bits_per_byte"), form=".3f")


def _points(row: ModelDrop, field: str) -> str:
    """A fraction with its interval in %: `21.3 [18.0, 24.9]`."""
    return BLANK if getattr(row, field) is None else percent(*estimate(row, field))


def _cell_name(cell: Cell, cells: Sequence[Cell]) -> str:
    """What tells a cell from the others of its table: `roberta, nucleus`."""

    def varies(field: str) -> bool:
        return len({getattr(other, field) for other in cells}) > 1

    words = [cell.detector]
    words += [f"trained on {cell.trained_on}"] if varies("trained_on") else []
    words += [f"on {cell.tested_on}"] if varies("tested_on") else []
    if varies("trained_method") and any(row.trained_method != row.tested_method for row in cells):
        words += [f"{cell.trained_method} → {cell.tested_method}"]
    elif varies("tested_method"):
        words += [cell.tested_method]
    words += [" ".join(map(str, length_of(cell)))] if varies("length_tokens") else []
    return ", ".join(words)


def _row_name(what: str, id: str) -> str:
    """The first place of a table's row: what its numbers are of, and the id."""
    return in_table(f"{plain(what)} {code(id)}")


def _size(model: StudiedModel) -> str:
    """What is known of a model: its origin, its family, its size, its shape, its held-out loss."""
    known = [plain(fact) for fact in (model.origin, model.family) if fact]
    if model.parameters is not None:
        known.append(f"{model.parameters:,} parameters")
    if model.layers is not None and model.width is not None:
        known.append(f"{model.layers:,} layers × {model.width:,}")
    size = ", ".join(known)
    if model.valid_loss_nats_per_token is None:
        return size or "size and shape are not known"
    loss = f"held-out loss {model.valid_loss_nats_per_token:.3f} nats per token"
    return f"{size}; {loss}" if size else loss


def _trained(training: Training) -> str:
    """How a model was trained, by its record."""
    began = f"from {code(training.init)}" if training.init else "from random weights"
    counts = {"passages": training.passages, "sources": training.sources}
    text = " of ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    loss = training.valid_loss_nats_per_token
    return (
        f"{training.parameters:,} parameters, {began} on {code(training.corpus)}"
        + (f" ({text})" if text else "")
        + f": {training.steps:,} steps, {training.tokens_seen:,} tokens"
        + (f"; held-out loss {loss:.3f} nats per token at the end" if loss is not None else "")
    )


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
