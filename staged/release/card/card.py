"""Evidence and words → a card's content as JSON: every number stands in a row with the id of what
it was read from.

Sections: Mitchell et al., Model Cards for Model Reporting (2019), https://arxiv.org/abs/1810.03993.
The headings inside them are those of GPT-2's own card (November 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from staged.cells import Cell, values
from staged.errors import PlanError
from staged.release.card.measured import Evidence, Study
from staged.release.card.paragraphs import Words
from staged.settings import nearest
from staged.storage.placeless import place_name

__all__ = ["RATES", "SECTIONS", "card_of", "shown_method"]

SECTIONS = (
    "Model Details",
    "Intended Use",
    "Factors",
    "Metrics",
    "Evaluation Data",
    "Training Data",
    "Quantitative Analyses",
    "Ethical Considerations",
    "Caveats and Recommendations",
)
RATES = {
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "tpr_at_fpr_1": "TPR at 1% FPR",
    "fpr_1": "FPR achieved there",
    "tpr_at_fpr_5": "TPR at 5% FPR",
    "fpr_5": "FPR achieved there",
}
MIX = "mix"


def card_of(
    evidence: Evidence,
    words: Words,
    *,
    models: Sequence[str] = (),
    decision: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The whole content of a card.

    Args:
        evidence: at least one study in it, release or fine-tuning.
        words: the hand-written paragraphs.
        models: which of the studied models the card is about; all when empty.
        decision: how the release was decided, as `decision.json` holds it.

    Raises:
        PlanError: no study was given, or it does not know one of the models.
    """
    if not evidence.models:
        raise PlanError("a card needs a study: give the folder of a finished `staged study` too")
    for model in models:
        if model not in evidence.models:
            raise PlanError(
                f"model {model!r} is in none of the studies; {nearest(model, evidence.models)}"
            )
    chosen = [model for model in evidence.models if not models or model in models]
    card: dict[str, Any] = {
        "title": words.title.strip() or ", ".join(chosen),
        "words": asdict(words),
        "models": [dict(evidence.facts[model]) for model in chosen],
        "studies": [_study_facts(study) for study in evidence.studies],
        "analyses": [
            analysis
            for study in evidence.studies
            for model in chosen
            for analysis in _analyses(study, model)
        ],
        "findings": [
            dict(one) | {"id": f"{study.name}/findings.json"}
            for study in evidence.studies
            for one in _claims(study)
        ],
        "sentences": [
            one["text"] for one in evidence.sentences if set(one["models"]) & set(chosen)
        ],
        "effects": [asdict(one) for one in evidence.effects if one.model in chosen],
        "credibility": [asdict(one) for one in evidence.credibility if one.model in chosen],
        "compared": [one["text"] for one in evidence.compared if set(one["models"]) & set(chosen)],
        "drops": [dict(one) for one in evidence.drops if one["model"] in chosen],
        "decision": dict(decision) if decision else None,
    }
    return card | {"blanks": _blanks(card, words, chosen)}


def shown_method(study: Study) -> str:
    """The sampling method that stands for all where one must: the 2019 post's nucleus, else the
    study's first.
    """
    methods = values(list(study.cells.values()), "tested_method")
    return "nucleus" if "nucleus" in methods else methods[0]


def _study_facts(study: Study) -> dict[str, Any]:
    settings = study.facts["settings"]
    return {
        "name": study.name,
        "title": settings["title"],
        "source": place_name(settings["corpus"]["source"]),
        "length_tokens": settings["length_tokens"],
        "methods": settings["methods"],
        "detectors": settings["detectors"],
        "passages": study.facts["corpus"]["passages"],
        "sources": study.facts["corpus"]["sources"],
        "versions": study.facts["versions"],
        "id": f"{study.name}/study.json",
    }


def _claims(study: Study) -> list[dict[str, Any]]:
    return [
        {key: one[key] for key in ("claim", "test", "verdict")}
        | {"comparisons": len(one["comparisons"])}
        for one in study.findings
    ]


def _analyses(study: Study, model: str) -> list[dict[str, Any]]:
    """The tables about one model: by one factor at a time (unitary), and by two together
    (intersectional).
    """
    cells = list(study.cells.values())
    matrix_tokens = study.facts["settings"]["length_tokens"]
    method = shown_method(study)
    here = [one for one in cells if one.tested_on == model]
    own = [one for one in here if one.trained_on == model and one.length_tokens == matrix_tokens]
    matched = [one for one in own if one.trained_method == one.tested_method]
    lengths = [
        one
        for one in here
        if one.trained_on == model and one.trained_method == MIX and one.tested_method == method
    ]
    sizes = [
        one
        for one in here
        if one.length_tokens == matrix_tokens and one.trained_method == one.tested_method == method
    ]
    crossed = [one for one in own if one.trained_method != one.tested_method]
    tables = (
        ("unitary", "by sampling method, each by a detector trained on it", matched),
        ("unitary", f"by the size that the detector was trained on, {method} samples", sizes),
        (
            "unitary",
            f"by length, detectors trained on all methods, {method} samples",
            sorted(lengths, key=_by_length),
        ),
        ("intersectional", "sampling method trained on × tested on", crossed),
    )
    return [
        {
            "kind": kind,
            "model": model,
            "study": study.name,
            "what": what,
            "cells": [asdict(one) for one in rows],
        }
        for kind, what, rows in tables
        if rows
    ]


def _by_length(cell: Cell) -> tuple[str, int]:
    return cell.detector, cell.length_tokens


def _blanks(card: Mapping[str, Any], words: Words, models: Sequence[str]) -> list[dict[str, str]]:
    """What the card does not know yet, and what fills it."""
    blanks = [
        {"key": key, "what": heading, "fill": f"write `{key}` in card.toml"}
        for key, heading in words.unwritten().items()
    ]
    for model in card["models"]:
        if model["valid_loss_nats_per_token"] is None:
            fill = f"`staged evaluate-lm {model['name']} TEXT`, or train it with `staged train`"
            blanks.append(
                {
                    "key": f"loss:{model['name']}",
                    "what": f"held-out loss of {model['name']}",
                    "fill": fill,
                }
            )
        if not any(table["model"] == model["name"] for table in card["analyses"]):
            fill = f"`staged study` with {model['name']!r} among its models"
            blanks.append(
                {
                    "key": f"detection:{model['name']}",
                    "what": f"detection of {model['name']}'s samples",
                    "fill": fill,
                }
            )
    return blanks + _unprobed(card, models)


def _unprobed(card: Mapping[str, Any], models: Sequence[str]) -> list[dict[str, str]]:
    found = []
    for key, what, name, command in (
        ("effects", "bias probes", "bias", "`staged bias {} --out out/bias`"),
        (
            "credibility",
            "human credibility",
            "survey",
            "`staged survey make {} --out out/survey`, people's answers, `staged survey tally`",
        ),
    ):
        missing = [model for model in models if model not in {row["model"] for row in card[key]}]
        if missing:
            fill = (
                f"{command.format(' '.join(missing))}, then name out/{name} among the card's"
                " folders"
            )
            found.append({"key": name, "what": f"{what} of {', '.join(missing)}", "fill": fill})
    return found
