"""People's ratings → each model's credibility index, and the models compared.

A text's index is believable + accurate + clear − 2, so 1 … 10, as in the 2019 release. A person
counts once: a model's index is the mean over people of each one's mean. Intervals resample people,
not ratings (cluster bootstrap); with few people its percentiles are widened as Hesterberg (2015,
What Teachers Should Know About the Bootstrap) says, as plain ones would be too narrow. Two models
are compared within people, by flipping the signs of whole people's differences (p) and resampling
them (interval), with Holm's correction over all pairs. A difference that is not significant is `no
difference found` only where SMALLEST would have been found with 80% probability; elsewhere it is
`not enough evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import stats

from staged.errors import CorpusError
from staged.files.sheets import numbered_rows, row_of, whole_number
from staged.model.sources.served import model_identity
from staged.records import count_words
from staged.stats.comparing import (
    Floats,
    resampled_means,
    sign_flips,
    stream,
    widened_interval,
)
from staged.stats.judging import ALPHA, POWER, Hypothesis, judged
from staged.storage.gate import start_ledger
from staged.storage.records import write_record
from staged.storage.writing import disk_errors, write_atomic
from staged.survey.page import result_page, sentence
from staged.survey.plan import HEADER, KIND, SCALES
from staged.survey.results import (
    KEY,
    OF,
    SURVEY,
    Difference,
    KeyRow,
    ModelIndex,
    Sentence,
    Survey,
    Tallied,
    read_key,
)
from staged.survey.texts import own_words

__all__ = ["tally", "write_tally"]

RATINGS = ("1", "2", "3", "4")
SMALLEST = 0.84  # points: what 1.5B lies above 355M in the 2019 release, 6.91 − 6.07
PERMUTATIONS, RESAMPLES = 9999, 9999

Rated = dict[str, dict[str, Floats]]  # model → sheet → (texts, scales)


def tally(folder: Path, answers: Sequence[Path]) -> Survey:
    """What survey.json holds: an index a model, a difference a pair, each with n and 95% interval.

    Args:
        folder: a questionnaire.
        answers: filled-in sheets; the sheets of several people may stand in one file.

    Raises:
        CorpusError: a rating that is none, half a rating, a row that the key does not know, a sheet
            answered twice, or no rating.
        ArtifactError: the key is missing or damaged.
    """
    key = read_key(folder)
    settings = key.settings
    read = _read(
        answers, {(str(row.sheet), str(row.row)): row for row in key.rows}, settings.models
    )
    texts = sum(len(ratings) for sheets in read.rated.values() for ratings in sheets.values())
    if not texts:
        raise CorpusError(
            f"{', '.join(map(str, answers))}: no rating; write 1, 2, 3 or 4 into"
            f" {', '.join(SCALES)}"
        )
    means = {
        model: {sheet: _index(ratings) for sheet, ratings in sheets.items()}
        for model, sheets in read.rated.items()
    }
    models = [
        _model(model, read, means[model], settings.seed)
        for model in settings.models
        if means[model]
    ]
    differences = _differences(means, settings.models, settings.seed)
    sentences = [Sentence((row.first, row.second), sentence(row, SMALLEST)) for row in differences]
    return Survey(
        models=tuple(models),
        differences=differences,
        sentences=tuple(sentences),
        respondents=len({sheet for sheets in read.rated.values() for sheet in sheets}),
        texts=texts,
        unrated=read.rows - read.human_only - texts,
        human_only=read.human_only,
        settings=Tallied(**asdict(settings), permutations=PERMUTATIONS, resamples=RESAMPLES),
        alpha=ALPHA,
        power=POWER,
        smallest=SMALLEST,
    )


def write_tally(folder: Path, answers: Sequence[Path]) -> Survey:
    """`tally`, written as survey.json and survey.md into the questionnaire's folder."""
    result = tally(folder, answers)
    with disk_errors(folder):
        start_ledger(folder, KIND)
        write_record(folder / SURVEY, result)
        write_atomic(folder / "survey.md", result_page(result).encode())
    return result


@dataclass(frozen=True)
class _Read:
    """What filled-in sheets hold.

    Attributes:
        own_shares: model → of each of its rated texts the share of words that a person's sentence
            does not give, in (0, 1].
        rows: how many there are.
        human_only: those of an older questionnaire where the model added nothing, which say nothing
            of it; they are left out.
    """

    rated: Rated
    own_shares: dict[str, list[float]]
    rows: int
    human_only: int


def _read(
    answers: Sequence[Path], known: Mapping[tuple[str, ...], KeyRow], models: Sequence[str]
) -> _Read:
    shares: dict[str, list[float]] = {model: [] for model in models}
    human_only = 0
    by_sheet: dict[str, dict[str, list[list[float]]]] = {model: {} for model in models}
    origin: dict[str, Path] = {}
    seen: set[tuple[str, ...]] = set()
    for path in answers:
        for line, row in numbered_rows(path, HEADER, of=OF):
            where, joined = f"{path}, row {line}", row_of(row, known, "sheet", "row")
            if joined is None:
                raise CorpusError(
                    f"{where}: not a text that {KEY} knows; restore the row as it was written"
                )
            place, entry = joined
            if origin.setdefault(place[0], path) != path:
                raise CorpusError(
                    f"{where}: sheet {place[0]} is answered in {origin[place[0]]} too; one sheet is"
                    " one person's, so leave one out"
                )
            if place in seen:
                raise CorpusError(
                    f"{where}: sheet {place[0]}, row {place[1]} stands here twice; leave one out"
                )
            seen.add(place)
            count = own_words(entry.sentence, row["text"])
            human_only += count <= 0
            if (ratings := _ratings(row, where)) and count > 0:
                by_sheet[entry.model].setdefault(place[0], []).append(ratings)
                shares[entry.model].append(count / count_words(row["text"]))
    rated = {
        model: {sheet: np.array(values) for sheet, values in sheets.items()}
        for model, sheets in by_sheet.items()
    }
    return _Read(rated, shares, len(seen), human_only)


def _ratings(row: Mapping[str, str], where: str) -> list[float]:
    """A text's ratings in the order of SCALES; none where nothing is filled in."""
    given = {scale: whole_number(row[scale]) for scale in SCALES}
    if not any(given.values()):
        return []
    for scale, text in given.items():
        if not text:
            raise CorpusError(
                f"{where}: {scale} is empty; rate all of {', '.join(SCALES)}, or none of them"
            )
        if text not in RATINGS:
            raise CorpusError(
                f"{where}: {scale} is {row[scale]!r}; write 1, 2, 3 or 4, or leave the whole row"
                " empty"
            )
    return [float(text) for text in given.values()]


def _index(ratings_ts: Floats) -> float:
    """One person's mean over texts, of the three ratings' sum mapped from 3 … 12 onto 1 … 10."""
    return float(ratings_ts.sum(axis=1).mean()) - 2


def _model(model: str, read: _Read, means: Mapping[str, float], seed: int) -> ModelIndex:
    """Args: means: sheet → the person's mean of this model's texts."""
    sheets, values_k = read.rated[model], np.array(list(means.values()))
    low, high = _interval(values_k, seed, model_identity(model))
    scales = np.mean([ratings.mean(axis=0) for ratings in sheets.values()], axis=0)
    return ModelIndex(
        model,
        float(values_k.mean()),
        low,
        high,
        len(values_k),
        sum(map(len, sheets.values())),
        **dict(zip(SCALES, map(float, scales), strict=True)),
        own_share=float(np.mean(read.own_shares[model])),
    )


def _differences(
    means: Mapping[str, Mapping[str, float]], models: Sequence[str], seed: int
) -> tuple[Difference, ...]:
    """All pairs of models, judged as one family."""
    compared = [_difference(means, a, b, seed) for a, b in combinations(models, 2)]
    level = ALPHA / max(1, len(compared))
    detectable = [_detectable(error, row.respondents, level) for row, error in compared]
    family = judged(
        [
            Hypothesis(row.p, powered=points <= SMALLEST)
            for (row, _), points in zip(compared, detectable, strict=True)
        ]
    )
    return tuple(
        replace(
            row,
            p_holm=judgement.p_holm,
            detectable=None if math.isinf(points) else points,
            verdict=judgement.verdict,
        )
        for (row, _), points, judgement in zip(compared, detectable, family, strict=True)
    )


def _difference(
    means: Mapping[str, Mapping[str, float]], a: str, b: str, seed: int
) -> tuple[Difference, float]:
    """A pair without a verdict, and its standard error in points; infinite where fewer than two
    people rated both.
    """
    sheets = [sheet for sheet in means[a] if sheet in means[b]]
    if not sheets:
        return Difference(a, b, None, None, None, 0, 1.0), math.inf
    values_k = np.array([means[a][sheet] - means[b][sheet] for sheet in sheets])
    drawn_by = model_identity(a), model_identity(b)
    low, high = _interval(values_k, seed, *drawn_by)
    p = sign_flips(values_k, PERMUTATIONS, stream(seed, "survey", "signs", *drawn_by))
    error = float(values_k.std(ddof=1)) / math.sqrt(len(sheets)) if len(sheets) > 1 else math.inf
    return Difference(a, b, float(values_k.mean()), low, high, len(sheets), p), error


def _interval(values_k: Floats, seed: int, *names: str) -> tuple[float | None, float | None]:
    if len(values_k) < 2:
        return None, None
    drawn = resampled_means(values_k, RESAMPLES, stream(seed, "survey", "bootstrap", *names))
    return widened_interval(drawn, len(values_k))


def _detectable(error: float, people: int, alpha: float) -> float:
    """In points; infinite where so few people could not give a p below alpha whatever they said."""
    if people < 2 or 2 / 2**people >= alpha:
        return math.inf
    return error * float(stats.t.isf(alpha / 2, people - 1) + stats.t.ppf(POWER, people - 1))
