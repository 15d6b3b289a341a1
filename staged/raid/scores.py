"""Scores of a RAID-format file: made by a detector in blocks that survive a kill, or read from a
predictions file.

    scores.json     what the scores are of: digests of the file and of the detector
    scores.jsonl    one {"id", "score"} a line, in the file's order, appended block by block

A score that is not a finite number is written as null with `why`; it is counted, and never takes
part in a threshold.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from staged.detectors.contract import Detector
from staged.detectors.normal.normalize import normalize
from staged.errors import ArtifactError, CheckpointError, CorpusError
from staged.progress import Progress
from staged.raid.rows import Rows, texts_in_blocks
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json, write_json
from staged.storage.writing import disk_errors, replacing

IDENTITY, SCORED = "scores.json", "scores.jsonl"
BLOCK_TEXTS = 256
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

    def counts(self, mask: np.ndarray) -> dict[str, int]:
        """How many of the masked rows are of each of KINDS."""
        found = np.bincount(self.kinds[mask], minlength=len(KINDS))
        return {name: int(number) for name, number in zip(KINDS, found, strict=True)}


def kind_of(score: float | None) -> int:
    """Which of KINDS a score is; None is missing."""
    if score is None:
        return MISSING
    return FINITE if math.isfinite(score) else NOT_A_NUMBER if math.isnan(score) else INFINITE


def collect(found: list[float | None], extra: tuple[str, ...] = ()) -> Scores:
    """Scores as one array, what is not finite set apart."""
    kinds = np.array([kind_of(score) for score in found], dtype=np.int8)
    values = np.array([math.nan if score is None else score for score in found], dtype=np.float64)
    return Scores(np.where(kinds == FINITE, values, math.nan), kinds, extra)


def score_rows(rows: Rows, detector: Detector, *, progress: Progress) -> Scores:
    """Every text's score, kept in memory alone."""
    found: list[float | None] = []
    for block in _score_blocks(rows, detector, first=0):
        found += block
        progress(len(found), len(rows))
    return collect(found)


def score_into(
    folder: Path,
    rows: Rows,
    load: Callable[[], Detector],
    identity: dict[str, Any],
    *,
    progress: Progress,
) -> Scores:
    """Every text's score, kept in `folder` as they come; killed and started again, it goes on
    behind the last whole block.

    Args:
        load: opens the detector, where a text is left to score.
        identity: what its scores depend on (`catalog.scored_by`); what another detector or device
            scored is not continued.

    Raises:
        ArtifactError: the folder cannot be written, or holds another detector's scores.
        CheckpointError: the detector gave another number of scores than texts.
    """
    path, identity_file = folder / SCORED, folder / IDENTITY
    wanted = identity | {"file": sha256_file(rows.path)}
    with disk_errors(path):
        there = read_json(identity_file) if identity_file.is_file() else None
        if path.is_file() and (there is None or there["detector"] != wanted["detector"]):
            whose = (
                "that are not of `staged evaluate`"
                if there is None
                else f"of the detector {there['detector']!r}"
            )
            raise ArtifactError(f"{folder}: holds scores {whose}; choose another --out")
        if there != wanted:
            path.unlink(missing_ok=True)
            write_json(identity_file, wanted)
        found = _continue(path, rows)
        progress(len(found), len(rows))
        if len(found) < len(rows):
            found += _append(path, rows, load(), len(found), progress)
    return collect(found)


def _append(
    path: Path, rows: Rows, detector: Detector, first: int, progress: Progress
) -> list[float | None]:
    found: list[float | None] = []
    with open(path, "ab") as file:
        for block in _score_blocks(rows, detector, first=first):
            ids = rows.ids.slice(first + len(found), len(block)).to_pylist()
            file.write(
                "".join(_line(one, score) for one, score in zip(ids, block, strict=True)).encode()
            )
            file.flush()
            os.fsync(file.fileno())
            found += block
            progress(first + len(found), len(rows))
    return found


def _score_blocks(rows: Rows, detector: Detector, *, first: int) -> Iterator[list[float | None]]:
    for texts in texts_in_blocks(rows.path, first=first, size=BLOCK_TEXTS):
        cleaned = [normalize(text).text for text in texts]
        full = [
            text for text in cleaned if text
        ]  # an empty text has no score: it could choose a threshold
        scores = detector.score(full)
        if len(scores) != len(full):
            raise CheckpointError(
                f"detector {detector.name}: gave {len(scores)} scores for {len(full)} texts; it"
                " must give one a text"
            )
        given = iter(scores)
        yield [next(given) if text else None for text in cleaned]


def _line(identity: str, score: float | None) -> str:
    kind = kind_of(score)
    row = (
        {"id": identity, "score": float(score)}
        if score is not None and kind == FINITE
        else {"id": identity, "score": None}
    )
    return (
        json.dumps(row if kind == FINITE else row | {"why": KINDS[kind]}, ensure_ascii=False) + "\n"
    )


def _continue(path: Path, rows: Rows) -> list[float | None]:
    """Scores already there; the file is cut behind the last whole block of lines that belong to the
    next rows.

    A score can depend on its block in its last bits, so the same blocks are scored as without a
    kill.
    """
    found: list[float | None] = []
    ends = [0]
    values = {"missing": None, "nan": math.nan, "infinite": math.inf}
    with open(path, "a+b") as file:
        file.seek(0)
        for line, identity in zip(file, rows.ids, strict=False):
            row = _whole(line)
            if row is None or row["id"] != identity.as_py():
                break
            found.append(values[row["why"]] if row["score"] is None else row["score"])
            ends.append(ends[-1] + len(line))
        kept = len(found) if len(found) == len(rows) else len(found) // BLOCK_TEXTS * BLOCK_TEXTS
        file.truncate(ends[kept])
    return found[:kept]


def _whole(line: bytes) -> dict[str, Any] | None:
    """A row that was written whole; None for one that a kill or a damage cut."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
        known = (
            isinstance(row, dict)
            and "id" in row
            and (type(row["score"]) is float or row["why"] in KINDS[1:])
        )
        return row if known else None
    except (ValueError, KeyError):
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
    found = [by_id.pop(one, None) for one in rows.ids.to_pylist()]
    return collect(found, tuple(by_id))


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


def predictions(rows: Rows, scores: Scores) -> Iterator[dict[str, Any]]:
    """RAID's submission format, one entry a row; null where there is no finite score."""
    for one, value in zip(rows.ids, scores.values.tolist(), strict=True):
        yield {"id": one.as_py(), "score": None if math.isnan(value) else value}


def write_predictions(path: Path, rows: Rows, scores: Scores) -> None:
    """`predictions` as one JSON list, which appears only when whole."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for number, row in enumerate(predictions(rows, scores)):
            file.write(("[\n" if number == 0 else ",\n") + json.dumps(row, ensure_ascii=False))
        file.write("\n]\n")
