"""What RAID's attacks do to the detectors of a study, on machine and on human texts, with and
without normalisation.

One stage a detector: those trained on the mix, one a model and kind. Each scores the human test
texts and the mix's machine test texts of its own model: as they are, under each attack, and both
again after `detectors.normalize`. Texts are cut to the matrix's length first and attacked then, so
an attack takes no words away. A text that came up before is not scored again: what normalisation
restores costs nothing.

Thresholds are chosen on clean human `valid` texts, normalised where the tested ones are: nobody
knows beforehand which attack will come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from staged.attacks.table import CLEAN, Reading, Row, corrected, measured, under
from staged.detectors.calibration.scoring import scored
from staged.detectors.catalog import load_detector
from staged.detectors.contract import Detector
from staged.pipeline.stage import Stage
from staged.pipeline.tables import read_table, write_table
from staged.progress import Progress, silent
from staged.records import HUMAN, LABELS, Document
from staged.stats.thresholds import threshold_at_fpr
from staged.storage.pieces import continued
from staged.studies.detection import splits
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.stages import detector_stage, samples_stage

FPRS = (0.05, 0.01)
MEASURED = ("rate", "rate_low", "rate_high", "change", "change_low", "change_high", "p", "p_holm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked(Row):
    """A row of the texts that one detector was tested on; without rates where no threshold
    certifies the nominal one.
    """

    detector: str
    trained_on: str


def attack_stages(root: Path, settings: StudySettings) -> list[Stage]:
    """The stages that the plan's attacks take; none where it names none."""
    kinds = sorted(settings.detectors) if settings.attacks else ()
    return [_stage(root, settings, kind, model) for kind in kinds for model in settings.models]


def attack_stage(kind: str, model: str) -> str:
    return f"attacks/{kind}/{Path(model).name}"


def _stage(root: Path, settings: StudySettings, kind: str, model: str) -> Stage:
    read = {
        "attacks": settings.attacks,
        "n_valid": settings.n_valid,
        "n_test": settings.n_test,
        "seed": settings.seed,
    }
    read |= {"length_tokens": settings.length_tokens}
    needs = (
        "corpus",
        detector_stage(kind, model, MIX),
        *(samples_stage(model, name) for name in settings.methods),
    )
    cost = (30 if kind == "roberta" else 8) * len(settings.attacks) / 5
    return Stage(
        attack_stage(kind, model),
        partial(_write, root, settings, kind, model),
        read,
        needs=needs,
        cost=cost,
    )


def _write(
    root: Path, settings: StudySettings, kind: str, model: str, folder: Path, progress: Progress
) -> None:
    parts = (
        splits.human(root, settings, "valid"),
        splits.human(root, settings, "test"),
        splits.machine(root, settings, model, MIX, "test"),
    )
    bpe, scores = splits.tokenizer(settings), folder / "scores.parquet"
    valid, human, machine = (splits.cut_to(one, bpe, settings.length_tokens) for one in parts)
    detector = load_detector(root / detector_stage(kind, model, MIX), bulk=True)
    with continued(scores, {}, pieces="*.json") as pieces:
        rows = attacked_scores(
            pieces, detector, valid, [*human, *machine], settings.attacks, settings.seed, progress
        )
        write_table(scores, rows)


def attacked_scores(
    folder: Path,
    detector: Detector,
    valid: Sequence[Document],
    test: Sequence[Document],
    attacks: Sequence[str],
    seed: int,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Score the valid texts clean and the test texts clean and attacked, each as it is and
    normalised.

    Args:
        folder: receives scores as they come; a killed run continues from them.

    Returns:
        Rows of `attack`, `normalised`, `document`, `label`, `split`, `score`, `changed` (what the
        detector read is not what it read without the attack).
    """
    both = [*valid, *test]
    of = {
        (name, how): both if name == CLEAN else test
        for name in (CLEAN, *attacks)
        for how in (False, True)
    }
    read = {reading: under(documents, reading, seed=seed) for reading, documents in of.items()}
    scores = scored(folder, detector, list(read.values()), progress)
    return [
        {
            "attack": name,
            "normalised": normalised,
            "document": one.id,
            "label": one.label,
            "split": one.split,
        }
        | {"score": scores[text], "changed": text != before}
        for (name, normalised), documents in of.items()
        for one, text, before in zip(
            documents,
            read[name, normalised],
            read[CLEAN, normalised][len(both) - len(documents) :],
            strict=True,
        )
    ]


def attack_table(root: Path, settings: StudySettings) -> list[Attacked]:
    """The table of every detector, attack, threshold and reading.

    Raises:
        ArtifactError: a scores file is missing or damaged.
    """
    found: list[Attacked] = []
    for kind in settings.detectors:
        for model in settings.models:
            rows = read_table(root / attack_stage(kind, model) / "scores.parquet")
            found += tabulate(rows, kind, Path(model).name)
    return corrected(found)


def tabulate(rows: Sequence[dict[str, Any]], detector: str, trained_on: str) -> Iterator[Attacked]:
    """Scores of one detector, as `attacked_scores` gives them, to its part of the table, without
    Holm's correction.
    """
    of: dict[Reading, list[dict[str, Any]]] = {}
    for row in rows:
        of.setdefault((row["attack"], row["normalised"]), []).append(row)
    for (name, normalised), these in of.items():
        clean = {row["document"]: row["score"] for row in of[CLEAN, normalised]}
        valid = [row["score"] for row in of[CLEAN, normalised] if row["split"] == "valid"]
        for fpr in FPRS:
            cut = threshold_at_fpr(valid, fpr)
            for label, written_by in LABELS.items():
                group = [row for row in these if row["split"] == "test" and row["label"] == label]
                decided = group if cut < math.inf else []
                yield measured(
                    Attacked(
                        written_by, name, normalised, fpr, detector=detector, trained_on=trained_on
                    ),
                    [row["changed"] for row in group],
                    [clean[row["document"]] > cut for row in decided],
                    [row["score"] > cut for row in decided],
                )


def as_rows(table: Sequence[Attacked]) -> list[dict[str, Any]]:
    """The table as `attacks.json` holds it: human and machine texts of one detector, attack,
    reading and rate side by side.
    """
    rows: dict[tuple[str, str, str, bool, float], dict[str, Any]] = {}
    for one in table:
        key = (one.detector, one.trained_on, one.attack, one.normalised, one.fpr)
        names = ("detector", "trained_on", "attack", "normalised", "fpr_wanted")
        row = rows.setdefault(key, dict(zip(names, key, strict=True)))
        row |= {f"n_{one.written_by}": one.n, f"changed_{one.written_by}": one.changed}
        what = "fpr" if one.written_by == LABELS[HUMAN] else "tpr"
        row |= {what + f"_{name}".removeprefix("_rate"): getattr(one, name) for name in MEASURED}
    return list(rows.values())
