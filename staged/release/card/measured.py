"""What was measured, read from folders: studies (`cells.json`), fine-tuning studies
(`finetune.json`), bias probes (`bias.json`), credibility surveys (`survey.json`).

The last two are written by `staged bias` and `staged survey`; their rows are read by name, and what
else they hold is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.cells import Cell, load_cells
from staged.errors import ArtifactError
from staged.notes import note
from staged.pages.figures import estimate
from staged.stats.comparing import rate
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json

__all__ = [
    "BIAS",
    "CELLS",
    "FINETUNE",
    "SURVEY",
    "Credibility",
    "Effect",
    "Evidence",
    "Study",
    "rate_of",
    "read_evidence",
]

CELLS, FINETUNE, BIAS, SURVEY = "cells.json", "finetune.json", "bias.json", "survey.json"


@dataclass(frozen=True)
class Study:
    """One finished study: its cells by id (the matrices' and the length curve's), its findings and
    its facts.
    """

    name: str
    folder: Path
    cells: Mapping[str, Cell]
    findings: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Effect:
    """One difference between two groups that a bias probe measured on one model.

    `effect` is in standard deviations, or in the measure's own unit where the probe gives none;
    `low` and `high`: its 95% interval.
    """

    id: str
    model: str
    probe: str
    groups: str
    effect: float
    low: float | None
    high: float | None
    n: int | None
    p_holm: float | None
    verdict: str


@dataclass(frozen=True)
class Credibility:
    """Mean credibility index of one model's texts, 1 … 10; `low` and `high` bound its 95%
    interval.
    """

    id: str
    model: str
    index: float
    low: float | None
    high: float | None
    respondents: int
    texts: int


@dataclass(frozen=True)
class Evidence:
    """Everything measured that a card, a gate or a package may show."""

    studies: tuple[Study, ...] = ()
    effects: tuple[Effect, ...] = ()
    sentences: tuple[
        Mapping[str, Any], ...
    ] = ()  # of bias.json: `models`, two of them, and `text`, what the probes say of both
    credibility: tuple[Credibility, ...] = ()
    differences: tuple[
        Mapping[str, Any], ...
    ] = ()  # of survey.json: `first` less `second`, by the same people
    compared: tuple[Mapping[str, Any], ...] = ()  # of survey.json, as `sentences`
    folders: tuple[Path, ...] = ()
    drops: tuple[
        Mapping[str, Any], ...
    ] = ()  # rows of finetune.json's `drops`, each with `model` and an `id`
    finetuned: tuple[
        Mapping[str, Any], ...
    ] = ()  # of finetune.json: what is known of the model that was fine-tuned

    @property
    def cells(self) -> dict[str, Cell]:
        """Every study's cells by id."""
        return {id: cell for study in self.studies for id, cell in study.cells.items()}

    @property
    def models(self) -> list[str]:
        """Names of the studied models, from the smallest to the largest as their study lists
        them.
        """
        return list(self.facts)

    @property
    def facts(self) -> dict[str, Mapping[str, Any]]:
        """Name → size, held-out loss and `id` of each model, as its study has them; None where it
        doesn't say.
        """
        rows = [
            one | {"id": f"{study.name}/study.json#{one['name']}"}
            for study in self.studies
            for one in study.facts["models"]
        ]
        found: dict[str, Mapping[str, Any]] = {}
        for one in (*rows, *self.finetuned):  # of two studies of a model the first
            found.setdefault(one["name"], one)
        return found


def rate_of(cell: Mapping[str, Any], field: str) -> tuple[float, float, float] | None:
    """One rate of a cell with its 95% interval, (value, low, high); None where it was not measured.

    A false-positive rate stands in a cell without its interval, but with what makes one: Wilson's,
    over the human texts.
    """
    value = cell[field]
    if value is None:
        return None
    if f"{field}_low" in cell:
        return estimate(cell, field)
    n = cell["n_human"]
    return rate(round(value * n), n)


def read_evidence(folders: Iterable[Path]) -> Evidence:
    """Read each folder for what it holds.

    Raises:
        ArtifactError: a folder holds none of the four, is damaged, two hold a number of the same
            id, or two are surveys.
    """
    folders = once_each(folders)
    held = {
        name: [folder for folder in folders if (folder / name).is_file()]
        for name in (CELLS, FINETUNE, BIAS, SURVEY)
    }
    for folder in folders:
        if not any(folder in these for these in held.values()):
            raise ArtifactError(
                f"{folder}: holds no {CELLS}, {FINETUNE}, {BIAS} or {SURVEY}; give the folder of a"
                " finished study, probe or survey"
            )
    studies = [_study(folder) for folder in held[CELLS]]
    effects = {folder: _effects(folder / BIAS) for folder in held[BIAS]}
    drops = {folder: _drops(folder / FINETUNE) for folder in held[FINETUNE]}
    surveys = [folder / SURVEY for folder in held[SURVEY]]
    _refuse_doubles((study.folder, f"cell {id!r}") for study in studies for id in study.cells)
    _refuse_doubles(
        (folder, f"effect {id!r}")
        for folder, these in effects.items()
        for id in {one.id for one in these}
    )
    _refuse_doubles(
        (folder, f"drop {id!r}")
        for folder, these in drops.items()
        for id in {one["id"] for one in these}
    )
    if len(surveys) > 1:
        raise ArtifactError(
            f"{surveys[0]} and {surveys[1]}: two surveys; give one, as people's ratings compare"
            " only within it"
        )
    return Evidence(
        tuple(studies),
        tuple(one for these in effects.values() for one in these),
        tuple(one for folder in held[BIAS] for one in _sentences(folder / BIAS)),
        folders=folders,
        drops=tuple(one for these in drops.values() for one in these),
        finetuned=tuple(_finetuned(folder / FINETUNE) for folder in held[FINETUNE]),
        **(_survey(surveys[0]) if surveys else {}),
    )


def once_each(folders: Iterable[Path]) -> tuple[Path, ...]:
    """The folders without those that are another one by another spelling, or a copy of a probe or a
    fine-tuning study.
    """
    kept: dict[Any, Path] = {}
    for folder in folders:
        key = _content(folder) or folder.resolve()
        if key in kept and folder.resolve() != kept[key].resolve():
            note(f"{folder}: holds what {kept[key]} holds; it counts once")
        kept.setdefault(key, folder)
    return tuple(kept.values())


def _content(folder: Path) -> tuple[tuple[str, str], ...]:
    """What evidence a folder holds; nothing of a study or a survey, of which a second one is
    refused in any case.
    """
    if (folder / CELLS).is_file() or (folder / SURVEY).is_file():
        return ()
    return tuple(
        (name, sha256_file(folder / name)) for name in (FINETUNE, BIAS) if (folder / name).is_file()
    )


def _study(folder: Path) -> Study:
    facts, found = read_json(folder / "study.json"), read_json(folder / "findings.json")
    if not {"models", "settings", "corpus"} <= set(facts) or "findings" not in found:
        raise ArtifactError(
            f"{folder}: study.json or findings.json is of another version of staged; run the study"
            " again"
        )
    cells = [*load_cells(folder / "lengths.json"), *load_cells(folder / CELLS)]
    return Study(
        folder.resolve().name, folder, {cell.id: cell for cell in cells}, found["findings"], facts
    )


def _drops(path: Path) -> list[dict[str, Any]]:
    found = read_json(path)
    try:
        model = _name(str(found["settings"]["model"]))
        return [
            dict(row) | {"model": model, "id": f"finetune/{model}/{row['style']}/{row['detector']}"}
            for row in found["drops"]
        ]
    except (KeyError, TypeError):
        raise ArtifactError(
            f"{path}: is of another version of staged; run the study again"
        ) from None


def _finetuned(path: Path) -> dict[str, Any]:
    """The model that a fine-tuning study is of, with what its record says of it."""
    table = read_json(path)
    said = table.get("model") or {}
    model = _name(str(table["settings"]["model"]))
    unknown = dict.fromkeys(("parameters", "layers", "width", "valid_loss_nats_per_token"))
    return unknown | said | {"name": model, "id": f"finetune/finetune.json#{model}"}


def _refuse_doubles(origins: Iterable[tuple[Path, str]]) -> None:
    """A number has one origin."""
    seen: dict[str, Path] = {}
    for folder, what in origins:
        if seen.setdefault(what, folder) != folder:
            raise ArtifactError(
                f"{folder} and {seen[what]} both hold {what}; give one of them, so that a number"
                " has one origin"
            )


def _effects(path: Path) -> list[Effect]:
    """Rows of `bias.json` between groups of one model."""
    found = [_effect(row) for row in _rows(path, "between_groups")]
    return [one for one in found if one.model and isinstance(one.effect, (int, float))]


def _effect(row: Mapping[str, Any]) -> Effect:
    model = _name(str((row.get("models") or [""])[0]))
    probe, groups = (
        f"{row.get('set')}, {row.get('measure')}",
        f"{row.get('first')} − {row.get('second')}",
    )
    low, high = _bounds(row)
    return Effect(
        id=f"bias/{model}/{row.get('set')}/{row.get('attribute')}/{row.get('first')}-{row.get('second')}/{row.get('measure')}",
        model=model,
        probe=probe,
        groups=groups,
        effect=_field(row, "effect", "difference"),
        low=low,
        high=high,
        n=row.get("n"),
        p_holm=row.get("p_holm"),
        verdict=str(row.get("verdict", "")),
    )


def _bounds(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The interval in the effect's unit: a preference has it in nats, in which its difference is as
    well.
    """
    effect, difference, low, high = (
        row.get(name) for name in ("effect", "difference", "low", "high")
    )
    if effect is None:
        return low, high
    if row.get("effect_low") is not None and row.get("effect_high") is not None:
        return row["effect_low"], row["effect_high"]
    if not difference or low is None or high is None:
        return None, None
    return low * effect / difference, high * effect / difference


def _sentences(path: Path) -> list[dict[str, Any]]:
    rows = [row for row in _rows(path, "sentences") if row.get("text")]
    return [_said(list(map(str, row.get("models", []))), str(row["text"])) for row in rows]


def _said(models: Sequence[str], text: str) -> dict[str, Any]:
    """A sentence about models, which calls them as they were given."""
    for model in sorted(models, key=len, reverse=True):
        text = text.replace(model, _name(model))
    return {"models": list(map(_name, models)), "text": text}


def _survey(path: Path) -> dict[str, Any]:
    """What `staged survey tally` found: indices, differences of pairs, and what to say of these."""
    table = read_json(path)
    try:
        return {
            "credibility": tuple(_credibility(row) for row in table["models"]),
            "differences": tuple(
                {**row, "first": _name(row["first"]), "second": _name(row["second"])}
                for row in table["differences"]
            ),
            "compared": tuple(_said(row["models"], row["text"]) for row in table["sentences"]),
        }
    except (KeyError, TypeError):
        raise ArtifactError(
            f"{path}: not as `staged survey tally` writes it; tally the answers again"
        ) from None


def _credibility(row: Mapping[str, Any]) -> Credibility:
    names = ("index", "low", "high", "respondents", "texts")
    return Credibility(
        f"survey/{_name(row['model'])}", _name(row["model"]), **{name: row[name] for name in names}
    )


def _name(model: str) -> str:
    """A model given as a folder goes by the folder's name, as in studies."""
    return Path(model).name


def _rows(path: Path, name: str) -> list[dict[str, Any]]:
    return [row for row in read_json(path).get(name, []) if isinstance(row, dict)]


def _field(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
