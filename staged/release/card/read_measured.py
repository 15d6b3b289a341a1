"""Reads what was measured: folders of studies (`cells.json`), of fine-tuning studies
(`finetune.json`), of bias probes (`bias.json`), of credibility surveys (`survey.json`), of models
(`training.json`), and files that `staged evaluate-lm --out` wrote.
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
    studied_model,
)
from staged.release.card.read_language import (
    TRAINING,
    last_name,
    read_quality,
    read_training,
)
from staged.storage.digests import sha256_file
from staged.storage.records import read_record
from staged.studies.bias.results import BIAS, BiasComparison, BiasResult
from staged.studies.detection.results import (
    AGAIN,
    FINDINGS,
    GALLERY,
    STUDY,
    Findings,
    GalleryText,
    StudyFacts,
)
from staged.studies.finetune.results import FINETUNE, FinetuneResult
from staged.survey.results import SURVEY, ModelIndex, Survey

__all__ = ["once_each", "read_evidence"]


def read_evidence(places: Iterable[Path]) -> Evidence:
    """Read each folder for what it holds, and each file.

    Raises:
        ArtifactError: a folder holds none of the five, is damaged, two hold a number of the same
            id, two are surveys, or a file is no result of `staged evaluate-lm`.
    """
    places = once_each(places)
    files = [place for place in places if place.is_file()]
    folders = [place for place in places if place not in files]
    held = {
        name: [folder for folder in folders if (folder / name).is_file()]
        for name in (CELLS, FINETUNE, BIAS, SURVEY, TRAINING)
    }
    for folder in folders:
        if not any(folder in holders for holders in held.values()):
            raise ArtifactError(
                f"{folder}: holds no {CELLS}, {FINETUNE}, {BIAS}, {SURVEY} or {TRAINING}; give the"
                " folder of a finished study, probe or survey, or of a trained model"
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
        *(_training(folder / TRAINING) for folder in held[TRAINING]),
        *(Evidence(qualities=(read_quality(file),), folders=(file,)) for file in files),
    ]
    _refuse_doubles(parts)
    return replace(_together(parts), folders=places)


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
    if folder.is_file():
        return (("", sha256_file(folder)),)
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
            for kind in (*kinds, "drops", "finetuned", "qualities", "trainings")
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
        ids += [f"row {row.id!r}" for row in part.qualities]
        ids += [f"row {row.id!r}" for row in part.trainings]
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
    gallery = folder / GALLERY
    texts = read_record(gallery, tuple[GalleryText, ...], again=AGAIN) if gallery.is_file() else ()
    samples = tuple(text for text in texts if text.model)
    study = Study(name, folder, {cell.id: cell for cell in cells}, findings, facts, samples)
    return Evidence(studies=(study,), folders=(folder,))


def _finetune(path: Path) -> Evidence:
    result = read_record(path, FinetuneResult, again=AGAIN)
    model = last_name(result.settings.model)
    id = f"finetune/finetune.json#{model}"
    studied = (
        replace(studied_model(id, result.model), name=model)
        if result.model
        else StudiedModel(id, model, None, None, None, None)
    )
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
    model, (low, high) = last_name(row.models[0]), _bounds(row)
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
            replace(row, first=last_name(row.first), second=last_name(row.second))
            for row in result.differences
        ),
        compared=tuple(_sentence(sentence.models, sentence.text) for sentence in result.sentences),
        folders=(path.parent,),
    )


def _credibility(row: ModelIndex) -> Credibility:
    model = last_name(row.model)
    return Credibility(
        f"survey/{model}", model, row.index, row.low, row.high, row.respondents, row.texts
    )


def _sentence(models: Sequence[str], text: str) -> Said:
    """A sentence about models, which calls them as they were given."""
    for model in sorted(models, key=len, reverse=True):
        text = text.replace(model, last_name(model))
    return Said(tuple(map(last_name, models)), text)


def _training(path: Path) -> Evidence:
    training = read_training(path)
    return Evidence(trainings=(training,) if training else (), folders=(path.parent,))
