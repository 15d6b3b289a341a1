"""Evidence and words → a card's content: every number stands in a row with the id of what it was
read from.

Sections: Mitchell et al., Model Cards for Model Reporting (2019), https://arxiv.org/abs/1810.03993.
The headings inside them are those of GPT-2's own card (November 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from staged.cells import Cell, values
from staged.errors import PlanError
from staged.notes import note
from staged.release.card.contents import Analysis, Blank, Card, Claim
from staged.release.card.measured import (
    Evidence,
    Said,
    StudiedModel,
    Study,
    is_given,
    is_served,
)
from staged.release.card.paragraphs import Words
from staged.release.card.study_lines import study_line
from staged.release.outcomes import Decision
from staged.settings import nearest
from staged.studies.detection.results import FINDINGS, GalleryText

__all__ = ["MIX", "SECTIONS", "blank_keys", "card_of", "shown_method"]

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
MIX = "mix"
DEFAULT_METHOD = "nucleus"
SHOWN_LETTERS = 600  # of a sample


def card_of(
    evidence: Evidence,
    words: Words,
    *,
    models: Sequence[str] = (),
    decision: Decision | None = None,
) -> Card:
    """The whole content of a card.

    Args:
        evidence: at least one study in it, release or fine-tuning.
        words: the hand-written paragraphs.
        models: which of the studied models the card is about; all when empty.
        decision: how the release was decided.

    Raises:
        PlanError: no study was given, or it does not know one of the models.
    """
    chosen = _chosen(evidence, models)
    _note_unknown(evidence)
    card = Card(
        title=words.title.strip() or ", ".join(chosen),
        words=words,
        models=tuple(evidence.facts[model] for model in chosen),
        studies=tuple(map(study_line, evidence.studies)),
        analyses=tuple(
            analysis
            for study in evidence.studies
            for model in chosen
            for analysis in _analyses(study, model)
        ),
        findings=tuple(claim for study in evidence.studies for claim in _claims(study)),
        sentences=_about(chosen, evidence.sentences),
        effects=tuple(effect for effect in evidence.effects if effect.model in chosen),
        credibility=tuple(row for row in evidence.credibility if row.model in chosen),
        compared=_about(chosen, evidence.compared),
        drops=tuple(drop for drop in evidence.drops if drop.model in chosen),
        decision=decision,
        loads=_loads(evidence, chosen),
        method=shown_method(evidence.studies[0]) if evidence.studies else DEFAULT_METHOD,
        samples=tuple(
            sample
            for model in chosen
            for study in evidence.studies
            for sample in _samples(study, model)
        ),
        qualities=tuple(row for row in evidence.qualities if row.model in chosen),
        trainings=tuple(row for row in evidence.trainings if row.model in chosen),
    )
    return replace(card, blanks=(*_unwritten(words), *_unmeasured(card), *_unprobed(card)))


def _chosen(evidence: Evidence, models: Sequence[str]) -> list[str]:
    if not evidence.models:
        raise PlanError("a card needs a study: give the folder of a finished `staged study` too")
    for model in models:
        if model not in evidence.models:
            raise PlanError(
                f"model {model!r} is in none of the studies; {nearest(model, evidence.models)}"
            )
    return [model for model in evidence.models if not models or model in models]


def _note_unknown(evidence: Evidence) -> None:
    """What is of a model that no study has is not shown without a word."""
    rows = {row.id: row.model for row in evidence.trainings}
    rows |= {row.id: row.model for row in evidence.qualities}
    for id, model in rows.items():
        if model not in evidence.models:
            note(
                f"{id}: no study has a model {model!r}, so the card leaves it out; their models are"
                f" {', '.join(evidence.models)}"
            )


def _loads(evidence: Evidence, models: Sequence[str]) -> str:
    """The first model with files that can be loaded: one behind a server has none."""
    facts = (evidence.facts[model] for model in models)
    return next((model.name for model in facts if model.files or model.parameters is not None), "")


def _samples(study: Study, model: str) -> Iterator[GalleryText]:
    """The first text of each method, whatever it says; its beginning where it is long."""
    seen: set[str] = set()
    for sample in study.samples:
        if sample.model == model and sample.method not in seen:
            seen.add(sample.method)
            text = sample.text.strip()
            cut = f"{text[:SHOWN_LETTERS].rpartition(' ')[0] or text[:SHOWN_LETTERS]} …"
            yield replace(sample, text=text if len(text) <= SHOWN_LETTERS else cut)


def _about(models: Sequence[str], sentences: Sequence[Said]) -> tuple[str, ...]:
    return tuple(sentence.text for sentence in sentences if set(sentence.models) & set(models))


def shown_method(study: Study) -> str:
    """The sampling method that stands for all where one must: the 2019 post's nucleus, else the
    study's first.
    """
    methods = values(list(study.cells.values()), "tested_method")
    return "nucleus" if "nucleus" in methods else methods[0]


def _claims(study: Study) -> list[Claim]:
    id = f"{study.name}/{FINDINGS}"
    return [
        Claim(finding.claim, finding.test, finding.verdict, len(finding.comparisons), id)
        for finding in study.findings
    ]


def _analyses(study: Study, model: str) -> list[Analysis]:
    """The tables about one model: by one factor (unitary), by two together (intersectional)."""
    cells = list(study.cells.values())
    matrix_tokens = study.facts.settings.length_tokens
    method = shown_method(study)
    tested = [cell for cell in cells if cell.tested_on == model]
    matrix = [
        cell for cell in tested if cell.trained_on == model and cell.length_tokens == matrix_tokens
    ]
    matched = [cell for cell in matrix if cell.trained_method == cell.tested_method]
    lengths = [
        cell
        for cell in tested
        if cell.trained_on == model and cell.trained_method == MIX and cell.tested_method == method
    ]
    sizes = [
        cell
        for cell in tested
        if cell.length_tokens == matrix_tokens
        and cell.trained_method == cell.tested_method == method
    ]
    crossed = [cell for cell in matrix if cell.trained_method != cell.tested_method]
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
        Analysis(kind, model, study.name, what, tuple(rows)) for kind, what, rows in tables if rows
    ]


def _by_length(cell: Cell) -> tuple[str, int]:
    return cell.detector, cell.length_tokens


def blank_keys(models: Sequence[str]) -> tuple[str, ...]:
    """Keys of all the blanks that a card of some of these models can have."""
    of_models = (f"{what}:{model}" for model in models for what in ("loss", "detection"))
    return (*Words().unwritten(), *of_models, "samples", "bias", "survey")


def _unwritten(words: Words) -> list[Blank]:
    return [
        Blank(key, heading, f"write `{key}` in card.toml")
        for key, heading in words.unwritten().items()
    ]


def _unmeasured(card: Card) -> list[Blank]:
    """What no study says of the models."""
    blanks = []
    for model in card.models:
        evaluated = any(row.model == model.name for row in card.qualities)
        if model.valid_loss_nats_per_token is None and not evaluated:
            what = f"held-out loss of {model.name}"
            blanks.append(Blank(f"loss:{model.name}", what, _loss_fill(model)))
        if not any(table.model == model.name for table in card.analyses):
            fill = f"`staged study` with {model.name!r} among its models"
            what = f"detection of {model.name}'s samples"
            blanks.append(Blank(f"detection:{model.name}", what, fill))
    lacking = [m.name for m in card.models if m.name not in {row.model for row in card.samples}]
    if lacking:
        fill = f"the gallery.json of a `staged study` of {', '.join(lacking)}"
        blanks.append(Blank("samples", f"sample outputs of {', '.join(lacking)}", fill))
    return blanks


def _loss_fill(model: StudiedModel) -> str:
    """What measures a model's held-out loss."""
    if is_served(model) or is_given(model):
        return "a loss cannot be measured without the model's weights"
    return f"`staged evaluate-lm {model.name} TEXT --out FILE.json`, then name that file too"


def _unprobed(card: Card) -> list[Blank]:
    """What neither probes nor people say of the models."""
    blanks = []
    for rows, what, name, command in (
        (card.effects, "bias probes", "bias", "`staged bias {} --out out/bias`"),
        (
            card.credibility,
            "human credibility",
            "survey",
            "`staged survey make {} --out out/survey`, people's answers, `staged survey tally`",
        ),
    ):
        measured = {row.model for row in rows}
        missing = [model for model in card.models if model.name not in measured]
        if missing:
            names = ", ".join(model.name for model in missing)
            fill = _asking_fill(missing, command, f"out/{name}")
            blanks.append(Blank(name, f"{what} of {names}", fill))
    return blanks


def _asking_fill(models: Sequence[StudiedModel], command: str, out: str) -> str:
    """What measures models by asking them: those behind a server by their address; texts that
    somebody had cannot be asked.

    Args:
        command: with `{}` for the models.
    """
    here = [model for model in models if not is_given(model)]
    given = ", ".join(model.name for model in models if is_given(model))
    without = f"of {given} there are texts alone, and no model to ask" if given else ""
    if not here:
        return without
    named = " ".join(f"openai:{m.name}@URL" if is_served(m) else m.name for m in here)
    fill = f"{command.format(named)}, then name {out} among the card's folders"
    address = "in `openai:NAME@URL` NAME is what the server calls the model, URL its address"
    return "; ".join(filter(None, (fill, address if any(map(is_served, here)) else "", without)))
