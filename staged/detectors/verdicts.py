"""Verdicts of many texts: one after the other, or into a file that a killed run continues."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

from staged.detectors.contract import Verdict
from staged.detectors.examiner import Examiner
from staged.progress import Progress, silent
from staged.storage.digests import digest
from staged.storage.forms import rows_have_keys
from staged.storage.pieces import BYTES, cached, continued
from staged.storage.writing import write_atomic

LATER = ("normalized", "kind", "opinions", "segments")  # what not every file of verdicts has
PLAIN = {field.name for field in fields(Verdict)} - set(LATER)
VERDICTS = rows_have_keys(*PLAIN, also=LATER)  # the form of a file of verdicts
AT_ONCE = 64  # texts scored together
KEPT = 16  # verdicts of a file that is being written, of which a kill takes at most so many


def judged(
    examiner: Examiner,
    texts: Iterable[tuple[str, str]],
    *,
    segments: bool = False,
    at_once: int = AT_ONCE,
) -> Iterator[Verdict]:
    """Verdicts in the order of the (id, text) pairs, which are read as they are needed.

    Args:
        segments: judge the parts of each text as well.
        at_once: texts scored together.
    """
    waiting = iter(texts)
    while batch := list(islice(waiting, at_once)):
        for verdict in examiner.examine(batch):
            yield (
                replace(verdict, segments=examiner.segments(verdict.normalized))
                if segments
                else verdict
            )


def write_judged(
    out: Path,
    examiner: Examiner,
    texts: Sequence[tuple[str, str]],
    *,
    segments: bool = False,
    progress: Progress = silent,
) -> None:
    """Verdicts into a .jsonl file that appears when whole; what a killed run has judged is kept in
    `OUT.blocks` and used.

    Raises:
        ArtifactError: the place cannot be written.
    """
    identity = dict(examiner.identity) | {"fpr": examiner.fpr, "segments": segments}
    with continued(out, identity, pieces="*.jsonl", form=VERDICTS) as blocks:
        progress(0, len(texts))
        parts = [texts[start : start + KEPT] for start in range(0, len(texts), KEPT)]
        pieces = (
            (
                f"{number * KEPT:09d}-{digest(chain(*part))}.jsonl",
                partial(_lines, examiner, part, segments=segments),
            )
            for number, part in enumerate(parts)
        )
        lines, done = b"", 0
        for part, block in zip(parts, cached(blocks, pieces, BYTES), strict=True):
            lines, done = lines + block, done + len(part)
            progress(done, len(texts))
        write_atomic(out, lines, form=VERDICTS)


def _lines(examiner: Examiner, texts: Sequence[tuple[str, str]], *, segments: bool) -> bytes:
    rows = (verdict.row() for verdict in judged(examiner, texts, segments=segments))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
