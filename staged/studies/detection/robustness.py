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
from pathlib import Path
from typing import Any

from staged.attacks.rates import CLEAN, AttackedAs, AttackRate, corrected, measured, under
from staged.detectors.calibration.scoring import scored
from staged.detectors.catalog import load_detector
from staged.detectors.contract import Detector
from staged.pipeline.stage import Inputs, Stage
from staged.pipeline.tables import read_table, write_table
from staged.progress import Progress, silent
from staged.records import HUMAN, LABELS, Document
from staged.stats.thresholds import threshold_at_fpr
from staged.storage.pieces import continued
from staged.studies.detection.graph import StudyStages
from staged.studies.detection.plan import MIX
from staged.studies.detection.results import AttackRow
from staged.studies.detection.stages import Detector as TrainedOnMix
from staged.studies.generators.texts import MachineTexts
from staged.studies.stages import Corpus

FPRS = (0.05, 0.01)
MEASURED = ("rate", "rate_low", "rate_high", "change", "change_low", "change_high", "p", "p_holm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked(AttackRate):
    """A row of the texts that one detector was tested on; without rates where no threshold
    certifies the nominal one.
    """

    detector: str
    trained_on: str


@dataclass(frozen=True, kw_only=True)
class AttackedScores(Stage):
    """Scores of a detector that was trained on the mix, under each attack."""

    attacks: tuple[str, ...]
    n_valid: int
    n_test: int
    seed: int
    length_tokens: int
    opening_words: int | None = None
    detector: TrainedOnMix
    corpus: Corpus
    samples: tuple[MachineTexts, ...]

    @property
    def name(self) -> str:
        return f"attacks/{self.detector.kind}/{self.detector.model}"

    @property
    def cost(self) -> float:
        return self.detector.cost * len(self.attacks) / 5

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        parts = (
            self.corpus.drawn(inputs, "valid", self.n_valid, seed=self.seed),
            self.corpus.drawn(inputs, "test", self.n_test, seed=self.seed),
            self.detector.machine(inputs, "test", self.n_test),
        )
        scores = folder / "scores.parquet"
        valid, human, machine = (
            self.corpus.cut(inputs, part, self.length_tokens) for part in parts
        )
        detector = load_detector(inputs[self.detector.name], bulk=True)
        with continued(scores, {}, pieces="*.json") as pieces:
            rows = attacked_scores(
                pieces, detector, valid, [*human, *machine], self.attacks, self.seed, progress
            )
            write_table(scores, rows)


def attack_stages(stages: StudyStages) -> list[AttackedScores]:
    """The stages that the plan's attacks take; none where it names none."""
    settings = stages.settings
    mixes = [
        detector
        for detector in stages.detectors.values()
        if detector.method == MIX and settings.attacks
    ]
    return [
        AttackedScores(
            attacks=settings.attacks,
            n_valid=settings.n_valid,
            n_test=settings.n_test,
            seed=settings.seed,
            length_tokens=settings.length_tokens,
            opening_words=stages.corpus.opening_words or None,
            detector=detector,
            corpus=stages.corpus,
            samples=detector.samples,
        )
        for detector in mixes
    ]


def attacked_scores(
    folder: Path,
    detector: Detector,
    valid: Sequence[Document],
    test: Sequence[Document],
    attacks: Sequence[str],
    seed: int,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Score valid texts clean and test texts clean and attacked, each as it is and normalised.

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
            "document": document.id,
            "label": document.label,
            "split": document.split,
        }
        | {"score": scores[text], "changed": text != before}
        for (name, normalised), documents in of.items()
        for document, text, before in zip(
            documents,
            read[name, normalised],
            read[CLEAN, normalised][len(both) - len(documents) :],
            strict=True,
        )
    ]


def attack_table(inputs: Inputs, stages: Sequence[AttackedScores]) -> list[Attacked]:
    """The table of every detector, attack, threshold and reading.

    Raises:
        ArtifactError: a scores file is missing or damaged.
    """
    table: list[Attacked] = []
    for stage in stages:
        rows = read_table(inputs[stage.name] / "scores.parquet")
        table += tabulate(rows, stage.detector.kind, stage.detector.model)
    return corrected(table)


def tabulate(rows: Sequence[dict[str, Any]], detector: str, trained_on: str) -> Iterator[Attacked]:
    """Scores of one detector, as `attacked_scores` gives them, to its part of the table, without
    Holm's correction.
    """
    of: dict[AttackedAs, list[dict[str, Any]]] = {}
    for row in rows:
        of.setdefault((row["attack"], row["normalised"]), []).append(row)
    for (name, normalised), attack_rows in of.items():
        clean = {row["document"]: row["score"] for row in of[CLEAN, normalised]}
        valid = [row["score"] for row in of[CLEAN, normalised] if row["split"] == "valid"]
        for fpr in FPRS:
            cut = threshold_at_fpr(valid, fpr)
            for label, written_by in LABELS.items():
                group = [
                    row for row in attack_rows if row["split"] == "test" and row["label"] == label
                ]
                decided = group if cut < math.inf else []
                yield measured(
                    Attacked(
                        written_by, name, normalised, fpr, detector=detector, trained_on=trained_on
                    ),
                    [row["changed"] for row in group],
                    [clean[row["document"]] > cut for row in decided],
                    [row["score"] > cut for row in decided],
                )


def as_rows(table: Sequence[Attacked]) -> list[AttackRow]:
    """The table as `attacks.json` holds it: human and machine texts of one detector, attack,
    reading and rate side by side.
    """
    rows: dict[tuple[str, str, str, bool, float], dict[str, Any]] = {}
    for attacked in table:
        key = (
            attacked.detector,
            attacked.trained_on,
            attacked.attack,
            attacked.normalised,
            attacked.fpr,
        )
        names = ("detector", "trained_on", "attack", "normalised", "fpr_wanted")
        row = rows.setdefault(key, dict(zip(names, key, strict=True)))
        row |= {
            f"n_{attacked.written_by}": attacked.n,
            f"changed_{attacked.written_by}": attacked.changed,
        }
        what = "fpr" if attacked.written_by == LABELS[HUMAN] else "tpr"
        row |= {
            what + f"_{name}".removeprefix("_rate"): getattr(attacked, name) for name in MEASURED
        }
    return [AttackRow(**row) for row in rows.values()]
