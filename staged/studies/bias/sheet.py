"""A sheet of completions for people to rate without knowing whose they are, and the tally of their
ratings.

The person of each prompt stands as XYZ, as in Sheng et al. 2019; model, group and prompt are in a
key file beside the sheet (`out.key.json`), which a rater should not open. A completion may still
give its group away by its own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from staged.errors import CorpusError, PlanError
from staged.files.sheets import (
    numbered_rows,
    one_line,
    read_key_file,
    read_sheet,
    row_of,
    words_digest,
    write_sheet_file,
)
from staged.samples.dataset import read_samples
from staged.samples.sample_stage import FILE
from staged.stats.comparing import (
    Floats,
    p_value,
    permuted_difference,
    rate,
    resampled_means,
    stream,
    widened_interval,
)
from staged.stats.judging import Hypothesis, judged
from staged.storage.gate import check_replaceable, start_ledger
from staged.storage.records import write_record
from staged.storage.writing import disk_errors, write_atomic
from staged.studies.bias.page import tally_page
from staged.studies.bias.probe import KIND, Asked, samples_folder
from staged.studies.bias.prompts import prompts
from staged.studies.bias.results import (
    TALLY,
    RatedGroup,
    RatedPair,
    Share,
    SheetKey,
    SheetRow,
    Tally,
)

HEADER = ("row", "text", "rating", "remarks")
RATINGS = {"favourable": 1, "neutral": 0, "unfavourable": -1}
OF = "staged bias"
MASK = "XYZ"
PERMUTATIONS, RESAMPLES = 9999, 9999

Drawn = tuple[str, str, str, str, int]  # model, set, attribute, group, number of the sample


def write_sheet(
    path: Path, models: Sequence[str], asked: Asked, out: Path, *, per_group: int
) -> int:
    """Write `path` (.csv) and its key: completions drawn and shuffled by the run's seed, as many of
    each model, set and group.

    Returns:
        The number of rows.

    Raises:
        PlanError: not a .csv name, or more than there are.
        ArtifactError: cannot be written.
    """
    check_sheet(path, asked, per_group)
    rng = stream(asked.settings.seed, "bias", "sheet")
    rows = [row for model in models for row in _drawn(model, asked, out, per_group, rng)]
    order = rng.permutation(len(rows))
    shown = [
        (number, one_line(f"{MASK} {rows[i][0]}"), "", "") for number, i in enumerate(order, 1)
    ]
    key = [
        SheetRow(number, words_digest(shown[number - 1][1]), *rows[i][1])
        for number, i in enumerate(order, 1)
    ]
    with disk_errors(path):
        write_record(key_file(path), SheetKey(tuple(key), asked.settings.seed))
        write_sheet_file(path, HEADER, shown, form=_is_blank)
    return len(rows)


def check_sheet(path: Path, asked: Asked, per_group: int) -> None:
    """Refuse a sheet that could not be written, before anything is generated."""
    least = min(map(len, asked.terms.templates.values())) * asked.settings.per_prompt
    if path.suffix != ".csv":
        raise PlanError(f"{path}: a sheet is a .csv file; choose such a name")
    if path.exists() and any(row["rating"].strip() for row in read_sheet(path, HEADER, of=OF)):
        raise PlanError(f"{path}: holds ratings already; choose another name for a new sheet")
    check_replaceable(path, _is_blank)
    if not 1 <= per_group <= least:
        raise PlanError(
            f"bias: a sheet takes 1 … {least} completions of each group and set, not {per_group}"
        )
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)


def _is_blank(path: Path) -> bool:
    """Whether nobody has written anything into a sheet."""
    known = {"row", "text"}
    return not any(
        value.strip()
        for row in read_sheet(path, HEADER, of=OF)
        for name, value in row.items()
        if name not in known
    )


def key_file(sheet: Path) -> Path:
    """The key's place beside its sheet."""
    return sheet.with_suffix(".key.json")


def tally(path: Path, *, seed: int = 1) -> Tally:
    """Ratings by model, attribute and group, and the groups of each model compared.

    Raises:
        CorpusError: a rating that is none, a row that the key does not know or that stands there
            twice, or no rating at all.
        ArtifactError: the key is missing or damaged.
    """
    rows, key = numbered_rows(path, HEADER, of=OF), _read_key(path)
    rated: dict[tuple[str, str, str], list[int]] = {}
    seen: set[tuple[str, ...]] = set()
    for line, row in rows:
        joined = row_of(row, key, "row")
        if joined is None:
            raise CorpusError(
                f"{path}, row {line}: not the text that {key_file(path).name} knows; restore the"
                " row as it was written"
            )
        place, entry = joined
        if place in seen:
            raise CorpusError(
                f"{path}, row {line}: row {place[0]} stands here twice; leave one out"
            )
        seen.add(place)
        word = row["rating"].lstrip("'").strip().lower()
        if word and word not in RATINGS:
            raise CorpusError(
                f"{path}, row {line}: rating {row['rating']!r}; write {', '.join(RATINGS)}, or"
                " leave it empty"
            )
        if word:
            rated.setdefault((entry.model, entry.attribute, entry.group), []).append(RATINGS[word])
    if not rated:
        raise CorpusError(
            f"{path}: holds no rating; write {', '.join(RATINGS)} into its column rating"
        )
    n = sum(map(len, rated.values()))
    groups = tuple(_group(*place, values) for place, values in sorted(rated.items()))
    return Tally(n, len(key) - n, groups, _comparisons(rated, seed))


def _read_key(sheet: Path) -> dict[tuple[str, ...], SheetRow]:
    """Row → whose text it is."""
    key = read_key_file(key_file(sheet), SheetKey, of=OF)
    return {(str(row.row),): row for row in key.rows}


def write_tally(path: Path, out: Path, *, seed: int = 1) -> Tally:
    """`tally` of a sheet, written as tally.json and tally.md into `out`."""
    result = tally(path, seed=seed)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        start_ledger(out, KIND)
        write_record(out / TALLY, result)
        write_atomic(out / "tally.md", tally_page(result).encode())
    return result


def _drawn(
    model: str, asked: Asked, out: Path, per_group: int, rng: np.random.Generator
) -> list[tuple[str, Drawn]]:
    """(template and completion, whose) of one model's rows."""
    rows: list[tuple[str, Drawn]] = []
    for name, templates in asked.terms.templates.items():
        texts = [row["text"] for row in read_samples(samples_folder(out, model, name) / FILE)]
        listed, per_prompt = prompts(asked.terms, name), asked.settings.per_prompt
        size = len(templates) * per_prompt
        for first in range(0, len(texts), size):
            for i in sorted(first + rng.choice(size, per_group, replace=False)):
                prompt = listed[i // per_prompt]
                whose = (model, name, prompt.attribute, prompt.group, int(i))
                rows.append((prompt.template + texts[i], whose))
    return rows


def _group(model: str, attribute: str, group: str, values: Sequence[int]) -> RatedGroup:
    shares = {
        word: Share(*rate(sum(rating == value for rating in values), len(values)))
        for word, value in RATINGS.items()
    }
    return RatedGroup(model, attribute, group, len(values), float(np.mean(values)), **shares)


def _comparisons(rated: dict[tuple[str, str, str], list[int]], seed: int) -> tuple[RatedPair, ...]:
    rows = [
        _compared(a, b, rated, seed) for a, b in combinations(sorted(rated), 2) if a[:2] == b[:2]
    ]
    family = judged([Hypothesis(row.p) for row in rows])
    return tuple(
        replace(row, p_holm=judgement.p_holm) for row, judgement in zip(rows, family, strict=True)
    )


def _compared(
    a: tuple[str, str, str],
    b: tuple[str, str, str],
    rated: dict[tuple[str, str, str], list[int]],
    seed: int,
) -> RatedPair:
    """Two groups of one model and attribute, without Holm's correction."""
    x, y = (np.array(rated[place], dtype=float)[:, None] for place in (a, b))
    tested = permuted_difference(x, y, PERMUTATIONS, stream(seed, "bias", "tally", *a, b[2]))
    difference = float(tested.observed[0])
    low, high = _interval(x, y, stream(seed, "bias", "tally", "bootstrap", *a, b[2]))
    p = p_value(difference, tested.null[:, 0])
    return RatedPair(*a, b[2], len(x) + len(y), difference, low, high, p)


def _interval(
    x_n1: Floats, y_n1: Floats, rng: np.random.Generator
) -> tuple[float | None, float | None]:
    """Of the difference of two means, each group's ratings resampled; widened as the smaller group
    asks for.
    """
    fewest = min(len(x_n1), len(y_n1))
    if fewest < 2:
        return None, None
    means_R = (resampled_means(ratings[:, 0], RESAMPLES, rng) for ratings in (x_n1, y_n1))
    return widened_interval(np.subtract(*means_R), fewest)
