"""Scores of a RAID-format file: made by a detector in blocks that survive a kill, or read from a
predictions file.

    scores.json     what the scores are of: digests of the file and of the detector
    scores.jsonl    one {"id", "score"} a line, in the order of the file; until it is whole, a file
                    a block

A score that is not a finite number is written as null with `why`; it is counted, and never takes
part in a threshold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from staged.detectors.contract import Detector
from staged.engines.blocks import block_values, computed
from staged.engines.choice import HERE, Engine
from staged.errors import ArtifactError, CorpusError
from staged.progress import Progress
from staged.raid.results import Counts, FileCounts, Prediction
from staged.raid.rows import Rows
from staged.raid.scoring import RaidScoring
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json, write_json
from staged.storage.pieces import blocks_of
from staged.storage.records import to_json
from staged.storage.writing import disk_errors, locked, replacing, write_atomic

IDENTITY, SCORED = "scores.json", "scores.jsonl"
FINITE, MISSING, NOT_A_NUMBER, INFINITE = range(4)
KINDS = ("scored", "missing", "nan", "infinite")


@dataclass(frozen=True)
class Scores:
    """A score a row, in the rows' order.

    Attributes:
        values: float64, NaN where there is no finite score.
        kinds: what each row has, an index of KINDS.
        extra: ids scored that the file doesn't hold, in their order.
    """

    values: np.ndarray
    kinds: np.ndarray
    extra: tuple[str, ...] = ()

    def counts(self, mask: np.ndarray) -> Counts:
        """How many rows are masked, and how many of them are of each of KINDS."""
        numbers = np.bincount(self.kinds[mask], minlength=len(KINDS)).tolist()
        return Counts(int(mask.sum()), **dict(zip(KINDS, numbers, strict=True)))

    def file_counts(self) -> FileCounts:
        """The same of all rows, with the ids that are none of theirs."""
        everything = self.counts(np.ones(len(self.kinds), dtype=bool))
        return FileCounts(**vars(everything), extra=len(self.extra), extra_first=self.extra[:5])


def kind_of(score: float | None) -> int:
    """Which of KINDS a score is; None is missing."""
    if score is None:
        return MISSING
    return FINITE if math.isfinite(score) else NOT_A_NUMBER if math.isnan(score) else INFINITE


def collect(scores: list[float | None], extra: tuple[str, ...] = ()) -> Scores:
    """Scores as one array, what is not finite set apart."""
    kinds = np.array([kind_of(score) for score in scores], dtype=np.int8)
    values = np.array([math.nan if score is None else score for score in scores], dtype=np.float64)
    return Scores(np.where(kinds == FINITE, values, math.nan), kinds, extra)


def score_rows(rows: Rows, detector: Detector, *, progress: Progress) -> Scores:
    """Every text's score, kept in memory alone."""
    job = RaidScoring(rows.path, len(rows), lambda: detector)
    blocks = computed(None, job, progress=job.in_texts(progress))
    return collect([score for block in blocks for score in block])


def score_into(
    folder: Path,
    rows: Rows,
    load: Callable[[], Detector],
    identity: dict[str, Any],
    *,
    engine: Engine = HERE,
    progress: Progress,
) -> Scores:
    """Every text's score, kept in `folder` as they come; killed and started again, it goes on
    behind the last whole block.

    Args:
        load: opens the detector, where a text is left to score.
        identity: what its scores depend on (`identity.scored_by`); what another detector or device
            scored is not continued.
        engine: what computes.

    Raises:
        ArtifactError: the folder cannot be written, or holds another detector's scores.
        CheckpointError: the detector gave another number of scores than texts.
    """
    path = folder / SCORED
    wanted = identity | {"file": sha256_file(rows.path)}
    with disk_errors(path):
        scores = _claim(folder, rows, wanted)
        if scores is None:
            if engine.shard is None:  # another shard may just have finished it
                path.unlink(missing_ok=True)
            job = RaidScoring(rows.path, len(rows), load)
            with block_values(
                path,
                wanted,
                job,
                pieces="*.json",
                engine=engine,
                progress=job.in_texts(progress),
            ) as values:
                scores = [score for block in values for score in block]
                write_atomic(path, "".join(_lines(rows, scores)).encode())
        progress(len(scores), len(rows))
    return collect(scores)


def _claim(folder: Path, rows: Rows, wanted: dict[str, Any]) -> list[float | None] | None:
    """The scores of a whole file; else None, and the folder is one of scores of that. Shards come
    here one after another, but for those that find it so.

    Raises:
        ArtifactError: it holds another detector's scores.
    """
    if _is_of(folder, wanted):
        return _read(folder / SCORED, rows)
    with locked(blocks_of(folder / SCORED), patient=True):
        if not _is_of(folder, wanted):
            _check_own(folder, wanted["detector"])
            (folder / SCORED).unlink(missing_ok=True)
            write_json(folder / IDENTITY, wanted)
    return _read(folder / SCORED, rows)


def _is_of(folder: Path, wanted: dict[str, Any]) -> bool:
    return (folder / IDENTITY).is_file() and bool(read_json(folder / IDENTITY) == wanted)


def _check_own(folder: Path, detector: str) -> None:
    path, file = folder / SCORED, folder / IDENTITY
    kept = read_json(file) if file.is_file() else None
    is_begun = path.is_file() or any(blocks_of(path).iterdir())
    if is_begun and (kept is None or kept["detector"] != detector):
        whose = (
            "that are not of `staged raid`"
            if kept is None
            else f"of the detector {kept['detector']!r}"
        )
        raise ArtifactError(f"{folder}: holds scores {whose}; choose another --out")


def _lines(rows: Rows, scores: list[float | None]) -> Iterator[str]:
    for name, score in zip(rows.ids.to_pylist(), scores, strict=True):
        kind = kind_of(score)
        row = {"id": name, "score": score if kind == FINITE else None}
        why = {} if kind == FINITE else {"why": KINDS[kind]}
        yield json.dumps(row | why, ensure_ascii=False) + "\n"


def _read(path: Path, rows: Rows) -> list[float | None] | None:
    """The scores of a whole file of these rows; None of one that is not there, or is damaged."""
    if not path.is_file():
        return None
    values = {"missing": None, "nan": math.nan, "infinite": math.inf}
    try:
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        if [line["id"] for line in lines] != rows.ids.to_pylist():
            return None
        return [
            values[line["why"]] if line["score"] is None else float(line["score"]) for line in lines
        ]
    except (ValueError, KeyError, TypeError):
        return None


def read_predictions(path: Path, rows: Rows) -> Scores:
    """Scores from RAID's submission format, `[{"id", "score"}, …]`, joined on the id.

    Raises:
        CorpusError: no such list, an id twice, or a score that is not a number or null.
    """
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CorpusError(
            f'{path}: no such file; predictions are a JSON list of {{"id", "score"}}'
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(
            f"{path}: not readable JSON: {error}; write the predictions again"
        ) from None
    if not isinstance(listed, list):
        raise CorpusError(f'{path}: must be a JSON list of {{"id", "score"}}')
    by_id: dict[str, float | None] = {}
    for number, row in enumerate(listed, start=1):
        identity, score = _prediction(path, number, row)
        if identity in by_id:
            raise CorpusError(
                f"{path}, entry {number}: id {identity!r} is there twice; give each text one score"
            )
        by_id[identity] = score
    scores = [by_id.pop(identity, None) for identity in rows.ids.to_pylist()]
    return collect(scores, tuple(by_id))


def _prediction(path: Path, number: int, row: Any) -> tuple[str, float | None]:
    if not isinstance(row, dict) or "id" not in row or "score" not in row:
        raise CorpusError(f'{path}, entry {number}: must be an object with "id" and "score"')
    score = row["score"]
    if isinstance(score, bool) or not isinstance(score, int | float | None):
        raise CorpusError(
            f"{path}, entry {number}: the score must be a number or null, not {score!r}"
        )
    try:
        return str(row["id"]), None if score is None else float(score)
    except OverflowError:
        raise CorpusError(
            f"{path}, entry {number}: the score is beyond a float; scale the scores down"
        ) from None


def predictions(rows: Rows, scores: Scores) -> Iterator[Prediction]:
    """RAID's submission format, one entry a row; None where there is no finite score."""
    for identity, score in zip(rows.ids, scores.values.tolist(), strict=True):
        yield Prediction(identity.as_py(), None if math.isnan(score) else score)


def write_predictions(path: Path, rows: Rows, scores: Scores) -> None:
    """`predictions` as one JSON list, which appears only when whole."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for number, prediction in enumerate(predictions(rows, scores)):
            line = json.dumps(to_json(prediction), ensure_ascii=False)
            file.write(("[\n" if number == 0 else ",\n") + line)
        file.write("\n]\n")
