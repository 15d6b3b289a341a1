"""Reads what was measured from folders: studies (`cells.json`), fine-tuning studies
(`finetune.json`), bias probes (`bias.json`), credibility surveys (`survey.json`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from staged.cells import CELLS, LENGTHS, load_cells
from staged.errors import ArtifactError
from staged.notes import note
from staged.release.card.measured import (
    Credibility,
    Effect,
    Evidence,
    ModelDrop,
    Said,
    StudiedModel,
    Study,
)
from staged.storage.digests import sha256_file
from staged.storage.records import read_record
from staged.studies.bias.results import BIAS, BiasComparison, BiasResult
from staged.studies.detection.results import AGAIN, FINDINGS, STUDY, Findings, StudyFacts
from staged.studies.finetune.results import FINETUNE, FinetuneResult
from staged.survey.results import SURVEY, ModelIndex, Survey

__all__ = ["once_each", "read_evidence"]


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
        if not any(folder in holders for holders in held.values()):
            raise ArtifactError(
                f"{folder}: holds no {CELLS}, {FINETUNE}, {BIAS} or {SURVEY}; give the folder of a"
                " finished study, probe or survey"
            )
    if len(held[SURVEY]) > 1:
        first, second = (folder / SURVEY for folder in held[SURVEY][:2])
        raise ArtifactError(
            f"{first} and {second}: two surveys; give one, as people's ratings compare only within"
            " it"
        )
    parts = [
        *(_study(folder) for folder in held[CELLS]),
        *(_finetune(folder / FINETUNE) for folder in held[FINETUNE]),
        *(_probes(folder / BIAS) for folder in held[BIAS]),
        *(_survey(folder / SURVEY) for folder in held[SURVEY]),
    ]
    _refuse_doubles(parts)
    return replace(_together(parts), folders=folders)


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


def _together(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of all folders, kind by kind."""
    kinds = ("studies", "effects", "sentences", "credibility", "differences", "compared")
    return Evidence(
        **{
            kind: tuple(item for part in parts for item in getattr(part, kind))
            for kind in (*kinds, "drops", "finetuned")
        }
    )


def _refuse_doubles(parts: Sequence[Evidence]) -> None:
    """A number has one origin.

    Args:
        parts: of one folder each.
    """
    seen: dict[str, Path] = {}
    for part in parts:
        (folder,) = part.folders
        ids = [f"cell {id!r}" for id in part.cells]
        ids += [f"effect {id!r}" for id in dict.fromkeys(effect.id for effect in part.effects)]
        ids += [f"drop {id!r}" for id in dict.fromkeys(drop.id for drop in part.drops)]
        for what in ids:
            if seen.setdefault(what, folder) != folder:
                raise ArtifactError(
                    f"{folder} and {seen[what]} both hold {what}; give one of them, so that a"
                    " number has one origin"
                )


def _study(folder: Path) -> Evidence:
    facts = read_record(folder / STUDY, StudyFacts, again=AGAIN)
    findings = read_record(folder / FINDINGS, Findings, again=AGAIN).findings
    cells = [*load_cells(folder / LENGTHS), *load_cells(folder / CELLS)]
    name = folder.resolve().name
    study = Study(name, folder, {cell.id: cell for cell in cells}, findings, facts)
    return Evidence(studies=(study,), folders=(folder,))


def _finetune(path: Path) -> Evidence:
    result = read_record(path, FinetuneResult, again=AGAIN)
    model = _name(result.settings.model)
    known = (
        vars(result.model)
        if result.model
        else dict.fromkeys(("parameters", "layers", "width", "valid_loss_nats_per_token"))
    )
    studied = StudiedModel(**known | {"id": f"finetune/finetune.json#{model}", "name": model})
    drops = (
        ModelDrop(id=f"finetune/{model}/{row.style}/{row.detector}", model=model, **vars(row))
        for row in result.drops
    )
    return Evidence(drops=tuple(drops), finetuned=(studied,), folders=(path.parent,))


def _probes(path: Path) -> Evidence:
    """Rows of `bias.json` between groups of one model, and what it says of pairs."""
    result = read_record(path, BiasResult, again="run `staged bias` again")
    effects = [_effect(row) for row in result.between_groups]
    return Evidence(
        effects=tuple(effect for effect in effects if effect.model),
        sentences=tuple(
            _sentence(sentence.models, sentence.text)
            for sentence in result.sentences
            if sentence.text
        ),
        folders=(path.parent,),
    )


def _effect(row: BiasComparison) -> Effect:
    model, (low, high) = _name(row.models[0]), _bounds(row)
    return Effect(
        id=f"bias/{model}/{row.set}/{row.attribute}/{row.first}-{row.second}/{row.measure}",
        model=model,
        probe=f"{row.set}, {row.measure}",
        groups=f"{row.first} − {row.second}",
        effect=row.difference if row.effect is None else row.effect,
        low=low,
        high=high,
        n=row.n,
        p_holm=row.p_holm,
        verdict=row.verdict,
        unit="of the measure" if row.effect is None else None,
    )


def _bounds(row: BiasComparison) -> tuple[float | None, float | None]:
    """The interval in the effect's unit: a preference has it in nats, in which its difference is as
    well.
    """
    if row.effect is None:
        return row.low, row.high
    if row.effect_low is not None and row.effect_high is not None:
        return row.effect_low, row.effect_high
    if not row.difference:
        return None, None
    return row.low * row.effect / row.difference, row.high * row.effect / row.difference


def _survey(path: Path) -> Evidence:
    """Indices, differences of pairs, and what to say of these."""
    result = read_record(path, Survey, again="tally the answers again")
    return Evidence(
        credibility=tuple(map(_credibility, result.models)),
        differences=tuple(
            replace(row, first=_name(row.first), second=_name(row.second))
            for row in result.differences
        ),
        compared=tuple(_sentence(sentence.models, sentence.text) for sentence in result.sentences),
        folders=(path.parent,),
    )


def _credibility(row: ModelIndex) -> Credibility:
    model = _name(row.model)
    return Credibility(
        f"survey/{model}", model, row.index, row.low, row.high, row.respondents, row.texts
    )


def _sentence(models: Sequence[str], text: str) -> Said:
    """A sentence about models, which calls them as they were given."""
    for model in sorted(models, key=len, reverse=True):
        text = text.replace(model, _name(model))
    return Said(tuple(map(_name, models)), text)


def _name(model: str) -> str:
    """A model given as a folder goes by the folder's name, as in studies."""
    return Path(model).name
