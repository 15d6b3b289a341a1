"""What the hub reads of a card: the YAML at its head, with the model-index of what the card is of.

A language model's index holds what texts cost it; a detector's, in the detector's own card, how
well it tells texts. https://huggingface.co/docs/hub/model-cards#evaluation-results
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from staged.cells import Cell, length_of
from staged.pages.figures import estimate
from staged.release.card.markdown import RATES
from staged.release.card.measured import Quality
from staged.release.card.paragraphs import Words

__all__ = ["QUALITIES", "detector_results", "front_matter", "language_results"]

# field of a quality → the kind of metric, and what it is called
QUALITIES = {
    "nats_per_token": ("cross_entropy", "nats per token"),
    "bits_per_byte": ("bits_per_byte", "bits per byte"),
    "perplexity_per_word": ("perplexity", "perplexity per word"),
}
KINDS = {"accuracy": "accuracy", "auroc": "roc_auc", "tpr_at_fpr_1": "recall"}


def front_matter(name: str, words: Words, results: list[EvalResult], **facts: Any) -> str:
    """The YAML between its two lines.

    Args:
        name: of what the model-index is of.
        results: in the model-index; without any there is none.
        facts: other fields of `ModelCardData`.
    """
    languages = words.languages
    data = ModelCardData(
        model_name=name if results else None,
        license=words.license or None,
        license_name=words.license_name or None,
        license_link=words.license_link or None,
        language=languages[0] if len(languages) == 1 else languages or None,
        eval_results=results or None,
        **facts,
    )
    return f"---\n{data.to_yaml(line_break=chr(10))}\n---\n"


def language_results(qualities: Iterable[Quality]) -> list[EvalResult]:
    """What each text costs a language model."""
    return [
        EvalResult(
            task_type="text-generation",
            task_name="language modelling",
            dataset_type=quality.text,
            dataset_name=quality.text,
            metric_type=kind,
            metric_name=f"{name}, {quality.model}",
            metric_value=getattr(quality, field),
            metric_args=_quality_trace(quality, field),
        )
        for quality in qualities
        for field, (kind, name) in QUALITIES.items()
        if getattr(quality, field) is not None
    ]


def _quality_trace(quality: Quality, field: str) -> dict[str, Any]:
    trace: dict[str, Any] = {"row": quality.id, "field": field}
    if field == "bits_per_byte" and quality.bits_per_byte_low is not None:
        _, trace["low"], trace["high"] = estimate(quality, field)
    return trace | {"documents": quality.documents, "tokens": quality.tokens}


def detector_results(cells: Mapping[Cell, str]) -> list[EvalResult]:
    """How well a detector tells each set of samples from human text.

    Args:
        cells: each with the name of its human text.
    """
    return [
        EvalResult(
            task_type="text-classification",
            task_name="detection of generated text",
            dataset_type=human,
            dataset_name=f"{human} (human) against {cell.tested_on}, {cell.tested_method}",
            dataset_config=_texts(cell),
            dataset_split="test",
            metric_type=kind,
            metric_name=f"{RATES[field]}, {cell.detector}",
            metric_value=getattr(cell, field),
            metric_args=_cell_trace(cell, field),
        )
        for cell, human in cells.items()
        for field, kind in KINDS.items()
        if getattr(cell, field) is not None
    ]


def _texts(cell: Cell) -> str:
    """Whose texts, by which method, how long; a number alone is of tokens."""
    length, unit = length_of(cell)
    shown = f"{length}" if unit == "tokens" else f"{length} {unit}"
    return f"{cell.tested_on}/{cell.tested_method}/{shown}"


def _cell_trace(cell: Cell, field: str) -> dict[str, Any]:
    _, low, high = estimate(cell, field)
    counts = {"n_human": cell.n_human, "n_machine": cell.n_machine}
    return {"cell": cell.id, "field": field, "low": low, "high": high} | counts
