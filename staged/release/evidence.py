"""What was measured, read from folders: studies (`cells.json`), fine-tuning studies (`finetune.json`), bias probes (`bias.json`),
credibility surveys (`survey.json`).

The last two are written by `staged bias` and `staged survey`; their rows are read by name, and what else they hold is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.artifacts import read_json
from staged.comparing import rate
from staged.errors import ArtifactError
from staged.figures import estimate
from staged.records import Cell
from staged.study.matrix import load_cells

__all__ = ["BIAS", "CELLS", "FINETUNE", "SURVEY", "Credibility", "Effect", "Evidence", "Study", "rate_of", "read_evidence"]

CELLS, FINETUNE, BIAS, SURVEY = "cells.json", "finetune.json", "bias.json", "survey.json"


@dataclass(frozen=True)
class Study:
    """One finished study: its cells by id (the matrices' and the length curve's), its findings and its facts."""

    name: str
    folder: Path
    cells: Mapping[str, Cell]
    findings: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Effect:
    """One difference between two groups that a bias probe measured on one model.

    `effect` is in standard deviations, or in the measure's own unit where the probe gives none; `low` and `high`: its 95% interval.
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
    """Mean credibility index of one model's texts, 1 … 10; `low` and `high` bound its 95% interval."""

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
    sentences: tuple[Mapping[str, Any], ...] = ()  # of bias.json: `models`, two of them, and `text`, what the probes say of both
    credibility: tuple[Credibility, ...] = ()
    differences: tuple[Mapping[str, Any], ...] = ()  # of survey.json: `first` less `second`, by the same people
    compared: tuple[Mapping[str, Any], ...] = ()  # of survey.json, as `sentences`
    folders: tuple[Path, ...] = ()
    drops: tuple[Mapping[str, Any], ...] = ()  # rows of finetune.json's `drops`, each with `model` and an `id`

    @property
    def cells(self) -> dict[str, Cell]:
        """Every study's cells by id."""
        return {id: cell for study in self.studies for id, cell in study.cells.items()}

    @property
    def models(self) -> list[str]:
        """Names of the studied models, from the smallest to the largest as their study lists them."""
        return list(dict.fromkeys(one["name"] for study in self.studies for one in study.facts["models"]))


def rate_of(cell: Mapping[str, Any], field: str) -> tuple[float, float, float] | None:
    """One rate of a cell with its 95% interval, (value, low, high); None where it was not measured.

    A false-positive rate stands in a cell without its interval, but with what makes one: Wilson's, over the human texts.
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
        ArtifactError: a folder holds none of the four, is damaged, two studies hold a cell of the same id, or two are surveys.
    """
    studies: list[Study] = []
    effects: list[Effect] = []
    sentences: list[Mapping[str, Any]] = []
    surveys: list[Path] = []
    drops: list[Mapping[str, Any]] = []
    folders = tuple(folders)
    for folder in folders:
        held = [name for name in (CELLS, FINETUNE, BIAS, SURVEY) if (folder / name).is_file()]
        if not held:
            raise ArtifactError(
                f"{folder}: holds no {CELLS}, {FINETUNE}, {BIAS} or {SURVEY}; give the folder of a finished study, probe or survey"
            )
        studies += [_study(folder)] if CELLS in held else []
        drops += _drops(folder / FINETUNE) if FINETUNE in held else []
        effects += _effects(folder / BIAS) if BIAS in held else []
        sentences += _sentences(folder / BIAS) if BIAS in held else []
        surveys += [folder / SURVEY] if SURVEY in held else []
    _refuse_doubles(studies)
    if len(surveys) > 1:
        raise ArtifactError(f"{surveys[0]} and {surveys[1]}: two surveys; give one, as people's ratings compare only within it")
    asked = _survey(surveys[0]) if surveys else {}
    return Evidence(tuple(studies), tuple(effects), tuple(sentences), folders=folders, drops=tuple(drops), **asked)


def _study(folder: Path) -> Study:
    facts, found = read_json(folder / "study.json"), read_json(folder / "findings.json")
    if not {"models", "settings", "corpus"} <= set(facts) or "findings" not in found:
        raise ArtifactError(f"{folder}: study.json or findings.json is of another version of staged; run the study again")
    cells = [*load_cells(folder / "lengths.json"), *load_cells(folder / CELLS)]
    return Study(folder.resolve().name, folder, {cell.id: cell for cell in cells}, found["findings"], facts)


def _drops(path: Path) -> list[dict[str, Any]]:
    found = read_json(path)
    try:
        model = found["settings"]["model"]
        return [dict(row) | {"model": model, "id": f"finetune/{model}/{row['style']}/{row['detector']}"} for row in found["drops"]]
    except (KeyError, TypeError):
        raise ArtifactError(f"{path}: is of another version of staged; run the study again") from None


def _refuse_doubles(studies: Sequence[Study]) -> None:
    seen: dict[str, Study] = {}
    for study in studies:
        for id in study.cells:
            if id in seen:
                raise ArtifactError(
                    f"{study.folder} and {seen[id].folder} both hold cell {id!r}; give one of them, so that a number has one origin"
                )
            seen[id] = study


def _effects(path: Path) -> list[Effect]:
    """Rows of `bias.json` between groups of one model."""
    found = [_effect(row) for row in _rows(path, "between_groups")]
    return [one for one in found if one.model and isinstance(one.effect, (int, float))]


def _effect(row: Mapping[str, Any]) -> Effect:
    model = _name(str((row.get("models") or [""])[0]))
    probe, groups = f"{row.get('set')}, {row.get('measure')}", f"{row.get('first')} − {row.get('second')}"
    unit = "effect_" if row.get("effect") is not None else ""
    return Effect(
        id=f"bias/{model}/{row.get('set')}/{row.get('attribute')}/{row.get('first')}-{row.get('second')}/{row.get('measure')}",
        model=model,
        probe=probe,
        groups=groups,
        effect=_field(row, "effect", "difference"),
        low=row.get(f"{unit}low"),
        high=row.get(f"{unit}high"),
        n=row.get("n"),
        p_holm=row.get("p_holm"),
        verdict=str(row.get("verdict", "")),
    )


def _sentences(path: Path) -> list[dict[str, Any]]:
    rows = [row for row in _rows(path, "sentences") if row.get("text")]
    return [{"models": [_name(str(one)) for one in row.get("models", [])], "text": row["text"]} for row in rows]


def _survey(path: Path) -> dict[str, Any]:
    """What `staged survey tally` found: indices, differences of pairs, and what to say of these."""
    table = read_json(path)
    try:
        return {
            "credibility": tuple(_credibility(row) for row in table["models"]),
            "differences": tuple(
                {**row, "first": _name(row["first"]), "second": _name(row["second"])} for row in table["differences"]
            ),
            "compared": tuple({"models": [_name(one) for one in row["models"]], "text": row["text"]} for row in table["sentences"]),
        }
    except (KeyError, TypeError):
        raise ArtifactError(f"{path}: not as `staged survey tally` writes it; tally the answers again") from None


def _credibility(row: Mapping[str, Any]) -> Credibility:
    names = ("index", "low", "high", "respondents", "texts")
    return Credibility(f"survey/{_name(row['model'])}", _name(row["model"]), **{name: row[name] for name in names})


def _name(model: str) -> str:
    """A model given as a folder goes by the folder's name, as in studies."""
    return Path(model).name


def _rows(path: Path, name: str) -> list[dict[str, Any]]:
    return [row for row in read_json(path).get(name, []) if isinstance(row, dict)]


def _field(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
